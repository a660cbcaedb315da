"""What people send to calibrate a tared mat: {"even": true} or {"mass_kg": 80}."""

from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.control import Command

LIGHTEST_KG: Final = 1
HEAVIEST_KG: Final = 500


class Calibrate(BaseModel):
    """The load that lies on the mat: an even one on all of it, or somebody who weighs `mass_kg`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    even: bool = False
    mass_kg: float | None = Field(None, ge=LIGHTEST_KG, le=HEAVIEST_KG, allow_inf_nan=False)

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if self.even == (self.mass_kg is not None):
            raise ValueError("even or mass_kg is needed, not both")
        return self

    def command(self, mat: str) -> Command:
        return Command(mat, "even") if self.even else Command(mat, "weigh", mass_kg=self.mass_kg)
