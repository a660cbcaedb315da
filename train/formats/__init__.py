"""Readers of public pressure-map data sets, each into canonical frames: what `--format NAME` chooses from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from train.formats.hlppdat import read_hlppdat
from train.formats.popu import read_popu
from train.formats.pressurepose import read_pressurepose
from train.formats.slp import read_slp
from train.formats.smal import read_smal
from train.formats.tekscan import read_tekscan
from train.formats.tip import read_tip
from train.maps import Maps
from train.pmd import read_pmd


class Reader(Protocol):
    def __call__(self, folder: Path, subjects: Sequence[int] | None = None) -> Maps:
        """Maps of `subjects` (default: all there are). Raises Failure naming the path and the reason."""


FORMATS: Final[Mapping[str, Reader]] = {
    "pmd": read_pmd,
    "slp": read_slp,
    "smal": read_smal,
    "tip": read_tip,
    "popu": read_popu,
    "hlppdat": read_hlppdat,
    "pressurepose": read_pressurepose,
    "tekscan": read_tekscan,
}

__all__ = ["FORMATS", "Reader"]
