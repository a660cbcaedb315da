"""Whose maps the int8 ranges are read from: people whom the checkpoint was trained on, and nobody else."""

from collections.abc import Sequence
from typing import Final

from edge.manifest import Training
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train.maps import Maps
from train.simulated import read_simulated

MOST_SIMULATED: Final = 512
"""Simulated people that a model trained on nothing else is calibrated on; each takes a moment to make."""


def trained_on(maps: Sequence[Maps], training: Training, *, chosen: bool) -> list[Maps]:
    """`maps` without people who were not trained on; Failure (2) when the user chose such people, or none are left."""
    strangers = sorted({p for m in maps for p in m.people} - set(training.people))
    if strangers and chosen:
        raise Failure(
            f"cannot calibrate on {', '.join(strangers)}: this checkpoint was trained on "
            f"{', '.join(training.people) or 'simulated people only'}, and others would no longer be unseen",
            Exit.USAGE,
        )
    kept = [m.of_groups([g for g, group in enumerate(m.groups) if group.person not in strangers]) for m in maps]
    kept = [m for m in kept if len(m)]
    if not kept:
        raise Failure(
            f"no maps of {', '.join(training.people)} to calibrate on: give --data or --recordings with them",
            Exit.USAGE,
        )
    return kept


def simulated(training: Training, grid: Grid) -> tuple[Maps, str]:
    """Maps of the first simulated people that were trained on, and their name for the manifest."""
    if training.people:
        raise Failure(
            f"this checkpoint was trained on {', '.join(training.people)}: "
            "give --data or --recordings with their maps to calibrate on",
            Exit.USAGE,
        )
    first, last = (int(seed) for seed in training.simulated_seeds.split("-"))
    last = min(last, first + MOST_SIMULATED - 1)
    return read_simulated(range(first, last + 1), grid), f"simulated:{first}-{last}"


def seen_by(people: Sequence[str], training: Training, calibrated_on: Sequence[str]) -> list[str]:
    """Those of `people` whom a model was trained or calibrated on."""
    return sorted(set(people) & {*training.people, *training.labelled_people, *calibrated_on})


def refuse_seen(people: Sequence[str], training: Training, calibrated_on: Sequence[str], what: str) -> None:
    """Failure (2) when one of `people`, who are to test `what`, is not new to it."""
    if seen := seen_by(people, training, calibrated_on):
        raise Failure(
            f"{what} was trained or calibrated on {', '.join(seen)}: "
            "give --subjects (convert-run: --test-subjects) of people whom it never saw",
            Exit.USAGE,
        )
