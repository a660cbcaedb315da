"""Graphs over a body's points."""

import numpy as np
import torch

from firmware_bridge.skeleton import BONES, JOINTS
from train.posture.graphs import body_graph, complete_graph, nearest_graph, repeated


def pairs(edges: torch.Tensor) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in edges.T}


def test_the_body_graph_has_each_bone_both_ways() -> None:
    edges = body_graph()
    assert edges.shape == (2, 2 * len(BONES))
    knee, hip, neck = (JOINTS.index(name) for name in ("r_knee", "r_hip", "neck"))
    assert {(knee, hip), (hip, knee)} <= pairs(edges)
    assert (knee, neck) not in pairs(edges)
    assert set(edges.flatten().tolist()) == set(range(len(JOINTS)))


def test_the_complete_graph_joins_every_point_with_every_other() -> None:
    assert pairs(complete_graph(5)) == {(a, b) for a in range(5) for b in range(5) if a != b}


def test_neighbours_are_near_on_average_over_the_maps_and_joined_both_ways() -> None:
    """Points on a line, each map shifted, and one map in which the ends are swapped: the mean decides."""
    line = np.stack([np.zeros(6), 10.0 * np.arange(6)], 1)
    swapped = line[[5, 1, 2, 3, 4, 0]]
    edges = nearest_graph(np.stack([line, line + 7, line - 3, swapped]), 1)
    assert pairs(edges) == {(b, a) for a, b in pairs(edges)}
    assert {a for a, _ in pairs(edges)} == set(range(6))
    assert {abs(a - b) for a, b in pairs(edges)} == {1}


def test_no_more_neighbours_than_there_are_points() -> None:
    assert pairs(nearest_graph(np.random.default_rng(0).random((4, 3, 2)), 9)) == pairs(complete_graph(3))


def test_maps_of_a_batch_do_not_touch() -> None:
    edges = repeated(body_graph(), len(JOINTS), 3)
    assert edges.shape[1] == 3 * body_graph().shape[1]
    assert (edges[0] // len(JOINTS) == edges[1] // len(JOINTS)).all()
    assert pairs(edges % len(JOINTS)) == pairs(body_graph())
    assert set((edges[0] // len(JOINTS)).tolist()) == {0, 1, 2}
