"""`make demo`: the virtual mat on a pty, edge-run reading it, and how far its joints are from the truth."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from edge.score import score_files
from firmware_bridge.errors import Exit, run_command

SEED: Final = 7
"""A person whom the shipped model never saw: it was trained on seeds from 1,000,000 on."""
LIMIT_CM: Final = 5.0
MISSED_SHARE: Final = 0.02
"""Of the frames with somebody in bed, so many may be taken for empty."""
NIGHT_S, EMPTY_S = 30, 4
SHOWN_EVERY: Final = 10
SCRIPTS: Final = Path(sys.executable).parent


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        night = Path(folder, "night.jsonl"), Path(folder, "night.truth.jsonl")
        print(f"A simulated person gets into bed: virtual mat -> pty -> edge-run, {NIGHT_S} s.")
        with virtual_mat(Path(folder, "mat"), "night", night[1]) as port:
            read_poses(port, NIGHT_S, night[0])
        score = score_files(*night)
        joints = score.joints
        print(
            f"{score.frames} frames with somebody in bed, {score.missed} taken for empty; mean joint error "
            f"{joints.mean_cm:.2f} cm, PCK@5cm {joints.pck_5cm:.1f} %, PCK@10cm {joints.pck_10cm:.1f} %"
        )
        print(f"An empty bed, {EMPTY_S} s.")
        empty = Path(folder, "empty.jsonl"), Path(folder, "empty.truth.jsonl")
        with virtual_mat(Path(folder, "mat"), "empty", empty[1]) as port:
            read_poses(port, EMPTY_S, empty[0])
        poses = [pose for pose in _lines(empty[0]) if pose["type"] == "pose"]
        phantoms = sum(pose["joints"] is not None for pose in poses)
        print(f"{len(poses)} frames of the empty bed, {phantoms} of them with joints.")
    found = score.frames > 0 and score.missed <= MISSED_SHARE * score.frames and joints.mean_cm <= LIMIT_CM
    passed = found and poses and not phantoms
    print("demo passed" if passed else f"demo FAILED: over {LIMIT_CM:g} cm, a body missed or an empty bed with joints")
    return Exit.OK if passed else Exit.CHECK_FAILED


@contextmanager
def virtual_mat(link: Path, scene: str, truth: Path) -> Iterator[Path]:
    """bridge-sim on a pty with the stable name `link`."""
    options = ["--link", str(link), "--seed", str(SEED), "--scene", scene, "--truth", str(truth)]
    with subprocess.Popen([str(SCRIPTS / "bridge-sim"), *options]) as process:
        try:
            yield link
        finally:
            process.terminate()


def read_poses(port: Path, duration_s: float, output: Path) -> None:
    """Run edge-run on `port`, keep every line in `output` and show some."""
    command = [str(SCRIPTS / "edge-run"), "--port", str(port), "--duration", str(duration_s), "--output", "json:-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, output.open("w") as file:
        assert process.stdout is not None
        shown = 0
        for line in process.stdout:
            file.write(line)
            message = json.loads(line)
            if message["type"] in ("hello", "end") or (message["type"] == "pose" and shown % SHOWN_EVERY == 0):
                print("  " + _in_short(message), flush=True)
            shown += message["type"] == "pose"
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "edge-run")


def _in_short(message: dict[str, Any]) -> str:
    if message["type"] == "hello":
        grid, model = message["grid"], message["model"]
        return f"hello: mat of {grid['rows']} x {grid['cols']} taxels, model {model['name']} on {model['runtime']}"
    if message["type"] == "end":
        return "end: " + ", ".join(f"{name} {count}" for name, count in message["counts"].items() if count)
    if not message["joints"]:
        return f"pose {message['seq']:4d}: nobody"
    parts = [f"{j} {message['joints'][j]['x_cm']:.0f},{message['joints'][j]['y_cm']:.0f}" for j in SHOWN_JOINTS]
    return f"pose {message['seq']:4d}: {message['posture'] or '?':6s} " + "  ".join(parts) + " cm"


SHOWN_JOINTS: Final = ("head", "l_shoulder", "r_shoulder", "l_hip", "r_hip", "l_ankle", "r_ankle")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    sys.exit(run_command("demo", main))
