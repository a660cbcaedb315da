"""Console scripts: a machine without the extra is told which one to install."""

import sys

from firmware_bridge.errors import run_extra


def run() -> None:
    sys.exit(run_extra("train-run", "train.run", "train"))


def eval() -> None:
    sys.exit(run_extra("train-eval", "train.eval", "train"))


def export() -> None:
    sys.exit(run_extra("train-export", "train.export", "train"))


def annotate() -> None:
    sys.exit(run_extra("train-annotate", "train.annotate.command", "train"))


def cost() -> None:
    sys.exit(run_extra("train-cost", "train.cost", "train"))


def reconstruct() -> None:
    sys.exit(run_extra("train-reconstruct", "train.reconstruct", "train"))


def plot() -> None:
    sys.exit(run_extra("train-plot", "train.plot", "train"))


def posture() -> None:
    sys.exit(run_extra("train-posture", "train.posture.command", "train"))


def study() -> None:
    sys.exit(run_extra("train-study", "train.study", "train"))
