"""Weights and batch statistics that follow a net's slowly: a mean teacher's, and those that stage 2 ends with."""

from torch import Tensor, nn

Weights = dict[str, Tensor]


def copied(net: nn.Module) -> Weights:
    """All that `net.load_state_dict` takes, and nothing that later steps change."""
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def follow(weights: Weights, net: nn.Module, decay: float) -> None:
    """`weights` keep the share `decay` of what they were; 0 makes them a copy. They are changed in place."""
    for own, followed in zip(weights.values(), net.state_dict().values(), strict=True):
        if own.is_floating_point():
            own.lerp_(followed, 1 - decay)
        else:
            own.copy_(followed)
