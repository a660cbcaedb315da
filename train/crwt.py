"""CRWT, classification-to-regression weight transfer (SPMKD section III-D).

Stage 1 trains the whole net to say contact or no contact. Stage 2 keeps its weights, changes the head and
rebuilds the map itself; the encoder rests during the first steps, until the new head has settled. A stage 3, which
the paper does not have, makes the encoder ready for int8.
"""

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import nn

from edge.manifest import Training
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train.average import Weights, copied, follow
from train.checkpoint import Checkpoint
from train.compute import CPU, Compute
from train.config import TrainConfig
from train.fake_quant import FakeQuant
from train.objective import Objective
from train.parallel import BatchStatistics, Processes
from train.predict import body_prior
from train.rebuild import EncoderFuserDecoder
from train.sampling import TrainingSet
from train.teacher import Teacher

GRADIENT_LIMIT: Final = 5.0
QUANT_RATE: Final = 0.25
"""Share of the learning rate in stage 3."""
TOO_EARLY: Final = 0.25
"""Share of stage 2 that its average leaves out."""


class Stage(NamedTuple):
    """Some steps with a learning rate that warms up and falls."""

    name: str
    begin: int
    length: int
    rate: float


class Crwt:
    """The net, its optimizer and the step they are at; `init` is a model to begin from, whole or its encoder alone."""

    def __init__(
        self,
        config: TrainConfig,
        grid: Grid,
        init: Checkpoint | None = None,
        *,
        compute: Compute = Compute(CPU),  # noqa: B008  # frozen
        processes: Processes = Processes(),  # noqa: B008  # frozen
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.compute, self.processes = config, compute, processes
        self.net = EncoderFuserDecoder(config.rows, config.cols, config.encoder, config.rebuild)
        self.step = 0
        self._encoder_ahead = config.steps_mask > 0
        """Whether the encoder knows more than the net around it when stage 2 begins."""
        if init:
            self._begin_from(init)
        self.net.to(compute.device)
        self.net.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time a step
        self.average: Weights | None = None
        body = body_prior(init) if init else None
        self.teacher = Teacher(self.net.encoder, grid, compute, body) if config.weights.consistency else None
        self.fake_quant = FakeQuant(self.net.encoder) if config.steps_quant else None
        self.objective = Objective(config, grid, self.net, self.teacher, compute)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def run(self, data: TrainingSet) -> Iterator[dict[str, float]]:
        """Train to the end from where it is; yields the named losses of each step."""
        while self.step < self.config.steps:
            self._set_learning_rate()
            losses = self.gradients(data)
            nn.utils.clip_grad_norm_(self.net.parameters(), GRADIENT_LIMIT)
            self.optimizer.step()
            if self.teacher:
                self.teacher.follow(self.net.encoder, 0.0 if self.in_mask_stage else self.config.teacher_decay)
            self.step += 1
            self._average()
            yield losses

    def gradients(self, data: TrainingSet) -> dict[str, float]:
        """Fill the gradients of this step, the mean over the micro-batches of all processes; returns the named losses.

        What a micro-batch holds follows from seed, step and its number alone.
        """
        config, resting = self.config, self.encoder_rests
        self.net.train()
        quantiser = self.fake_quant if self.stage.name == "int8" else None
        self.net.encoder.train(not resting and quantiser is None)  # else batch norm's statistics stay
        self.net.encoder.requires_grad_(not resting)
        self.optimizer.zero_grad(set_to_none=True)
        statistics, sums = BatchStatistics(self.net), []
        for number in self.processes.share(config.micro_batches):
            random = np.random.default_rng([config.seed, self.step, number])
            size = config.batch // config.micro_batches
            batch = data.batch(size, config.simulated_share, random, config.other_frame).to(self.compute.device)
            generator = torch.Generator(self.compute.device).manual_seed(int(random.integers(2**63)))
            own = self.net.encoder
            exact = own if quantiser else None
            terms = self.objective.terms(batch, quantiser or own, self.in_mask_stage, resting, generator, exact)
            loss = torch.stack([getattr(config.weights, name) * term for name, term in terms.items()]).sum()
            (loss / config.micro_batches).backward()
            sums.append(torch.stack([loss, *terms.values()]).detach() / config.micro_batches)
            statistics.collect()
        losses = torch.stack(sums).sum(0)
        gradients = [p.grad for p in self.net.parameters() if p.grad is not None]
        ranges = [quantiser.sums] if quantiser else []
        self.processes.add_up([losses, *statistics.sums, *ranges, *gradients])
        statistics.settle(config.micro_batches)
        if quantiser:
            quantiser.settle(config.micro_batches)
        return dict(zip(["loss", *terms], losses.tolist(), strict=True))

    def checkpoint(self, training: Training, history: list[dict[str, float]]) -> Checkpoint:
        """Everything that a resumed run needs, and everything that the encoder's users need."""
        state = self.net.state_dict()
        encoder = {name.removeprefix("encoder."): t for name, t in state.items() if name.startswith("encoder.")}
        rest = {name: t for name, t in state.items() if not name.startswith("encoder.")}
        teacher = self.teacher.encoder.state_dict() if self.teacher else None
        ranges = self.fake_quant.ranges if self.fake_quant else None
        return Checkpoint(
            self.config,
            training,
            self.step,
            encoder,
            rest,
            self.optimizer.state_dict(),
            list(history),
            teacher=teacher,
            int8_ranges=ranges,
            average=self.average,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on where `checkpoint` stopped."""
        if checkpoint.rest is None or checkpoint.optimizer is None:
            raise Failure("this checkpoint holds a finished model alone: --init begins from it", Exit.BAD_CONFIG)
        self.net.encoder.load_state_dict(checkpoint.encoder)
        self._load_decoder(checkpoint.rest)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        if self.teacher and checkpoint.teacher:
            self.teacher.encoder.load_state_dict(checkpoint.teacher)
        if self.fake_quant and checkpoint.int8_ranges is not None:
            self.fake_quant.ranges = checkpoint.int8_ranges.to(self.compute.device)
        if checkpoint.average:
            self.average = {name: value.to(self.compute.device) for name, value in checkpoint.average.items()}
        self.step = checkpoint.step

    @property
    def stage(self) -> Stage:
        """`contact`, `map` or `int8`."""
        mask, whole = self.config.steps_mask, self.config.steps_mask + self.config.steps_map
        if self.step < mask:
            return Stage("contact", 0, mask, 1.0)
        if self.step < whole or not self.config.steps_quant:
            return Stage("map", mask, self.config.steps_map, 1.0)
        return Stage("int8", whole, self.config.steps_quant, QUANT_RATE)

    @property
    def in_mask_stage(self) -> bool:
        return self.stage.name == "contact"

    @property
    def encoder_rests(self) -> bool:
        """True in the first steps of stage 2, where there is something to protect."""
        into_stage_2 = self.step - self.config.steps_mask
        return self._encoder_ahead and 0 <= into_stage_2 < self.config.frozen_steps

    def _begin_from(self, init: Checkpoint) -> None:
        """The decoder comes along where there is one of the wanted kind; else it begins anew and the encoder rests."""
        self.net.encoder.load_state_dict(init.encoder)
        if init.rest is not None and init.config.rebuild == self.config.rebuild:
            self._load_decoder(init.rest)
        else:
            self._encoder_ahead = True

    def _load_decoder(self, rest: dict[str, torch.Tensor]) -> None:
        encoder = {f"encoder.{name}": t for name, t in self.net.encoder.state_dict().items()}
        self.net.load_state_dict(encoder | rest)

    def _average(self) -> None:
        """Stage 2 ends with a mean of its steps' weights, which fits another mat better than the last ones.

        Weight averaging: Izmailov et al., arXiv 1803.05407; here exponential, so that later steps count more.
        """
        length = self.config.steps_map
        done, span = self.step - self.config.steps_mask, self.config.average_span * length
        if not span or not TOO_EARLY * length <= done <= length:
            return
        if self.average is None:
            self.average = copied(self.net)
        follow(self.average, self.net, 1 - 1 / max(1, span))
        if done == length:
            self.net.load_state_dict(self.average)
            self.average = None

    def _set_learning_rate(self) -> None:
        """Each stage warms up over its first twentieth and then falls along a cosine."""
        _, begin, length, rate = self.stage
        done = (self.step - begin) / length
        factor = min(1.0, (done + 1 / length) / 0.05) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * rate * max(factor, 1e-3)
