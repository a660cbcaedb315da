"""The parts of `edge-run --help` that argparse does not write."""

import textwrap
from typing import Final

from edge.config.read import CONFIG_VARIABLE, PREFIX, SECRETS
from firmware_bridge.errors import Exit

WIDTH: Final = 80

DESCRIPTION: Final = """\
edge-run - body keypoints of whoever lies on a pressure mat

It reads one mat or several, finds the joints with an int8 model, and writes
one JSON object a line on stdout: hello, pose, event, health and, last, end.
Logs go to stderr. A port that is missing, busy or lost is waited for.
"""

FILES: Final = {
    "/etc/edge-run/NAME.toml": "configuration of the service edge-run@NAME; edge-run --print-config writes one, with"
    " every key explained",
    "NAME.toml": "must begin with version = 1; unknown keys are refused; relative paths count from the working"
    " directory",
    "MODEL.tflite, MODEL.json": "a model and its manifest; one comes with edge-run",
    "*.matlog": "recordings, as the wire brought them",
    "STATE/MAT.calibration.json": "what a mat's tare found, in the folder of --state-dir",
}

ENVIRONMENT: Final = {
    f"{PREFIX}<KEY>": "a key of the configuration, such as EDGE_RUN_MODEL or EDGE_RUN_DURATION_S; those of [[mat]] too:"
    " EDGE_RUN_PORT, EDGE_RUN_ORIENTATION. Lists are split as by a shell. The command line comes before the"
    " environment, and that before the file; unknown names are refused",
    f"{PREFIX}<SECTION>__<KEY>": "a key of a section: EDGE_RUN_RECORDING__KEEP_GB",
    CONFIG_VARIABLE: "the file, where --config is not given",
    ", ".join(SECRETS): "for the broker of an output mqtt:// or mqtts://",
    "STATE_DIRECTORY, XDG_STATE_HOME": "where --state-dir is not given: the first of the former (systemd sets it),"
    " edge-run/ in the latter, ~/.local/state/edge-run",
    "NOTIFY_SOCKET, WATCHDOG_USEC": "set by systemd: edge-run says when it is ready, and that it lives",
}

SIGNALS: Final = {
    "SIGTERM, SIGINT": "end with the line end, exit code 0; a second one ends at once",
}

EXIT_CODES: Final = {
    Exit.OK: "end of the recording or of --duration, SIGTERM, SIGINT, or nobody reads stdout any more where that is the"
    " only output",
    Exit.CHECK_FAILED: "a check has failed (edge-doctor; edge-run itself never ends so)",
    Exit.USAGE: "wrong usage",
    Exit.FOREIGN_DATA: "the recording is empty or no recording (one that is cut off: 0, with a warning)",
    Exit.MISSING_INPUT: "the recording, the model, the configuration, the token file, the folder of an output or (with"
    " --on-disconnect quit) the port is missing",
    Exit.PORT_BUSY: "the port is busy (with --on-disconnect quit)",
    Exit.UNEXPECTED: "an unexpected error, please report it",
    Exit.DEVICE_LOST: "the device was lost, or sent nothing for 30 s (with --on-disconnect quit)",
    Exit.PERMISSION: "no permission for the port for 10 s: the user is not in the group dialout",
    Exit.BAD_CONFIG: "the configuration is wrong, or the model is unreadable or disagrees with its manifest, or (with"
    " --on-disconnect quit) does not fit the mat",
}

EXAMPLES: Final = """\
  edge-run --port sim: --duration 6
  edge-run --port /dev/serial/by-id/usb-Mat_0001 --record night.matlog
  edge-run --port bed=/dev/ttyUSB0 --port couch=/dev/ttyUSB1 \\
      --output mqtt://homeassistant.local --output http://127.0.0.1:8765
  edge-run -r night.matlog | jq -c 'select(.type == "pose") | .joints.head'
  edge-run --port sim: --print-config > bed.toml
  edge-run --config bed.toml --check-config
"""


def epilog() -> str:
    sections = {"FILES": FILES, "ENVIRONMENT": ENVIRONMENT, "SIGNALS": SIGNALS}
    told = [f"{title}:\n{_terms(terms)}" for title, terms in sections.items()]
    codes = "\n".join(_wrapped(f"  {code:2d}  ", text) for code, text in EXIT_CODES.items())
    return "\n\n".join([*told, f"EXIT CODES:\n{codes}", f"EXAMPLES:\n{EXAMPLES}"])


def _terms(terms: dict[str, str]) -> str:
    return "\n".join(f"  {term}\n{_wrapped(' ' * 6, text)}" for term, text in terms.items())


def _wrapped(indent: str, text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_on_hyphens=False,
        break_long_words=False,
    )
