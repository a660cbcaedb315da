"""Graph networks as posture heads: GCN, GAT and GraphSAGE of torch_geometric, as in the paper."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from train.posture.fitting import Labelled, inner_splits
from train.posture.graphs import repeated

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # torch_geometric 2.8 scripts a class while it is imported
    from torch_geometric.nn import GATConv, GCNConv, SAGEConv

LAYERS: Final[Mapping[str, Callable[[int, int], nn.Module]]] = {"GCN": GCNConv, "GAT": GATConv, "GraphSAGE": SAGEConv}
EPOCHS: Final = (10, 20, 40)
"""Tried; the inner split by person chooses."""
WIDTH: Final = 16
BATCH: Final = 128
LEARNING_RATE: Final = 5e-3
WEIGHT_DECAY: Final = 1e-2


class GraphNet(nn.Module):
    """Two graph layers, then all points side by side into a linear layer: each point keeps its name there."""

    def __init__(self, edges: Tensor, layer: str, points: int, features: int, classes: int) -> None:
        super().__init__()
        self.edges, self.points = edges, points
        self.first, self.second = LAYERS[layer](features, WIDTH), LAYERS[layer](WIDTH, WIDTH)
        self.out = nn.Linear(points * WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, F) -> logits (B, classes)."""
        edges = repeated(self.edges, self.points, len(x))
        hidden = F.relu(self.first(x.flatten(0, 1), edges))
        hidden = F.relu(self.second(hidden, edges))
        return self.out(hidden.reshape(len(x), -1))


@dataclass(frozen=True)
class GraphHead:
    """Log-probabilities of a net on features standardised point by point."""

    net: GraphNet
    mean: NDArray[np.float64]
    """(K, F)."""
    scale: NDArray[np.float64]

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        with torch.inference_mode():
            parts = [F.log_softmax(self.net(part), 1) for part in self.standardised(x).split(BATCH)]
            return torch.cat(parts).double().numpy()

    def standardised(self, x: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy((x - self.mean) / self.scale).float()


def fit_graph(known: Labelled, edges: Tensor, layer: str) -> GraphHead:
    """Trained for the epochs with the least log loss on people left out."""
    loss = np.zeros(len(EPOCHS))
    splits = inner_splits(known)
    for inner, left_out in splits:
        for i, head in enumerate(trained(inner, edges, layer, EPOCHS)):
            loss[i] -= head(left_out.x)[np.arange(len(left_out.y)), left_out.y].sum()
    best = EPOCHS[int(loss.argmin())] if splits else EPOCHS[len(EPOCHS) // 2]
    return next(trained(known, edges, layer, [best]))


def trained(known: Labelled, edges: Tensor, layer: str, epochs: Sequence[int]) -> Iterator[GraphHead]:
    """One head, yielded after each of `epochs` (rising) and then trained on."""
    random = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = GraphNet(edges, layer, known.x.shape[1], known.x.shape[2], known.classes)
    head = GraphHead(net, known.x.mean(0), known.x.std(0) + 1e-9)
    x, y = head.standardised(known.x), torch.from_numpy(known.y)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for epoch in range(1, max(epochs) + 1):
        for batch in torch.randperm(len(y), generator=random).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
        if epoch in epochs:
            yield head
