"""Which mats a run has: those of the file, or those whose ports are given outside it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edge.config.kinds import NOT_IN_NAMES
from firmware_bridge.errors import Exit, Failure

_NAMED: Final = re.compile(rf"([^{NOT_IN_NAMES}]+)=(.+)")
Mat = dict[str, Any]


def merged_mats(below: Sequence[Mat], values: Mapping[tuple[str, ...], Any], replay: Path | None = None) -> list[Mat]:
    """`below`: the file's. `values`: mat settings given outside it, by ("mat", key); they go for every mat.

    A given name chooses the file's mat of that name, or renames its only one. Given ports replace the file's mats;
    NAME=DEVICE keeps the other settings of the file's mat of that name, one DEVICE those of its only (or chosen) mat.
    A replay is of one mat, whose port is the recording. Empty where nothing has a port. Raises Failure (2).
    """
    given = {keys[1]: value for keys, value in values.items() if keys[0] == "mat"}
    ports, name = given.pop("port", []), given.pop("name", None)
    mats = list(below) if name is None else [_chosen(below, name)]
    if replay:
        if len(mats) > 1:
            raise Failure(f"a recording is of one mat: say by --mat which ({_names(mats)})", Exit.USAGE)
        mats = [{**(mats[0] if mats else {}), "port": str(replay)}]
    elif ports:
        mats = _with_ports(mats, ports, name)
    return [mat | given for mat in mats if "port" in mat]


def _chosen(below: Sequence[Mat], name: str) -> Mat:
    if len(below) <= 1:
        return {**(below[0] if below else {}), "name": name}
    for mat in below:
        if mat.get("name") == name:
            return mat
    raise Failure(f"no mat {name}: the configuration has {_names(below)}", Exit.USAGE)


def _with_ports(mats: Sequence[Mat], ports: Sequence[str], name: str | None) -> list[Mat]:
    named = [_NAMED.fullmatch(port) for port in ports]
    if len(ports) == 1 and not named[0]:
        return [{**(mats[0] if len(mats) == 1 else {}), "port": ports[0]}]
    if name is not None:
        raise Failure(f"--mat {name} names one mat: write --port NAME=DEVICE for each", Exit.USAGE)
    merged = []
    for number, (port, found) in enumerate(zip(ports, named, strict=True), 1):
        called = found[1] if found else f"mat{number if number > 1 else ''}"
        kept: Mat = next((mat for mat in mats if mat.get("name", "mat") == called), {})
        merged.append({**kept, "name": called, "port": found[2] if found else port})
    return merged


def _names(mats: Sequence[Mat]) -> str:
    return ", ".join(str(mat.get("name", "mat")) for mat in mats)
