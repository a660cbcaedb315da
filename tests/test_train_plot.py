"""train-plot as a user runs it: pictures change with the data, bad data are named."""

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image
from untrained import untrained

from edge.model import DEFAULT_MODEL
from firmware_bridge.errors import Exit, run_command
from train import pictures
from train.config import TrainConfig
from train.plot import main, mean_errors_cm, median_and_worst, read_losses
from train.pmd import read_pmd


def plot(*arguments: object) -> int:
    return run_command("train-plot", lambda: main([str(a) for a in arguments]))


def run_folder(path: Path, *, level: float = 0.1, mask_steps: int = 50, steps: int = 300) -> Path:
    """What train-run leaves: the terms of a stage are empty in the other."""
    path.mkdir()
    with (path / "losses.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "loss", "cross_entropy", "l1"])
        writer.writeheader()
        for step in range(1, steps + 1):
            term = {"cross_entropy": 0.5} if step <= mask_steps else {"l1": level * (1 + 3 / step)}
            writer.writerow({"step": step, "loss": 1.0, **term})
    return path


def lowest(image: NDArray[np.uint8], colour: str) -> int:
    """The lowest row, counted from the top, that has pixels of this colour."""
    close = np.abs(image.astype(int) - np.array(to_rgb(colour)) * 255).max(-1) <= 6
    return int(np.flatnonzero(close.any(1)).max())


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_curves_of_two_runs_are_drawn_and_follow_their_data(tmp_path: Path) -> None:
    a, b = run_folder(tmp_path / "a"), run_folder(tmp_path / "b", level=0.3, mask_steps=0)
    out, swapped = tmp_path / "l.png", tmp_path / "swapped.png"
    assert plot("losses", a, b, "--terms", "l1", "--out", out) == Exit.OK
    assert plot("losses", b, a, "--terms", "l1", "--out", swapped) == Exit.OK
    first, second = pictures.RUN_COLOURS[:2]
    assert lowest(pixels(out), first) > lowest(pixels(out), second)
    assert lowest(pixels(swapped), first) < lowest(pixels(swapped), second)


def test_terms_that_runs_have_are_drawn_unless_others_are_named(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a")
    widths = {}
    for terms in (None, "l1", "l1,cross_entropy,loss"):
        out = tmp_path / "l.png"
        assert plot("losses", folder, *(("--terms", terms) if terms else ()), "--out", out) == Exit.OK
        widths[terms] = pixels(out).shape[1]
    assert widths["l1"] < widths[None] < widths["l1,cross_entropy,loss"]


def test_losses_are_read_as_numbers_with_gaps(tmp_path: Path) -> None:
    losses = read_losses(run_folder(tmp_path / "a"))
    assert losses["step"].tolist() == list(range(1, 301))
    assert np.isfinite(losses["cross_entropy"]).sum() == 50
    assert np.isfinite(losses["l1"]).sum() == 250


def test_runs_of_one_name_need_one_colour(tmp_path: Path, capsys) -> None:
    folders = [run_folder(tmp_path / str(i)) for i in range(9)]
    assert plot("losses", *(f"seeds={folder}" for folder in folders), "--out", tmp_path / "l.png") == Exit.OK
    assert plot("losses", *folders, "--out", tmp_path / "l.png") == Exit.USAGE
    assert "9 names are more than the 8 colours" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, Exit.MISSING_INPUT, "train-run writes it"),
        ("", Exit.FOREIGN_DATA, "no rising column step"),
        ("step,l1\n2,0.1\n1,0.1\n", Exit.FOREIGN_DATA, "no rising column step"),
        ("step,l1\n1,low\n", Exit.FOREIGN_DATA, "something other than numbers"),
        ("step,l1\n1,0.1,0.2\n", Exit.FOREIGN_DATA, "something other than numbers"),
        ("step,l1\n1\n", Exit.FOREIGN_DATA, "something other than numbers"),
        ("step,l2\n1,0.1\n", Exit.USAGE, "no run has the term l1: they have l2"),
    ],
)
def test_folders_without_losses_are_named(tmp_path: Path, capsys, content: str | None, code, words: str) -> None:
    if content is not None:
        (tmp_path / "losses.csv").write_text(content)
    assert plot("losses", tmp_path, "--terms", "l1", "--out", tmp_path / "l.png") == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "l.png").exists()


def test_runs_without_any_of_the_usual_terms_are_told_which_they_have(tmp_path: Path, capsys) -> None:
    (tmp_path / "losses.csv").write_text("step,loss\n1,0.1\n")
    assert plot("losses", tmp_path, "--out", tmp_path / "l.png") == Exit.FOREIGN_DATA
    assert "no run has a term to draw: they have loss" in capsys.readouterr().err


def test_people_who_trained_the_model_are_told_in_the_picture_and_beside_it(
    pmd: Path, joints_i: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    titles: list[str] = []
    panels = pictures.panels
    monkeypatch.setattr(pictures, "panels", lambda *told: (titles.extend(told[2]), panels(*told))[1])
    for subject in (12, 13):
        where = ("--data", pmd, "--subjects", subject, "--joints", joints_i, "--count", 1)
        assert plot("overlays", "--model", DEFAULT_MODEL, *where, "--out", tmp_path / "o.png") == Exit.OK
    assert capsys.readouterr().err.count("warning: pmd:12 trained this model") == 1
    of_12, of_13 = (title.splitlines() for title in titles)
    assert of_12[2] == "trained on"
    assert len(of_13) == len(of_12) - 1
    assert of_13[1].startswith("S13/")


def test_overlays_show_the_joints_annotated_and_found(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.png"
    where = ("--data", pmd, "--subjects", 13, "--joints", joints_i)
    assert plot("overlays", "--model", DEFAULT_MODEL, *where, "--count", 4, "--out", out) == Exit.OK
    image = pixels(out).astype(int)
    for colour in pictures.SIDE_COLOURS.values():
        close = np.abs(image - np.array(to_rgb(colour)) * 255).max(-1) <= 6
        third = image.shape[0] // 3
        annotated, found, points = (close[i * third : (i + 1) * third].sum() for i in range(3))
        assert annotated > 500
        assert found == pytest.approx(annotated, rel=0.4), "person 13 is found well"
        assert points < 0.2 * annotated


def test_joints_of_the_linear_map_are_drawn_on_demand(pmd: Path, joints_i: Path, tmp_path: Path) -> None:
    images = []
    for source in ("joints", "keypoints"):
        out = tmp_path / f"{source}.png"
        where = ("--data", pmd, "--subjects", 13, "--joints", joints_i, "--joints-from", source, "--count", 1)
        assert plot("overlays", "--model", DEFAULT_MODEL, *where, "--out", out) == Exit.OK
        images.append(pixels(out))
    assert images[0].shape == images[1].shape
    middle = slice(images[0].shape[0] // 3, 2 * images[0].shape[0] // 3)
    assert (images[0][middle] != images[1][middle]).any(-1).sum() > 500


def test_a_model_without_the_linear_map_is_named(pmd: Path, joints_i: Path, tmp_path: Path, capsys) -> None:
    untrained(TrainConfig()).save(tmp_path / "model.pt")
    where = ("--data", pmd, "--subjects", 13, "--joints", joints_i, "--joints-from", "keypoints")
    assert plot("overlays", "--model", tmp_path / "model.pt", *where, "--out", tmp_path / "o.png") == Exit.USAGE
    assert "model.pt has no linear map to joints" in capsys.readouterr().err


def test_median_and_worst_maps_are_chosen_by_their_error() -> None:
    error = np.array([5.0, 1, 9, 2, 3, 8, 4, 7, 6])
    chosen, kinds = median_and_worst(error, 4)
    assert error[chosen].tolist() == [4, 5, 8, 9]
    assert kinds == ["median", "median", "worst", "worst"]
    everything, _ = median_and_worst(error, 100)
    assert sorted(everything) == list(range(9))
    assert median_and_worst(error[:1], 4) == ([0], ["worst"])


def test_only_joints_that_can_be_seen_count_for_a_maps_error(pmd: Path, joints_i: Path) -> None:
    maps = read_pmd(pmd, [13], joints=joints_i).medians()
    found_cm = maps.joints[..., :2].astype(float)
    found_cm[..., 0] += np.where(maps.joints[..., 2] >= 1, 3, 300)
    np.testing.assert_allclose(mean_errors_cm(found_cm, maps), 3, rtol=1e-5)


def test_maps_without_joints_cannot_be_ranked(pmd: Path, tmp_path: Path, capsys) -> None:
    arguments = ("--model", DEFAULT_MODEL, "--data", pmd, "--subjects", 13, "--out", tmp_path / "o.png")
    assert plot("overlays", *arguments) == Exit.MISSING_INPUT
    assert "none of these maps has annotated joints: give --joints FILE" in capsys.readouterr().err


def test_other_kinds_of_picture_are_refused_before_the_work(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        plot("losses", tmp_path / "none", "--out", "l.svg")
    assert "does not end in .png" in capsys.readouterr().err
