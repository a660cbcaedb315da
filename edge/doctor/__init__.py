"""edge-doctor: whether this machine, its port and its mat are ready for edge-run."""

from edge.doctor.command import cli, main

__all__ = ["cli", "main"]
