"""edge-run: keypoints of whoever lies on a pressure mat, to people and programs; logs go to stderr."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite
from pathlib import Path

from serial.tools.list_ports import comports

from edge.arguments import Options, parse
from edge.calibration import store
from edge.config.check import read_token
from edge.config.settings import DaemonConfig, MatSettings
from edge.control import Control
from edge.daemon import run_live
from edge.mat import LiveMat, Places
from edge.model import KeypointModel
from edge.notify import Notifier
from edge.outputs.fanout import Fanout
from edge.outputs.opening import open_outputs
from edge.outputs.sink import OutputClosed
from edge.outputs.uri import parse_all
from edge.recorder import Recorder
from edge.replay import Player, run_replay
from edge.session import Session
from edge.source import Mailbox, PortReader
from firmware_bridge.decoder import Decoder, StreamCounts
from firmware_bridge.errors import Exit, run_command
from firmware_bridge.link import ReopeningLink
from firmware_bridge.timeline import Timeline
from firmware_bridge.virtual_mat import open_port

log = logging.getLogger(__name__)

Stopping = Callable[[], bool]


def cli() -> None:
    sys.exit(run_command("edge-run", main))


def main(arguments: Sequence[str] | None = None) -> int:
    options, config = parse(arguments)
    logging.basicConfig(level=config.log_level.upper(), format="edge-run: %(message)s", stream=sys.stderr)
    if options.list_ports:
        return _list_ports()
    stopping = _stop_on_signals()
    model = KeypointModel.from_files(config.model, mirrored_too=config.mirrored_too)
    try:
        if options.replay:
            _replay(options, options.replay, config, model, stopping)
        else:
            _live(config, model, stopping)
    except OutputClosed:
        pass
    return Exit.OK


def _live(config: DaemonConfig, model: KeypointModel, stopping: Stopping) -> None:
    changed = threading.Condition()

    def wake() -> None:
        with changed:
            changed.notify()

    control = Control([mat.name for mat in config.mat], wake)
    notifier = Notifier()
    with _outputs(config, model, control, stopping) as outputs:
        mats = [_live_mat(config, settings, model, changed) for settings in config.mat]
        notifier.ready()
        run_live(
            mats,
            outputs.put,
            stopping,
            changed=changed,
            control=control,
            check=outputs.check,
            notifier=notifier,
            quit_on_loss=config.on_disconnect == "quit",
            duration_s=config.duration_s,
        )


def _live_mat(
    config: DaemonConfig, settings: MatSettings, model: KeypointModel, changed: threading.Condition
) -> LiveMat:
    mailbox = Mailbox(changed)
    recorder = Recorder(settings.name, config.recording, mailbox.put)
    link = ReopeningLink(partial(open_port, settings.port, settings.baud, settings.dtr))
    reader = PortReader(link, recorder, mailbox, corrected=settings.corrected)
    session = _session(config, settings, model, reader.counts, calibrated=True)
    target = config.recording.path
    if target:
        recorder.start(target)
    recordings = target if target and target.is_dir() else config.state_dir / "recordings"
    return LiveMat(reader, session, recorder, Places(config.state_dir, recordings))


def _replay(options: Options, path: Path, config: DaemonConfig, model: KeypointModel, stopping: Stopping) -> None:
    """Uses calibrations only where the configuration says where they are: without, the recording decides alone."""
    (settings,) = config.mat
    decoder = Decoder(settings.corrected)
    control = Control([settings.name])
    watched = isfinite(options.speed) and any(uri.scheme == "http" for uri in parse_all(config.output))
    player = Player(options.speed, config.duration_s, control, Timeline(path) if watched else None)
    begin = partial(_session, config, settings, model, calibrated="state_dir" in config.model_fields_set)
    with _outputs(config, model, control, stopping, lossless=True) as outputs:
        run_replay(
            path,
            decoder,
            begin(decoder.counts),
            outputs.put,
            stopping,
            check=outputs.check,
            quit_on_loss=config.on_disconnect == "quit",
            player=player,
            anew=begin,
        )


def _session(
    config: DaemonConfig, settings: MatSettings, model: KeypointModel, stream: StreamCounts, *, calibrated: bool
) -> Session:
    calibration = store.read(store.path_of(config.state_dir, settings.name)) if calibrated else None
    return Session(
        model,
        settings.name,
        stream,
        settings.orientation,
        smoothing=config.smoothing if config.smoothing.enabled else None,
        calibration=calibration,
        fatal_problem=config.on_disconnect == "quit",
        one_of_several=len(config.mat) > 1,
    )


def _outputs(
    config: DaemonConfig, model: KeypointModel, control: Control, stopping: Stopping, *, lossless: bool = False
) -> Fanout:
    posture = model.manifest.posture
    return open_outputs(
        parse_all(config.output),
        control,
        token=read_token(config.token_file) if config.token_file else None,
        allowed_hosts=config.http.allowed_hosts,
        postures=posture.classes if posture else (),
        lossless=lossless,
        stopping=stopping,
    )


def _list_ports() -> int:
    ports = sorted(comports())
    by_id = {path.resolve(): path for path in Path("/dev/serial/by-id").glob("*")}
    for port in ports:
        print(f"{by_id.get(Path(port.device).resolve(), port.device)}\t{port.device}\t{port.description}")
    if not ports:
        print("edge-run: this machine has no serial port: plug the mat in", file=sys.stderr)
    return Exit.OK


def _stop_on_signals() -> Stopping:
    """The first SIGTERM or SIGINT is noted, so that no line is cut in two; the next one ends the process."""
    seen: list[int] = []

    def note(number: int, frame: object) -> None:
        seen.append(number)
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    return lambda: bool(seen)
