"""What is known of one mat, in the orientation in which the mat sends its frames."""

from collections.abc import Collection, Iterator
from typing import Annotated, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, field_validator, model_validator

from edge.manifest import Strict
from edge.units import PressureUnit
from firmware_bridge.geometry import ORIENTATIONS
from firmware_bridge.header import MAX_SIDE
from firmware_bridge.messages import Info

FaultKind = Literal["dead", "stuck", "flickering"]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
LINE_SHARE: Final = 0.9
"""Of a line's taxels that are faulty, from which on people are told of the line: a torn wire, not single taxels."""


class Fault(Strict):
    """A taxel that says nothing of the load on it."""

    row: NonNegativeInt
    col: NonNegativeInt
    kind: FaultKind = Field(description="dead: no load shows; stuck: at one value; flickering: a loose contact")


class PowerLaw(Strict):
    """kPa = (counts / counts_per_kpa) ^ exponent; counts without baseline and after the gains."""

    counts_per_kpa: PositiveFloat
    exponent: PositiveFloat = 1.0

    def __call__(self, counts: NDArray[np.float32]) -> NDArray[np.float32]:
        kpa = counts * np.float32(1 / self.counts_per_kpa)
        return kpa if self.exponent == 1 else np.power(kpa, np.float32(self.exponent))


class Calibration(Strict):
    """`<mat>.calibration.json`. A tare makes it; gains, curve, orientation and dead taxels outlive later ones."""

    format: Literal[1] = 1
    device_id: int = Field(ge=0, le=0xFFFF)
    rows: Side
    cols: Side
    made_unix_s: float = Field(description="of the tare")
    orientation: str | None = Field(None, description="what people chose in place of INFO's, as --orientation says it")
    curve: PowerLaw | None = Field(None, description="counts to kPa; null: pressure stays in counts")
    faults: list[Fault] = Field([])
    gain: list[list[PositiveFloat]] | None = Field(
        None, description="(rows, cols): what each taxel's counts are multiplied by; null: 1"
    )
    baseline_counts: list[list[float]] = Field(description="(rows, cols) without load")
    noise_counts: list[list[PositiveFloat]] = Field(description="(rows, cols) standard deviation")

    @field_validator("orientation")
    @classmethod
    def _known(cls, orientation: str | None) -> str | None:
        if orientation is not None and orientation not in ORIENTATIONS:
            raise ValueError(f"{orientation} is none of {', '.join(ORIENTATIONS)}")
        return orientation

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        for name in ("baseline_counts", "noise_counts", "gain"):
            plane = getattr(self, name)
            if plane is not None and (len(plane) != self.rows or {len(row) for row in plane} != {self.cols}):
                raise ValueError(f"{name} is not a plane of {self.rows} x {self.cols}")
        if any(fault.row >= self.rows or fault.col >= self.cols for fault in self.faults):
            raise ValueError(f"faults lie beside the grid of {self.rows} x {self.cols}")
        if self.faulty.all():
            raise ValueError("faults leave no taxel")
        return self

    @property
    def unit(self) -> PressureUnit:
        return "kPa" if self.curve else "counts"

    @property
    def faulty(self) -> NDArray[np.bool_]:
        """(rows, cols)."""
        mask = np.zeros((self.rows, self.cols), bool)
        for fault in self.faults:
            mask[fault.row, fault.col] = True
        return mask

    def misfit(self, mat: Info) -> str | None:
        """Why this is not applied to `mat`, or None when it is."""
        if (self.device_id, self.rows, self.cols) == (mat.device_id, mat.rows, mat.cols):
            return None
        return (
            f"the calibration is of mat {self.device_id} with {self.rows} x {self.cols} taxels, "
            f"this is mat {mat.device_id} with {mat.rows} x {mat.cols}: tare it"
        )

    def with_faults(self, found: Collection[Fault]) -> "Calibration":
        """These beside those known already; of two findings about one taxel the new one counts.

        Raises ValueError where they leave no taxel.
        """
        at = {(fault.row, fault.col): fault for fault in [*self.faults, *found]}
        return Calibration(**(dict(self) | {"faults": [at[place] for place in sorted(at)]}))


def faults_of(mask: NDArray[np.bool_], kind: FaultKind) -> list[Fault]:
    """mask (rows, cols)."""
    return [Fault(row=int(row), col=int(col), kind=kind) for row, col in np.argwhere(mask)]


def in_words(faulty: NDArray[np.bool_]) -> str:
    """'row 3, columns 7 and 8, 2 single taxels' (counted from 0, as the mat sends them), or 'none'."""
    rows, cols = faulty.mean(1) >= LINE_SHARE, faulty.mean(0) >= LINE_SHARE
    single = int(faulty[~rows][:, ~cols].sum())
    parts = [*_lines("row", rows), *_lines("column", cols)]
    if single:
        parts.append(f"{single} single taxel{'s' * (single > 1)}")
    return ", ".join(parts) or "none"


def _lines(name: str, mask: NDArray[np.bool_]) -> Iterator[str]:
    numbers = [str(number) for number in np.flatnonzero(mask)]
    if len(numbers) == 1:
        yield f"{name} {numbers[0]}"
    elif numbers:
        yield f"{name}s {', '.join(numbers[:-1])} and {numbers[-1]}"
