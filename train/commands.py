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
