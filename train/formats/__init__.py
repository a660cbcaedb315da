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
from train.pmd import ATTRIBUTION as PMD
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

ATTRIBUTIONS: Final[Mapping[str, str]] = {
    "pmd": PMD,
    "slp": "SLP, S. Liu, S. Ostadabbas et al., Augmented Cognition Lab (on application, non-commercial)",
    "smal": "SMaL, as repacked for SPMKD's code",
    "tip": "TIP, of PIMesh (USTCWzy/PIMesh)",
    "popu": "PoPu, rdionisio1403/PoPu (CC0)",
    "hlppdat": "HLPPDat, jakubarm/HLPPDat (CC BY-NC-SA 4.0)",
    "pressurepose": "PressurePose / Bodies at Rest, Healthcare-Robotics/bodies-at-rest",
    "tekscan": "Tekscan recordings of the user's own",
}
"""What a model's manifest says of the data it was trained on."""

__all__ = ["ATTRIBUTIONS", "FORMATS", "Reader"]
