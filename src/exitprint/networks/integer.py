"""Layers executed in 8-bit integers: int8 weights per output channel, uint8 inputs, oneDNN's integer kernels.

Of what there is beside torch 2.13 this is the one that stays a network of ours. `torch.ao`'s quantised tensors are
deprecated, torchao's eager modes leave convolutions in float, and ONNX Runtime's QDQ graphs are suspects but cannot be
saved, given new exits or shown to another tool as a network. oneDNN's operators take plain tensors, so a quantised
layer is a module with buffers: weights and ranges go into the network's file, and every matrix product runs on
integers. What lies between (batch normalisation, shortcuts, pooling) stays in float32.

A processor without VNNI adds products in pairs in 16 bits, where 255 × 127 × 2 does not fit, and clips the sum. There
each product runs twice, on the upper seven bits of the input and on its last bit, which is exact: one file gives the
same answers on both kinds of processor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from math import inf
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import conv_flop_count, register_flop_formula

HAS_KERNELS = torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qconv2d_pointwise")
LEVELS = 255
"""Steps of an unsigned 8-bit integer."""
LARGEST_WEIGHT = 127
"""Of a signed 8-bit integer, both signs alike."""


@cache
def clips() -> bool:
    """Whether this processor's 8-bit kernels clip sums of large products."""
    inputs = 16
    packed = torch.ops.onednn.qlinear_prepack(torch.full((1, inputs), LARGEST_WEIGHT, dtype=torch.int8), None)
    x, one = torch.full((1, inputs), LEVELS, dtype=torch.uint8), torch.ones(1)
    product = torch.ops.onednn.qlinear_pointwise(
        x, 1.0, 0, packed, one, torch.zeros(1, dtype=torch.int32), torch.zeros(1), 1.0, 0, torch.float32, "none", [], ""
    )  # fmt: skip
    return float(product) != inputs * LEVELS * LARGEST_WEIGHT


class IntegerLayer(nn.Module):
    """A convolution or linear layer with int8 weights that rounds its input to uint8.

    On a CPU, without gradients, it runs as integers. Elsewhere (a GPU, a PyTorch built without oneDNN), and where a
    gradient is wanted (straight through the rounding), the same numbers are computed in float32.

    Attributes
    ----------
    weight
        int8, the shape of the float layer's.
    scale
        float32, shape (outputs,): a weight's value is ``weight * scale``.
    bias
        float32, shape (outputs,).
    input_scale, input_zero
        An input's value is ``(integer - input_zero) * input_scale``, integers from 0 to 255.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor
    input_scale: Tensor
    input_zero: Tensor

    def __init__(self, weight_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(weight_shape, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(weight_shape[0]))
        self.register_buffer("bias", torch.zeros(weight_shape[0]))
        self.register_buffer("input_scale", torch.ones(()))
        self.register_buffer("input_zero", torch.zeros((), dtype=torch.int32))
        self._weight_zeros = torch.zeros(weight_shape[0], dtype=torch.int32)
        self._packed: tuple[Tensor, float, int] | None = None

    @torch.no_grad()
    def take(self, layer: nn.Conv2d | nn.Linear, lowest: float, highest: float) -> None:
        """Round a float layer's weights, each output channel by its largest, and set the range of its inputs."""
        flat = layer.weight.flatten(1)
        scale = flat.abs().amax(1).clamp_min(1e-12) / LARGEST_WEIGHT
        self.weight.copy_((flat / scale[:, None]).round().view_as(layer.weight))
        self.scale.copy_(scale)
        if layer.bias is not None:
            self.bias.copy_(layer.bias)
        lowest, highest = min(lowest, 0.0), max(highest, 0.0)
        step = max(highest - lowest, 1e-12) / LEVELS
        self.input_scale.fill_(step)
        self.input_zero.fill_(round(-lowest / step))
        self._packed = None

    def forward(self, x: Tensor) -> Tensor:
        """Outputs, float32, of float inputs."""
        if not HAS_KERNELS or x.device.type != "cpu" or (x.requires_grad and torch.is_grad_enabled()):
            rounded = torch.fake_quantize_per_tensor_affine(x.float(), self.input_scale, self.input_zero, 0, LEVELS)
            scale = self.scale.view(-1, *[1] * (self.weight.ndim - 1))
            return self._float(rounded, self.weight.float() * scale)
        if self._packed is None:
            self._packed = (self._pack(), float(self.input_scale), int(self.input_zero))
        packed, scale_x, zero_x = self._packed
        rounded = torch.mul(x.float(), 1 / scale_x).round_().add_(zero_x).clamp_(0, LEVELS).to(torch.uint8)
        if not clips():
            return self._integer(rounded, scale_x, zero_x, packed, self.bias)
        upper = self._integer(rounded >> 1, 2 * scale_x, zero_x >> 1, packed, self.bias)
        return upper + self._integer(rounded & 1, scale_x, zero_x & 1, packed, torch.zeros_like(self.bias))

    def _pack(self) -> Tensor:
        raise NotImplementedError

    def _integer(self, x: Tensor, scale_x: float, zero_x: int, packed: Tensor, bias: Tensor) -> Tensor:
        raise NotImplementedError

    def _float(self, x: Tensor, weight: Tensor) -> Tensor:
        raise NotImplementedError

    def _apply(self, fn: Any, recurse: bool = True) -> IntegerLayer:
        self._packed = None
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        self._packed = None
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": None}


class IntegerConv2d(IntegerLayer):
    """A 2D convolution in integers."""

    def __init__(self, like: nn.Conv2d) -> None:
        super().__init__(tuple(like.weight.shape))
        self.where = (list(like.stride), list(cast(tuple[int, int], like.padding)), list(like.dilation), like.groups)

    def _pack(self) -> Tensor:
        scale_x, zero_x = float(self.input_scale), int(self.input_zero)
        return torch.ops.onednn.qconv_prepack(self.weight, self.scale, scale_x, zero_x, *self.where)

    def _integer(self, x: Tensor, scale_x: float, zero_x: int, packed: Tensor, bias: Tensor) -> Tensor:
        return torch.ops.onednn.qconv2d_pointwise(
            x, scale_x, zero_x, packed, self.scale, self._weight_zeros, bias, *self.where,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip

    def _float(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, self.bias, *self.where)


class IntegerLinear(IntegerLayer):
    """A linear layer in integers, for inputs (batch, features) or (batch, tokens, features)."""

    def __init__(self, like: nn.Linear) -> None:
        super().__init__(tuple(like.weight.shape))

    def _pack(self) -> Tensor:
        return torch.ops.onednn.qlinear_prepack(self.weight, None)

    def _integer(self, x: Tensor, scale_x: float, zero_x: int, packed: Tensor, bias: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        given = torch.ops.onednn.qlinear_pointwise(
            rows, scale_x, zero_x, packed, self.scale, self._weight_zeros, bias, 1.0, 0, torch.float32, "none", [], ""
        )  # fmt: skip
        return given.unflatten(0, x.shape[:-1])

    def _float(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight, self.bias)


def float_layers(module: nn.Module) -> list[tuple[nn.Module, str, nn.Conv2d | nn.Linear]]:
    """Every float convolution and linear layer inside `module`: (the module that holds it, its name there, it)."""
    return [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Conv2d | nn.Linear)
    ]


def to_integers(module: nn.Module) -> None:
    """Replace every float convolution and linear layer inside `module` by an integer one that is still empty."""
    for parent, name, layer in float_layers(module):
        empty = IntegerConv2d(layer) if isinstance(layer, nn.Conv2d) else IntegerLinear(layer)
        setattr(parent, name, empty)


@torch.no_grad()
def quantise_layers(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Turn every float layer of `network` into an integer one, in place; layers that are integer already stay.

    The network is in evaluation mode. A layer's input range is what it sees of all batches (batch, channels, height,
    width).
    """
    layers = float_layers(network)
    ranges: dict[nn.Module, tuple[float, float]] = {}

    def observe(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        low, high = ranges.get(layer, (inf, -inf))
        ranges[layer] = (min(low, float(inputs[0].min())), max(high, float(inputs[0].max())))

    hooks = [layer.register_forward_pre_hook(observe) for _, _, layer in layers]
    try:
        for x in batches:
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    to_integers(network)
    for parent, name, layer in layers:
        getattr(parent, name).take(layer, *ranges[layer])


def convolution_flops(x_shape: Any, scale: Any, zero: Any, w_shape: Any, *rest: Any, out_shape: Any, **_: Any) -> int:
    """Multiplications and additions of an integer convolution, counted as those of a float one on every processor."""
    return int(conv_flop_count(x_shape, w_shape, out_shape)) // (2 if clips() else 1)


def linear_flops(x_shape: Any, scale: Any, zero: Any, w_shape: Any, *rest: Any, out_shape: Any, **_: Any) -> int:
    """Multiplications and additions of an integer linear layer; its packed weight is (inputs, outputs)."""
    return (1 if clips() else 2) * int(x_shape[0]) * int(w_shape[0]) * int(w_shape[1])


if HAS_KERNELS:
    register_flop_formula(torch.ops.onednn.qconv2d_pointwise)(convolution_flops)
    register_flop_formula(torch.ops.onednn.qlinear_pointwise)(linear_flops)
