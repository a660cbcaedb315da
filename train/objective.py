"""What a run minimises: the named loss terms of one micro-batch."""

from collections.abc import Callable

import torch
from torch import Tensor

from firmware_bridge.geometry import Grid
from train import losses
from train.augment import Similarity, distort, pillow, random_similarity
from train.compute import Compute
from train.config import TrainConfig
from train.encoder import HeatMaps, Points, soft_argmax
from train.levelling import levelled
from train.rebuild import EncoderFuserDecoder
from train.sampling import Batch
from train.teacher import Teacher


class Objective:
    """Two views of each map; the first is rebuilt, both are asked for points."""

    def __init__(
        self, config: TrainConfig, grid: Grid, net: EncoderFuserDecoder, teacher: Teacher | None, compute: Compute
    ) -> None:
        self.config, self.grid, self.net, self.teacher, self.compute = config, grid, net, teacher, compute
        self._size_cm = torch.tensor([grid.width_cm, grid.height_cm], device=compute.device)
        self._size_taxels = torch.tensor([config.cols, config.rows], dtype=torch.float32, device=compute.device)

    def terms(
        self,
        batch: Batch,
        encoder: Callable[[Tensor], HeatMaps],
        mask_stage: bool,
        encoder_rests: bool,
        random: torch.Generator,
        exact: Callable[[Tensor], HeatMaps] | None = None,
    ) -> dict[str, Tensor]:
        """name -> mean over the batch; the names are those of train.config.LossWeights.

        `encoder` is the net's own, or what computes like it on int8's steps; its points are then held to `exact`'s.
        """
        inputs, joints = batch.inputs, batch.joints
        size = self.config.augmentation
        first = random_similarity(len(inputs), size, self.grid, random)
        second = random_similarity(len(inputs), size.model_copy(update={"mirror": 0.0}), self.grid, random)
        clean = first.maps(self._on_pillows(inputs, random))
        other = clean if batch.others is None else first.maps(self._on_pillows(batch.others, random))
        joints = first.joints_norm(joints)
        views = torch.cat([distort(clean, size, random), distort(second.maps(other), size, random)])
        heat_maps = self.compute.heat_maps(encoder, views)
        points = soft_argmax(heat_maps.keypoints, views, heat_maps.features)
        count = len(inputs)
        terms = self._rebuild_terms(Points(*(p[:count] for p in points)), clean, mask_stage)
        if encoder_rests:
            return terms
        terms |= self._point_terms(points, second, count)
        joint_points = None
        if heat_maps.joints is not None:
            joint_points = soft_argmax(heat_maps.joints, views, heat_maps.features)
            truth = torch.cat([joints, second.joints_norm(joints)])
            terms["joints"] = self._joint_term(joint_points, truth)
            if self.teacher and not mask_stage:
                told = first.joints_norm(self.teacher.joints(levelled(inputs, self.config.preprocessing)))
                told = torch.cat([told, second.joints_norm(told)])
                terms["consistency"] = self._consistency_term(joint_points, told, truth)
        if exact:
            terms["rounding"] = self._rounding_term(views, exact, points, joint_points)
        return terms

    def _on_pillows(self, inputs: Tensor, random: torch.Generator) -> Tensor:
        probability = self.config.augmentation.pillow
        return pillow(inputs, probability, self.grid, random) if probability else inputs

    def _rebuild_terms(self, points: Points, clean: Tensor, mask_stage: bool) -> dict[str, Tensor]:
        with self.compute.autocast():
            decoded = self.net.decode(points)
            rebuilt = (self.net.mask_head if mask_stage else self.net.map_head)(decoded).float()
        if mask_stage:
            mask = losses.contact_mask(clean)
            return {
                "cross_entropy": losses.mask_cross_entropy(rebuilt, mask),
                "f_score": losses.mask_f_score(rebuilt, mask),
            }
        return {
            "l1": losses.map_l1(rebuilt, clean),
            "l2": losses.map_l2(rebuilt, clean),
            "dissimilarity": losses.map_dissimilarity(rebuilt, clean),
        }

    def _point_terms(self, points: Points, second: Similarity, count: int) -> dict[str, Tensor]:
        expected = second.points_norm(points.xy_norm[:count])
        inside = _on_map(expected).float()
        return {
            "equivariance": losses.equivariance(
                points.xy_norm[count:] * self._size_cm, expected * self._size_cm, inside
            ),
            "separation": losses.separation(points.xy_norm[:count] * self._size_cm),
            "concentration": losses.concentration(points.variance_cells),
        }

    def _rounding_term(
        self, views: Tensor, exact: Callable[[Tensor], HeatMaps], points: Points, joint_points: Points | None
    ) -> Tensor:
        """Over both outputs: how far their points are from those without rounding, whose gradients count as well."""
        heat_maps = self.compute.heat_maps(exact, views)
        real = soft_argmax(heat_maps.keypoints, views, heat_maps.features)
        term = losses.rounding(points.xy_norm * self._size_cm, real.xy_norm * self._size_cm)
        if joint_points is not None and heat_maps.joints is not None:
            real = soft_argmax(heat_maps.joints, views, heat_maps.features)
            term = term + losses.rounding(joint_points.xy_norm * self._size_cm, real.xy_norm * self._size_cm)
        return term

    def _joint_term(self, points: Points, truth: Tensor) -> Tensor:
        """Joints of annotated maps that lie on the map: those seen (visibility >= 1), and the guessed ones for less."""
        seen = truth[..., 2] >= 1
        annotated = seen.any(1, keepdim=True)
        weight = torch.where(seen, 1.0, self.config.weights.guessed * annotated) * _on_map(truth)
        return losses.joint_distance(points.xy_norm, truth[..., :2], self._size_taxels, weight)

    def _consistency_term(self, points: Points, told: Tensor, truth: Tensor) -> Tensor:
        """The teacher speaks where no label does; in a label-free run labels do not even silence it."""
        confidence = told[..., 2] * _on_map(told)
        if self.config.weights.joints:
            confidence = confidence * (truth[..., 2] < 1)
        return losses.joint_consistency(points.xy_norm, told[..., :2], self._size_taxels, confidence)


def _on_map(points_norm: Tensor) -> Tensor:
    """(..., 2 or more) -> (...) bool."""
    return ((points_norm[..., :2] > 0) & (points_norm[..., :2] < 1)).all(-1)
