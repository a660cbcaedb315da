"""Numbers that are rounded where they are written, and exact until then."""

from pydantic import PlainSerializer


def rounded(digits: int) -> PlainSerializer:
    """For Annotated[float, ...]: so many digits behind the point."""
    return PlainSerializer(lambda value: round(value, digits), return_type=float)
