"""The soft-argmax inside the graph (`convert-run --head float`), for users of a bare interpreter.

NAME.float-head.tflite is NAME.tflite, unchanged, between a float input and float outputs. It needs no manifest and
none of our code but the preprocessing (edge.preprocess); edge-run does not take it. What its signature names:

| tensor | shape | meaning |
|---|---|---|
| input `pressure` | (1, rows, cols, 1) | the map as edge.preprocess makes it, 0..1 |
| output `keypoints` | (1, K, 4) | x_norm, y_norm, value, confidence of each label-free point, as in edge.keypoints |
| output `joints` | (1, 14, 4) | the same of each joint in SLP's order; by the joint map where the net has no joints |

Joints are where their heat maps are: what bodies look like (edge.body) takes an equation that TFLite cannot solve.

    runner = Interpreter("default.float-head.tflite").get_signature_runner()
    joints = runner(pressure=model_input[None, :, :, None])["joints"][0]
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray
from torch import Tensor, nn

from convert.litert import SIGNATURE, named_graph
from edge.keypoints import FEATURE_HALF_CM, Keypoints
from edge.manifest import JointMap, Manifest, Output
from edge.model import mapped
from firmware_bridge.geometry import Grid
from firmware_bridge.skeleton import JOINTS

FLOAT_HEAD_SUFFIX: Final = ".float-head.tflite"


def with_float_head(model: bytes, manifest: Manifest) -> bytes:
    """The int8 `model` and its decoding in one graph."""
    logits = {f"{o.name}_logits": torch.zeros(1, o.rows, o.cols, o.k) for o in manifest.outputs}
    pressure = {"pressure": torch.zeros(1, manifest.rows, manifest.cols, 1)}
    head = named_graph(FloatHead(manifest), pressure | logits)
    return _joined(model, head, {f"{o.name}_logits": o.index for o in manifest.outputs})


class FloatHead(nn.Module):
    """edge.keypoints and edge.model in torch, from the same manifest.

    pressure (1, H, W, 1) in 0..1 and the outputs' logits (1, h, w, K) -> `keypoints`, where the model has any, and
    `joints`: (1, K, 4) and (1, 14, 4) of x_norm, y_norm, value, confidence.
    """

    size_cm: Tensor
    joints_half_cm: Tensor
    map_weights: Tensor
    map_bias: Tensor
    map_shares: Tensor

    def __init__(self, manifest: Manifest) -> None:
        super().__init__()
        for output in manifest.outputs:
            self.register_buffer(f"{output.name}_moments", _moments(output, manifest.grid))
        self.register_buffer("size_cm", torch.tensor([manifest.grid.width_cm, manifest.grid.height_cm]))
        self.keypoints_half_cm = manifest.confidence.keypoints_half_cm
        self.register_buffer("joints_half_cm", torch.tensor(manifest.confidence.joints_half_cm)[:, None])
        joint_map = manifest.joint_map
        if manifest.output("joints") is None and joint_map:
            self.register_buffer("map_weights", torch.tensor(joint_map.weights))
            self.register_buffer("map_bias", torch.tensor(joint_map.bias))
            self.register_buffer("map_shares", torch.from_numpy(_shares(joint_map)))

    def forward(
        self, pressure: Tensor, keypoints_logits: Tensor | None = None, joints_logits: Tensor | None = None
    ) -> dict[str, Tensor]:
        found = {}
        if keypoints_logits is not None:
            points, spread_cm = self._points("keypoints", keypoints_logits, pressure)
            found["keypoints"] = torch.cat([points, _confidence(spread_cm, self.keypoints_half_cm)], -1)
        if joints_logits is not None:
            joints, joints_spread_cm = self._points("joints", joints_logits, pressure)
        else:
            joints, joints_spread_cm = self._mapped(points, spread_cm)
        found["joints"] = torch.cat([joints, _confidence(joints_spread_cm, self.joints_half_cm)], -1)
        return found

    def _points(self, name: str, logits: Tensor, pressure: Tensor) -> tuple[Tensor, Tensor]:
        """x_norm, y_norm, value (1, K, 3) and spread in cm (1, K, 1)."""
        _, h, w, k = logits.shape
        weights = logits.reshape(1, h * w, k).transpose(1, 2).softmax(-1)
        mean = weights @ getattr(self, f"{name}_moments")
        xy_norm = mean[..., :2]
        variance_cm2 = mean[..., 2:] - ((xy_norm * self.size_cm) ** 2).sum(-1, keepdim=True)
        _, rows, cols, _ = pressure.shape
        cells = pressure.reshape(1, h, rows // h, w, cols // w).mean((2, 4)).reshape(1, h * w, 1)
        return torch.cat([xy_norm, weights @ cells], -1), variance_cm2.relu().sqrt()

    def _mapped(self, points: Tensor, spread_cm: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.cat([points, _confidence(spread_cm, FEATURE_HALF_CM)], -1)
        xy_norm = (features.flatten(1) @ self.map_weights + self.map_bias).reshape(-1, len(JOINTS), 2)
        return torch.cat([xy_norm, self.map_shares @ points[..., 2:]], -1), self.map_shares @ spread_cm


def _moments(output: Output, model: Grid) -> Tensor:
    """(cells, 3): x_norm, y_norm and the squared distance from the corner in cm of each cell's centre."""
    x, y = (np.arange(output.cols) + 0.5) / output.cols, (np.arange(output.rows) + 0.5) / output.rows
    y, x = np.meshgrid(y, x, indexing="ij")
    r2_cm2 = (x * model.width_cm) ** 2 + (y * model.height_cm) ** 2
    return torch.from_numpy(np.stack([x, y, r2_cm2], -1).reshape(-1, 3).astype(np.float32))


def _confidence(spread_cm: Tensor, half_cm: Tensor | float) -> Tensor:
    return 1 / (1 + (spread_cm / half_cm) ** 2)


def _shares(joint_map: JointMap) -> NDArray[np.float32]:
    """(14, K): how much each keypoint has in a joint's value and spread, asked of edge's own linear map."""
    k = len(joint_map.weights) // 4
    xy_norm, spread_cm = np.zeros((k, 2), np.float32), np.zeros(k, np.float32)
    values = np.eye(k, dtype=np.float32)
    return np.stack([mapped(Keypoints(xy_norm, value, spread_cm), joint_map).value for value in values], 1)


def _joined(body: bytes, head: bytes, positions: Mapping[str, int]) -> bytes:
    """`head`'s inputs of the names `positions` are fed from `body`'s outputs at them, its input `pressure` feeds both.

    The body's tensors, weights and nodes stay what they are; only the boundary is new: QUANTIZE and DEQUANTIZE.
    """
    model, added = flatbuffer_utils.read_model_from_bytearray(body), flatbuffer_utils.read_model_from_bytearray(head)
    graph, new = model.subgraphs[0], added.subgraphs[0]
    first_tensor, first_buffer, first_code = len(graph.tensors), len(model.buffers), len(model.operatorCodes)
    for tensor in new.tensors:
        tensor.buffer += first_buffer
        tensor.name = None
    for node in new.operators:
        node.opcodeIndex += first_code
        node.inputs = [i if i < 0 else i + first_tensor for i in node.inputs]
        node.outputs = [i + first_tensor for i in node.outputs]
    (signature,) = added.signatureDefs
    for entry in (*signature.inputs, *signature.outputs):
        entry.tensorIndex += first_tensor
    inputs = {entry.name.decode(): entry for entry in signature.inputs}
    pressure = inputs["pressure"]
    signature.inputs = [pressure]

    model.buffers += added.buffers
    model.operatorCodes += added.operatorCodes
    boundary = [schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE]
    quantize, dequantize = (len(model.operatorCodes) + i for i in range(2))
    model.operatorCodes += [schema.OperatorCodeT(deprecatedBuiltinCode=c, builtinCode=c, version=2) for c in boundary]
    enter = schema.OperatorT(quantize, [pressure.tensorIndex], [int(graph.inputs[0])])
    leave = [
        schema.OperatorT(dequantize, [int(graph.outputs[position])], [inputs[name].tensorIndex])
        for name, position in positions.items()
    ]
    graph.tensors += new.tensors
    graph.operators = [enter, *graph.operators, *leave, *new.operators]
    graph.inputs, graph.outputs = [pressure.tensorIndex], [entry.tensorIndex for entry in signature.outputs]
    signature.signatureKey = SIGNATURE
    model.signatureDefs = [signature]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
