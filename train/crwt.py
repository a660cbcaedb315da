"""CRWT, classification-to-regression weight transfer (SPMKD section III-D).

Stage 1 trains the whole net to say contact or no contact. Stage 2 keeps its weights, changes the head and
rebuilds the map itself; the encoder rests during the first steps, until the new head has settled.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from edge.manifest import Training
from firmware_bridge.errors import Exit, Failure
from firmware_bridge.geometry import Grid
from train import losses
from train.augment import Similarity, distort, pillow, random_similarity
from train.checkpoint import Checkpoint
from train.config import TrainConfig
from train.encoder import Points, soft_argmax
from train.rebuild import EncoderFuserDecoder
from train.sampling import TrainingSet

GRADIENT_LIMIT: Final = 5.0


class Crwt:
    """The net, its optimizer and the step they are at."""

    def __init__(self, config: TrainConfig, grid: Grid) -> None:
        torch.manual_seed(config.seed)
        self.config, self.grid = config, grid
        self.net = EncoderFuserDecoder(config.rows, config.cols, config.encoder, config.rebuild)
        self.net.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # half the time a step
        self.step = 0
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def run(self, data: TrainingSet) -> Iterator[dict[str, float]]:
        """Train to the end from where it is; yields the named losses of each step."""
        config = self.config
        while self.step < config.steps:
            random = np.random.default_rng([config.seed, self.step])
            batch = data.batch(config.batch, config.simulated_share, random)
            generator = torch.Generator().manual_seed(int(random.integers(2**63)))
            self._set_learning_rate()
            terms = self._terms(batch.inputs, batch.joints, generator)
            loss = torch.stack([getattr(config.weights, name) * term for name, term in terms.items()]).sum()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), GRADIENT_LIMIT)
            self.optimizer.step()
            self.step += 1
            yield {"loss": float(loss.detach()), **{name: float(term.detach()) for name, term in terms.items()}}

    def checkpoint(self, training: Training, history: list[dict[str, float]]) -> Checkpoint:
        """Everything that a resumed run needs, and everything that the encoder's users need."""
        state = self.net.state_dict()
        encoder = {name.removeprefix("encoder."): t for name, t in state.items() if name.startswith("encoder.")}
        rest = {name: t for name, t in state.items() if not name.startswith("encoder.")}
        return Checkpoint(self.config, training, self.step, encoder, rest, self.optimizer.state_dict(), list(history))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on where `checkpoint` stopped."""
        if checkpoint.rest is None or checkpoint.optimizer is None:
            raise Failure("this checkpoint holds the encoder alone: it cannot be resumed", Exit.BAD_CONFIG)
        encoder = {f"encoder.{name}": t for name, t in checkpoint.encoder.items()}
        self.net.load_state_dict(encoder | checkpoint.rest)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.step = checkpoint.step

    @property
    def in_mask_stage(self) -> bool:
        return self.step < self.config.steps_mask

    @property
    def encoder_rests(self) -> bool:
        """True in the first steps of stage 2; without a stage 1 there is nothing to protect."""
        into_stage_2 = self.step - self.config.steps_mask
        return self.config.steps_mask > 0 and 0 <= into_stage_2 < self.config.frozen_steps

    def _set_learning_rate(self) -> None:
        """Each stage warms up over its first twentieth and then falls along a cosine."""
        config = self.config
        begin, length = (0, config.steps_mask) if self.in_mask_stage else (config.steps_mask, config.steps_map)
        done = (self.step - begin) / length
        factor = min(1.0, (done + 1 / length) / 0.05) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * max(factor, 1e-3)

    def _terms(self, inputs: Tensor, joints: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """The weighted-by-name loss terms of one batch: two views of each map, one rebuilt."""
        resting = self.encoder_rests
        self.net.train()
        self.net.encoder.train(not resting)
        self.net.encoder.requires_grad_(not resting)
        size = self.config.augmentation
        first = random_similarity(len(inputs), size, self.grid, random)
        second = random_similarity(len(inputs), size.model_copy(update={"mirror": 0.0}), self.grid, random)
        clean = first.maps(pillow(inputs, size.pillow, self.grid, random) if size.pillow else inputs)
        joints = first.joints_norm(joints)
        views = torch.cat([distort(clean, size, random), distort(second.maps(clean), size, random)])
        heat_maps, points = self.net.encode(views)
        count = len(inputs)
        rebuilt_from = Points(*(p[:count] for p in points))
        terms = self._rebuild_terms(rebuilt_from, clean)
        if not resting:
            terms |= self._point_terms(points, second, count)
            joint_points = soft_argmax(heat_maps.joints, views, heat_maps.features)
            truth = torch.cat([joints, second.joints_norm(joints)])
            terms["joints"] = self._joint_term(joint_points, truth)
        return terms

    def _rebuild_terms(self, points: Points, clean: Tensor) -> dict[str, Tensor]:
        decoded = self.net.decode(points)
        if self.in_mask_stage:
            mask = losses.contact_mask(clean)
            logits = self.net.mask_head(decoded)
            return {
                "cross_entropy": losses.mask_cross_entropy(logits, mask),
                "f_score": losses.mask_f_score(logits, mask),
            }
        rebuilt = self.net.map_head(decoded)
        return {
            "l1": losses.map_l1(rebuilt, clean),
            "l2": losses.map_l2(rebuilt, clean),
            "dissimilarity": losses.map_dissimilarity(rebuilt, clean),
        }

    def _point_terms(self, points: Points, second: Similarity, count: int) -> dict[str, Tensor]:
        size_cm = torch.tensor([self.grid.width_cm, self.grid.height_cm])
        expected = second.points_norm(points.xy_norm[:count])
        inside = ((expected > 0) & (expected < 1)).all(-1).float()
        return {
            "equivariance": losses.equivariance(points.xy_norm[count:] * size_cm, expected * size_cm, inside),
            "separation": losses.separation(points.xy_norm[:count] * size_cm),
            "concentration": losses.concentration(points.variance_cells),
        }

    def _joint_term(self, points: Points, truth: Tensor) -> Tensor:
        """Only joints that were seen (visibility >= 1) and lie on the map."""
        on_map = ((truth[..., :2] > 0) & (truth[..., :2] < 1)).all(-1)
        weight = ((truth[..., 2] >= 1) & on_map).float()
        size_taxels = torch.tensor([self.config.cols, self.config.rows], dtype=torch.float32)
        return losses.joint_distance(points.xy_norm, truth[..., :2], size_taxels, weight)
