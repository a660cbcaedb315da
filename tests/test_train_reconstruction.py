"""Maps through keypoints and back, and PCA as the yardstick."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from untrained import untrained

from edge.manifest import Preprocessing
from edge.preprocess import Preprocessor
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train.checkpoint import Checkpoint
from train.config import TrainConfig
from train.encoder import EncoderConfig
from train.maps import Group, Maps
from train.rebuild import RebuildConfig
from train.reconstruction import (
    DECODER,
    KEYPOINTS,
    PCA,
    Principal,
    Rebuilder,
    Study,
    Way,
    at_taxels,
    measure,
    over_people,
    spread_frames,
    study,
    summary,
)

GRID = Grid(32, 16, 5.0, 5.0)
CONSTANTS = Preprocessing(middle_percent=0)
"""As in training."""


def small(*, people: tuple[str, ...] = (), dense: bool = True) -> Checkpoint:
    """Three keypoints at 32 x 16."""
    rebuild = RebuildConfig(widths=(4, 4, 4), dense=dense)
    config = TrainConfig(rows=32, cols=16, pitch_cm=5.0, encoder=EncoderConfig(keypoints=3), rebuild=rebuild)
    return untrained(config, people)


def blobs(people: dict[str, int], frames: int = 1, grid: Grid = GRID, seed: int = 0) -> Maps:
    """So many groups of each person, each a blob somewhere else; its frames differ by noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: grid.rows, : grid.cols] + 0.5
    names = [person for person, count in people.items() for _ in range(count)]
    pressure = []
    for _ in names:
        row, col = random.uniform(0.3, 0.7, 2) * [grid.rows, grid.cols]
        blob = 100 * np.exp(-(((y - row) / grid.rows * 8) ** 2) - ((x - col) / grid.cols * 4) ** 2)
        pressure += [blob + random.uniform(0, 2, blob.shape) for _ in range(frames)]
    groups = [Group(f"{person}/{i}", person) for i, person in enumerate(names)]
    return Maps(np.stack(pressure).astype(np.float32), grid, groups, np.repeat(np.arange(len(groups)), frames))


def rank_two(count: int, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    parts = random.uniform(0, 0.4, (2, 6, 5)) * [[[1]], [[0.3]]]
    return (0.1 + np.tensordot(random.uniform(0, 1, (count, 2)), parts, 1)).astype(np.float32)


def test_as_many_components_as_the_maps_vary_in_bring_them_back() -> None:
    maps = rank_two(20)
    principal = Principal.fit(maps, 2)
    np.testing.assert_allclose(principal.rebuild(maps, 2), maps, atol=1e-5)
    one = np.abs(principal.rebuild(maps, 1) - maps).mean()
    none = np.abs(principal.rebuild(maps, 0) - maps).mean()
    assert 1e-3 < one < none


def test_components_are_those_of_the_people_fitted_on_not_of_the_maps_rebuilt() -> None:
    others = rank_two(20, seed=1)
    error = np.abs(Principal.fit(rank_two(20), 2).rebuild(others, 2) - others).mean()
    assert error > 0.01


def test_the_first_component_is_the_strongest() -> None:
    maps = rank_two(50)
    principal = Principal.fit(maps, 2)
    spread = ((maps - principal.mean).reshape(50, -1) @ principal.axes.T).std(0)
    assert spread[0] > spread[1] > 0
    np.testing.assert_allclose(principal.axes @ principal.axes.T, np.eye(2), atol=1e-6)


def test_too_few_maps_for_so_many_components_are_an_error() -> None:
    with pytest.raises(Failure, match="20 components need more than the 20 maps") as caught:
        Principal.fit(rank_two(20), 20)
    assert caught.value.code == Exit.MISSING_INPUT


def test_measures_are_those_of_each_map() -> None:
    truth = np.random.default_rng(0).uniform(0.2, 0.8, (2, 20, 16)).astype(np.float32)
    rebuilt = truth.copy()
    rebuilt[1] += 0.1
    np.testing.assert_allclose(measure(rebuilt, truth)[0], [0, 0, 1], atol=1e-6)
    l1, l2, ssim = measure(rebuilt, truth)[1]
    assert (l1, l2) == pytest.approx((0.1, 0.01), rel=1e-4)
    assert 0.5 < ssim < 0.999
    assert measure(truth[:, ::-1].copy(), truth)[0, 2] < 0.2


def test_the_decoder_gets_positions_and_values_and_with_its_dense_plane_the_features() -> None:
    dense, rendered_only = Rebuilder(small()), Rebuilder(small(dense=False))
    assert (dense.position_numbers, dense.numbers) == (9, 9 + 3 * 16)
    assert (rendered_only.position_numbers, rendered_only.numbers) == (9, 9)


def test_a_map_is_rebuilt_the_same_whatever_maps_are_beside_it() -> None:
    rebuilder, maps = Rebuilder(small()), blobs({"a": 20})
    together = rebuilder(maps).maps
    assert together.shape == (20, 32, 16)
    assert together.min() >= 0
    assert together.max() <= 1
    np.testing.assert_allclose(rebuilder(maps.of_groups([17])).maps, together[17:18], atol=1e-6)


def test_a_finer_model_grid_is_compared_on_the_mats_own_taxels() -> None:
    """Three times as fine and wider than the mat, as in the reference variant: its input there is the mat's own."""
    maps, fine = blobs({"a": 3}), Grid(120, 72, 5.0 / 3, 5.0 / 3)
    seen = at_taxels(
        torch.from_numpy(maps.examples(fine, CONSTANTS).inputs), Preprocessor(maps.grid, fine, CONSTANTS)
    ).numpy()
    np.testing.assert_allclose(seen, maps.examples(GRID, CONSTANTS).inputs, atol=1e-3)


def test_a_checkpoint_that_cannot_rebuild_is_named() -> None:
    with pytest.raises(Failure, match="holds the encoder alone") as caught:
        Rebuilder(small().encoder_only())
    assert caught.value.code == Exit.BAD_CONFIG
    other = small(dense=False)
    other.config = small().config
    with pytest.raises(Failure, match="built otherwise") as caught:
        Rebuilder(other)
    assert caught.value.code == Exit.BAD_CONFIG


def test_frames_are_spread_over_each_group() -> None:
    maps = blobs({"a": 2}, frames=9)
    few = spread_frames(maps, 3)
    np.testing.assert_array_equal(few.pressure, maps.pressure[[0, 4, 8, 9, 13, 17]])
    assert few.group_index.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(spread_frames(maps, 100)) == len(maps)


def test_every_way_is_measured_on_the_same_median_maps() -> None:
    checkpoint = small(people=("a", "b"))
    training, test = blobs({"a": 10, "b": 10}, frames=4), blobs({"c": 4}, frames=3, seed=1)
    result = study(checkpoint, training, test, frames=4)
    assert result.seen_in_training == []
    assert [(way.name, way.numbers) for way in result.ways] == [
        (KEYPOINTS, 57),
        (DECODER, 57),
        ("PCA", 9),
        ("PCA", 57),
        ("PCA, mirrored maps too", 9),
        ("PCA, mirrored maps too", 57),
    ]
    np.testing.assert_array_equal(result.inputs, test.medians().examples(GRID, CONSTANTS).inputs)
    for way in result.ways:
        np.testing.assert_allclose(way.quality, measure(way.rebuilt, result.inputs))
    corrected_l1, untrained_l1, few_l1, many_l1 = (way.quality[:, 0].mean() for way in result.ways[:4])
    assert many_l1 < few_l1 < untrained_l1
    assert corrected_l1 < untrained_l1
    assert study(checkpoint, training, training, frames=4).seen_in_training == ["a", "b"]


def test_there_are_no_more_components_than_taxels() -> None:
    """Keypoints that carry more numbers than a map has taxels meet a PCA that brings back all of it."""
    rebuild = RebuildConfig(widths=(4, 4, 4), dense=True)
    config = TrainConfig(rows=32, cols=16, pitch_cm=5.0, encoder=EncoderConfig(keypoints=30), rebuild=rebuild)
    result = study(untrained(config, ["a"]), blobs({"a": 60}, frames=10), blobs({"c": 4}, seed=1), frames=10)
    assert [(way.name, way.numbers) for way in result.ways[1:4]] == [(DECODER, 570), (PCA, 90), (PCA, 512)]
    np.testing.assert_allclose(result.ways[3].quality, [[0, 0, 1]] * 4, atol=1e-5)


def test_mirrored_maps_help_pca_with_people_who_lie_the_other_way_round() -> None:
    checkpoint = small(dense=False)
    training = blobs({"a": 12}, frames=4)
    result = study(checkpoint, training, _mirrored(training), frames=4)
    l1 = {way.name: way.quality[:, 0].mean() for way in result.ways}
    assert l1["PCA, mirrored maps too"] < l1["PCA"]


def _mirrored(maps: Maps) -> Maps:
    return Maps(maps.pressure[:, :, ::-1].copy(), maps.grid, maps.groups, maps.group_index)


def scored(people: dict[str, tuple[float, float]], numbers: int = 9) -> Study:
    """Two maps a person, rebuilt with the given l1 from keypoints and by PCA."""
    maps = blobs(dict.fromkeys(people, 2))
    ours, pca = (np.array([[people[g.person][i]] * 3 for g in maps.groups]) for i in range(2))
    nothing = np.zeros((len(maps), 32, 16), np.float32)
    ways = [Way(KEYPOINTS, numbers, nothing, ours), Way("PCA", numbers, nothing, pca)]
    return Study(maps, nothing, ways, [])


def test_folds_are_pooled_and_compared_map_by_map() -> None:
    """Keypoints are 0.1 better for everybody: that is sure, however much people differ."""
    result = summary([scored({"a": (0.1, 0.2), "b": (0.5, 0.6)}), scored({"c": (0.3, 0.4)})])
    ours, pca = result["ways"]
    assert ours["l1"] == pytest.approx(0.3)
    assert ours["interval_95"]["l1"] == pytest.approx([0.1, 0.5], abs=0.1)
    assert pca["difference"]["l1"] == pytest.approx(-0.1)
    assert pca["difference"]["interval_95"]["l1"] == pytest.approx([-0.1, -0.1])
    assert "difference" not in ours
    assert result["data"] == {"people": ["a", "b", "c"], "maps": 6, "seen_in_training": []}


def test_the_interval_is_over_people_each_with_the_weight_of_its_maps() -> None:
    values = np.array([[1.0] * 3] * 3 + [[5.0] * 3])
    result = over_people(values, np.array(["a", "a", "a", "b"]))
    assert result["ssim"] == 2
    assert result["interval_95"]["ssim"] == [1, 5]
    assert over_people(values, np.array(["a"] * 4))["interval_95"] is None


def test_folds_of_other_numbers_are_not_pooled() -> None:
    with pytest.raises(Failure, match="different numbers") as caught:
        summary([scored({"a": (0.1, 0.2)}), scored({"b": (0.1, 0.2)}, numbers=12)])
    assert caught.value.code == Exit.USAGE
