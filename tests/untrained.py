"""A checkpoint as train-run writes it, of a net that was never trained."""

from collections.abc import Sequence

import torch

from edge.manifest import Training
from train.checkpoint import Checkpoint
from train.config import TrainConfig
from train.rebuild import EncoderFuserDecoder


def untrained(config: TrainConfig, people: Sequence[str] = ()) -> Checkpoint:
    torch.manual_seed(0)
    state = EncoderFuserDecoder(config.rows, config.cols, config.encoder, config.rebuild).state_dict()
    encoder = {name.removeprefix("encoder."): t for name, t in state.items() if name.startswith("encoder.")}
    rest = {name: t for name, t in state.items() if not name.startswith("encoder.")}
    training = Training(
        data=[], people=list(people), labelled_people=[], simulated_seeds="", steps=0, command="test", software="0"
    )
    return Checkpoint(config, training, 0, encoder, rest)
