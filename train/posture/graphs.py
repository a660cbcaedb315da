"""Which points a graph head lets talk to each other, as torch_geometric's edge_index: (2, E), both directions."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firmware_bridge.skeleton import BONES, JOINTS

NEIGHBOURS: Final = 3
"""Of a label-free point: about as many as a joint has bones."""


def body_graph() -> Tensor:
    """The bones between the 14 joints."""
    return _both_ways(np.array([[JOINTS.index(a), JOINTS.index(b)] for a, b in BONES]))


def complete_graph(points: int) -> Tensor:
    """Every point with every other, the paper's choice."""
    return _both_ways(np.column_stack(np.triu_indices(points, 1)))


def nearest_graph(xy_cm: NDArray[np.floating], neighbours: int = NEIGHBOURS) -> Tensor:
    """Each point with those nearest to it by mean distance over the maps (N, K, 2); an edge if either chose the other.

    One graph for all maps: a label-free point has no bones, but it keeps its place on the body.
    """
    distance_cm = np.mean([np.linalg.norm(one[:, None] - one, axis=-1) for one in xy_cm], 0)
    np.fill_diagonal(distance_cm, np.inf)
    nearest = distance_cm.argsort(1)[:, : min(neighbours, len(distance_cm) - 1)]
    chosen = np.zeros(distance_cm.shape, bool)
    np.put_along_axis(chosen, nearest, True, 1)
    return _both_ways(np.argwhere(np.triu(chosen | chosen.T)))


def repeated(edges: Tensor, points: int, maps: int) -> Tensor:
    """The same graph on each of `maps` maps, their points numbered on: (2, E) -> (2, maps * E)."""
    offsets = torch.arange(maps) * points
    return (edges[:, None] + offsets[:, None]).reshape(2, -1)


def _both_ways(pairs: NDArray[np.integer]) -> Tensor:
    edges = torch.from_numpy(pairs.T.astype(np.int64))
    return torch.cat([edges, edges.flip(0)], 1)
