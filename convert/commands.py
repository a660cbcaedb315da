"""Console scripts: a machine without the extra is told which one to install."""

import sys

from firmware_bridge.errors import run_extra


def run() -> None:
    sys.exit(run_extra("convert-run", "convert.run", "convert"))


def check() -> None:
    sys.exit(run_extra("convert-check", "convert.check", "convert"))
