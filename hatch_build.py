"""Compiles edge/core where the package is built and a C compiler is there."""

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CORE = Path("edge", "core")


class CoreHook(BuildHookInterface):
    """The library goes into the wheel; for an editable install it lies beside its sources."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = Path(self.root) / CORE
        build = runpy.run_path(str(folder / "build.py"))
        name = build["LIBRARY"]
        if version == "editable":
            library = folder / name
        else:
            self._made = tempfile.TemporaryDirectory()
            library = Path(self._made.name) / name
        if problem := build["compile_core"](library):
            print(f"edge-run works without its C core and is slower: {problem}", flush=True)
        elif version != "editable":
            build_data["force_include"][str(library)] = str(CORE / name)
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            self._made.cleanup()
