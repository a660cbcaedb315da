"""The report that is read says the verdict first and leaves out nothing that is not as it should be."""

from dataclasses import replace

import pytest
from examined import examined, maps_of, with_frames

from convert.causes import Cause
from convert.document import Picture, Table, Text, markdown
from convert.report import Report
from convert.sections import PICTURED, pictures, sections, title
from edge.runtime import Delegation
from firmware_bridge.skeleton import JOINTS


def text_of(*parts: object) -> str:
    report = Report(parts, 0.1, 2.0)  # type: ignore[arg-type]
    return markdown(title(report), sections(report))


def table(report: Report, starts: str) -> Table:
    (found,) = [
        block
        for s in sections(report)
        for block in s.blocks
        if isinstance(block, Table) and block.title.startswith(starts)
    ]
    return found


def test_a_good_model() -> None:
    text = text_of(examined(maps_of(5), 1.0, 1.05))
    assert text.startswith(
        "# m.tflite on 5 maps of pmd:13\n\n## Verdict\n\n**passed**\n\nrise of the mean error 0.050 cm"
    )
    assert "XNNPACK takes the whole graph in 1 partition\n" in text
    assert "TFLM equals the reference kernels byte for byte" in text
    assert "111,408 bytes, 65,166 parameters, 6.4 M MAC, arena 73,376 bytes" in text
    assert "operators: 16 CONV_2D" in text
    assert "worst: tensor 0 (CONV_2D) with 30.0 dB. a remedy" in text
    assert "warning" not in text
    assert "NOT" not in text


def test_whatever_is_not_as_it_should_be() -> None:
    bad = replace(
        examined(maps_of(5), 1.0, 1.5),
        xnnpack=Delegation(3, False),
        tflm_equals_reference=False,
        seen=["pmd:13"],
        causes=[Cause("the reason", True), Cause("a suspicion", False)],
        tensors=[],
    )
    text = text_of(bad)
    assert "**FAILED**" in text
    assert "warning: m.tflite was trained or calibrated on pmd:13" in text
    assert "limit 0.1 cm: FAILED" in text
    assert "**the reason**" in text
    assert "\na suspicion\n" in text
    assert "XNNPACK takes NOT the whole graph in 3 partitions" in text
    assert "TFLM DIFFERS FROM the reference kernels" in text
    assert "no tensor can be compared" in text


def test_causes_name_their_model_where_there_are_several() -> None:
    spoilt = replace(examined(maps_of(3), file="fold1.tflite"), causes=[Cause("the reason", True)])
    text = text_of(spoilt, examined(maps_of(3, "pmd:1"), file="fold2.tflite"))
    assert "# fold1.tflite, fold2.tflite on 6 maps of pmd:1, pmd:13" in text
    assert "**fold1.tflite: the reason**" in text


def test_every_joint_and_keypoint_has_a_row_the_worst_first() -> None:
    part = examined(maps_of(5), 1.0, 1.05)
    moved = part.stages["int8"].joints_cm.copy()
    moved[:, JOINTS.index("l_knee")] += [0, 3]
    int8 = replace(part.stages["int8"], joints_cm=moved)
    report = Report([replace(part, stages=part.stages | {"int8": int8})], 0.1, 2)
    joints = table(report, "Joints, cm: shift of int8")
    assert {row[0] for row in joints.rows} == set(JOINTS)
    assert joints.rows[0][0] == "l_knee"
    assert float(joints.rows[0][5]) > float(joints.rows[0][4]) == pytest.approx(1, abs=0.01)
    assert len(table(report, "m.tflite, label-free keypoints, cm: shift of int8").rows) == 32


def test_stages_have_their_accuracy_and_every_frame_a_table() -> None:
    maps = maps_of(5)
    report = Report([with_frames(examined(maps, 1.0, 1.2), maps, 1.0, 1.4)], 0.1, 2)
    rows = {row[0]: row for row in table(report, "Joints, cm: shift from PyTorch").rows}
    assert list(rows) == ["PyTorch", "float TFLite", "int8 weights", "int8 reference", "int8 TFLM", "int8 XNNPACK"]
    assert rows["PyTorch"][1:6] == ["", "", "", "", "1.000"]
    assert rows["int8 XNNPACK"][1:6] == ["0.200"] * 4 + ["1.200"]
    assert table(report, "Every frame (5)").rows[1][:2] == ["int8 XNNPACK", "0.400"]


def test_pictures_show_the_frames_that_moved_most_and_the_distribution() -> None:
    shown = pictures(Report([examined(maps_of(3))], 0.1, 2))
    assert all(isinstance(block, Picture) and block.png.startswith(b"\x89PNG") for block in shown.blocks)
    assert [block.title.partition(" ")[0] for block in shown.blocks if not isinstance(block, Text)] == [
        "The",
        "Distribution",
    ]
    assert PICTURED > 3  # fewer maps than panels: all are shown
