"""Units of pressure."""

from typing import Literal

PressureUnit = Literal["counts", "kPa"]
"""kPa where a calibration knows what a count is worth."""
