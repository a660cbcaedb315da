"""Which boards a model fits on: boards.toml against its file and its arena."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).with_name("boards.toml")
BYTES_A_SAMPLE: Final = 2
FRAMES: Final = 2
"""One that is scanned while the other is computed."""


@dataclass(frozen=True)
class Fit:
    """One board and one model."""

    name: str
    chip: str
    flash_bytes: int
    ram_bytes: int
    source: str
    flash_needed_bytes: int
    ram_needed_bytes: int

    @property
    def fits(self) -> bool:
        return self.flash_needed_bytes <= self.flash_bytes and self.ram_needed_bytes <= self.ram_bytes

    @property
    def verdict(self) -> str:
        """`fits`, or what is missing."""
        missing = {
            "flash": self.flash_needed_bytes - self.flash_bytes,
            "RAM": self.ram_needed_bytes - self.ram_bytes,
        }
        lacks = [f"{kind} lacks {count:,} bytes" for kind, count in missing.items() if count > 0]
        return ", ".join(lacks) or "fits"


def fits(file_bytes: int, arena_bytes: int, rows: int, cols: int) -> list[Fit]:
    """Every board of the table, in its order, for a model on a mat of rows x cols taxels."""
    table = tomllib.loads(TABLE.read_text())
    allowance = table["allowance"]
    flash = file_bytes + int(allowance["flash_bytes"])
    ram = arena_bytes + FRAMES * BYTES_A_SAMPLE * rows * cols + int(allowance["ram_bytes"])
    return [Fit(**board, flash_needed_bytes=flash, ram_needed_bytes=ram) for board in table["boards"]]
