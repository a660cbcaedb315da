"""The float model behind the same interface as edge's int8 model."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from edge.body import BodyPrior
from edge.keypoints import HeatmapDecoder, Keypoints, mixed
from edge.manifest import Confidence, Output
from edge.model import mapped
from train.checkpoint import Checkpoint
from train.linear import features_of

BATCH = 64
Found = dict[str, list[Keypoints]]
"""`keypoints` and `joints` of N maps."""


class FloatModel:
    """PyTorch's answer to model inputs, decoded by edge's own soft-argmax. `mirrored_too` is as in edge's model."""

    def __init__(self, checkpoint: Checkpoint, *, mirrored_too: bool = False) -> None:
        self.checkpoint, self.mirrored_too = checkpoint, mirrored_too
        self.encoder = checkpoint.build_encoder()
        self.body = body_prior(checkpoint)
        """None leaves joints where their heat maps are."""

    def predict(self, model_inputs: NDArray[np.float32]) -> Found:
        """(N, rows, cols) in 0..1 -> keypoints and joints of each map.

        Like edge's: where no joint output was trained the joint map finds them, or, without one, nobody does.
        """
        return self.read(model_inputs)[0]

    def read(self, model_inputs: NDArray[np.float32]) -> tuple[Found, list[str] | None]:
        """The same, and each map's posture; None without a posture head."""
        seen = self._seen(model_inputs)
        found = self._of_body(seen)
        if not self.mirrored_too:
            return found, self._postures(found)
        image = self._seen(np.ascontiguousarray(model_inputs[..., ::-1]))
        grid = self.checkpoint.grid
        size_cm = np.array([[grid.width_cm], [grid.height_cm]], np.float32)
        both = zip(seen["joints"], image["joints"], strict=True)
        joints = [mixed(one, other.mirrored_joints(), size_cm) for one, other in both]
        return self._of_body(seen | {"joints": joints}), self._postures(found, self._of_body(image))

    def _of_body(self, seen: Found) -> Found:
        """The same, joints where a body has them."""
        return seen | {"joints": [self.body(joints) for joints in seen["joints"]]} if self.body else seen

    def _postures(self, *views: Found) -> list[str] | None:
        """By the checkpoint's head, of maps and perhaps their mirror images."""
        head = self.checkpoint.posture
        return head.votes(*(features_of(view, head.reads) for view in views)) if head else None

    def _seen(self, model_inputs: NDArray[np.float32]) -> Found:
        found: Found = {"keypoints": [], "joints": []}
        for begin in range(0, len(model_inputs), BATCH):
            inputs = model_inputs[begin : begin + BATCH]
            with torch.inference_mode():
                maps = self.encoder(torch.from_numpy(inputs)[:, None])
            for name in found:
                if (output := getattr(maps, name)) is not None:
                    logits = output.permute(0, 2, 3, 1).numpy()
                    decoder = self._decoder(name, logits.shape[1:])
                    found[name] += [decoder.from_float(one, x) for one, x in zip(logits, inputs, strict=True)]
        if not self.checkpoint.knows_joints:
            joint_map = self.checkpoint.joint_map
            found["joints"] = [mapped(points, joint_map) for points in found["keypoints"]] if joint_map else []
        return found

    def _decoder(self, name: str, shape: Sequence[int]) -> HeatmapDecoder:
        rows, cols, k = shape
        output = Output.model_validate(
            {"name": name, "index": 0, "rows": rows, "cols": cols, "k": k, "scale": 1.0, "zero_point": 0}
        )
        return HeatmapDecoder(output, self.checkpoint.grid)


def body_prior(checkpoint: Checkpoint) -> BodyPrior | None:
    """None where the checkpoint has no body that it could read."""
    body, half_cm = checkpoint.readable_body, checkpoint.joints_half_cm
    return BodyPrior(body, Confidence(joints_half_cm=half_cm), checkpoint.grid) if body and half_cm else None
