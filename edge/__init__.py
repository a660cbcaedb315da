"""The daemon on the Raspberry Pi: frames in, keypoints out."""

from importlib.metadata import version

__version__ = version("spmkd")
