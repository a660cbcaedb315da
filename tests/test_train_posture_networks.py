"""Graph networks as posture heads, and what a complete graph does to them."""

import numpy as np
import pytest
import torch
from posture_people import POINTS, people

from firmware_bridge.skeleton import JOINTS
from train.posture.graphs import body_graph, complete_graph, nearest_graph
from train.posture.networks import LAYERS, GraphNet, fit_graph, trained


def spread(layer: str, edges: torch.Tensor) -> float:
    """How far apart one layer leaves the 14 joints of a body, relative to the size of what it says."""
    torch.manual_seed(0)
    joints = torch.randn(len(JOINTS), 4)
    with torch.no_grad():
        out = LAYERS[layer](4, 8)(joints, edges)
    return float((out - out.mean(0)).abs().max() / out.abs().max())


def test_after_one_gcn_layer_on_the_complete_graph_all_points_are_equal() -> None:
    assert spread("GCN", complete_graph(len(JOINTS))) < 1e-5
    assert spread("GCN", body_graph()) > 0.3


def test_graphsage_keeps_a_points_own_features_on_the_complete_graph() -> None:
    assert spread("GraphSAGE", complete_graph(len(JOINTS))) > 0.3


def test_a_gcn_on_the_complete_graph_sees_only_the_mean_point() -> None:
    """Two bodies with the same mean of their points, and one that only moved."""
    torch.manual_seed(0)
    net = GraphNet(complete_graph(POINTS), "GCN", POINTS, 4, 3)
    sparse = GraphNet(nearest_graph(people("a").x[..., :2], 2), "GCN", POINTS, 4, 3)
    body = torch.randn(1, POINTS, 4)
    bent = body.clone()
    bent[0, 1], bent[0, 4] = body[0, 1] + 2, body[0, 4] - 2
    with torch.no_grad():
        torch.testing.assert_close(net(bent), net(body), atol=1e-5, rtol=1e-5)
        assert (net(body + 1) - net(body)).abs().max() > 0.01
        assert (sparse(bent) - sparse(body)).abs().max() > 0.01


@pytest.mark.parametrize("layer", list(LAYERS))
def test_the_posture_of_new_people_is_found_on_a_sparse_graph(layer: str) -> None:
    known, new = people("abcdef", maps=60), people("xyz", seed=1)
    votes = fit_graph(known, nearest_graph(known.x[..., :2], 1), layer)(new.x).argmax(1)
    assert (votes == new.y).mean() > 0.7


def test_a_gcn_on_the_complete_graph_cannot_find_it() -> None:
    """Which point is out is all that tells the classes apart, and their mean does not say."""
    known, new = people("abcdef"), people("xyz", seed=1)
    votes = fit_graph(known, complete_graph(POINTS), "GCN")(new.x).argmax(1)
    assert (votes == new.y).mean() < 0.6


def test_scores_are_log_probabilities_and_do_not_depend_on_the_other_maps() -> None:
    known = people("ab")
    head = next(trained(known, nearest_graph(known.x[..., :2], 2), "GAT", [1]))
    scores = head(known.x)
    np.testing.assert_allclose(np.exp(scores).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(head(known.x[7:8]), scores[7:8], atol=1e-5)


def test_a_head_is_the_same_each_time_whatever_was_drawn_before() -> None:
    known = people("ab", maps=9)
    heads = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        heads.append(next(trained(known, complete_graph(POINTS), "GraphSAGE", [3])))
        assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(heads[0](known.x), heads[1](known.x))
