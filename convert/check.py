"""convert-check: what int8 costs, in centimetres, on people whom the model never saw."""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from convert.calibration import refuse_seen
from convert.compare import Bench, Stage, shift
from convert.kernels import Kept, MicroKernels, ReferenceKernels, xnnpack_delegation
from convert.package import ENCODER_SUFFIX
from convert.report import Report, StageReport, print_report
from edge.manifest import Manifest
from edge.model import KeypointModel
from edge.preprocess import Preprocessor
from firmware_bridge.errors import Exit, Failure
from train.arguments import add_data_arguments, read_data
from train.checkpoint import Checkpoint, load_checkpoint, sha256_of
from train.maps import Maps
from train.predict import FloatModel


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    model = KeypointModel.from_files(args.model)
    encoder = args.checkpoint or args.model.with_name(args.model.stem + ENCODER_SUFFIX)
    checkpoint = _float_model_of(encoder, model.manifest)
    report = check(args.model, model, checkpoint, read_data(args), args.max_drop_cm)
    print_report(report, Console(soft_wrap=True))
    if args.json:
        args.json.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    return Exit.OK if report.passed else Exit.CHECK_FAILED


def check(path: Path, model: KeypointModel, checkpoint: Checkpoint, maps: Maps, max_drop_cm: float) -> Report:
    """Compare all stages on one median map a group. Raises Failure (2) for people whom the model has seen."""
    manifest = model.manifest
    refuse_seen(maps.people, manifest.training, manifest.calibration.people, str(path))
    content = path.read_bytes()
    bench = Bench(maps, Preprocessor(maps.grid, manifest.grid, manifest.preprocessing))
    has_joints = manifest.output("joints") is not None
    truth = bench.float_stage(FloatModel(checkpoint), manifest.joint_map, has_joints=has_joints)

    def report(stage: Stage) -> StageReport:
        keypoints = shift(stage.keypoints_cm, truth.keypoints_cm) if manifest.output("keypoints") else None
        return StageReport(shift(stage.joints_cm, truth.joints_cm), keypoints, bench.score(stage.joints_cm))

    micro = MicroKernels(content)
    references, micros = Kept(ReferenceKernels(content)), Kept(micro)
    int8, reference, tflm = (
        report(bench.int8_stage(m, manifest.joint_map))
        for m in (model, KeypointModel(references, manifest), KeypointModel(micros, manifest))
    )
    return Report(
        file=path.name,
        size_bytes=len(content),
        manifest=manifest,
        people=bench.maps.people,
        maps=len(bench.maps),
        float_score=bench.score(truth.joints_cm),
        int8=int8,
        reference=reference,
        tflm=tflm,
        tflm_equals_reference=micros.equals(references),
        tflm_arena_bytes=micro.arena_bytes(),
        xnnpack=xnnpack_delegation(content),
        max_drop_cm=max_drop_cm,
    )


def _float_model_of(path: Path, manifest: Manifest) -> Checkpoint:
    """The checkpoint at `path`, if the int8 model was made from it; its encoder alone counts."""
    checkpoint = load_checkpoint(path)
    if sha256_of(path) != manifest.encoder_sha256:
        with tempfile.TemporaryDirectory() as folder:
            encoder = Path(folder) / path.name
            checkpoint.encoder_only().save(encoder)
            if sha256_of(encoder) != manifest.encoder_sha256:
                raise Failure(
                    f"{path} is not what model {manifest.name} was made from: give --checkpoint the right one",
                    Exit.BAD_CONFIG,
                )
    return checkpoint


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="convert-check", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL.tflite", help="with its manifest beside it")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="PyTorch's side (default: NAME.encoder.pt beside the model)"
    )
    add_data_arguments(parser, formats=True)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument(
        "--max-drop-cm",
        type=float,
        default=0.1,
        metavar="CM",
        help="largest rise of the mean error against --joints, or largest mean shift without (%(default)s)",
    )
    return parser
