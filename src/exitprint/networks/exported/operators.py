"""The operators an exported stage may run, and their arguments as JSON.

Whoever offers a network's file chooses what it runs only from this list: functional ATen operators, that compute
tensors from tensors and numbers and can reach neither files nor memory nor Python.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from exitprint.errors import ExitprintError

PURE = """
_softmax _to_copy abs absolute acos adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d
add addcdiv addcmul addmm addmv alias all amax amin any arange argmax argmin argsort asin atan atan2 avg_pool1d
avg_pool2d avg_pool3d baddbmm batch_norm bitwise_and bitwise_not bitwise_or bitwise_xor bmm broadcast_to bucketize cat
ceil celu channel_shuffle chunk clamp clamp_max clamp_min clip clone col2im constant_pad_nd contiguous conv1d conv2d
conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution cos cosh cosine_similarity count_nonzero cumprod
cumsum deg2rad diag_embed diagonal div divide dot dropout einsum elu embedding eq erf erfc exp expand expand_as expm1
eye feature_dropout fill flatten flip floor floor_divide fmod frac full full_like gather ge gelu glu grid_sampler
group_norm gt hardshrink hardsigmoid hardswish hardtanh heaviside hstack im2col index index_put index_select
instance_norm isclose isfinite isinf isnan layer_norm le leaky_relu lerp lift_fresh_copy linalg_norm
linalg_vector_norm linear linspace log log10 log1p log2 log_sigmoid log_softmax logaddexp logical_and logical_not
logical_or logical_xor logit logsumexp lt masked_fill matmul max max_pool1d max_pool2d max_pool3d maximum mean min
minimum mish mm movedim mul multiply mv nan_to_num narrow native_group_norm native_layer_norm ne neg negative new_full
new_ones new_zeros norm ones ones_like outer pad permute pixel_shuffle pixel_unshuffle pow prelu prod reciprocal
reflection_pad2d relu relu6 remainder repeat repeat_interleave replication_pad2d reshape reshape_as rms_norm roll
rot90 round rsqrt rsub scalar_tensor scaled_dot_product_attention scatter scatter_add select select_scatter selu
sigmoid sign silu sin sinh slice slice_scatter softmax softplus softshrink sort split split_with_sizes sqrt square
squeeze stack std std_mean sub subtract sum swapaxes sym_size t tan tanh threshold tile to topk transpose tril triu
true_divide trunc type_as unbind unflatten unfold unsafe_chunk unsafe_split unsqueeze upsample_bicubic2d
upsample_bilinear2d upsample_linear1d upsample_nearest2d var var_mean view view_as vstack where xlogy zeros zeros_like
"""
ALLOWED = frozenset(PURE.split())
ON_SIZES: dict[str, Callable[..., Any]] = {
    "size.add": operator.add,
    "size.sub": operator.sub,
    "size.mul": operator.mul,
    "size.floordiv": operator.floordiv,
    "getitem": operator.getitem,
}
TRAINING_FLAG = {"aten.batch_norm.default": 5, "aten.dropout.default": 2, "aten.feature_dropout.default": 2}
"""Operators that do something else while a network trains, and the place of the argument that says so."""
DIRECT: dict[str, Callable[..., Any]] = {
    "aten.add.Tensor": torch.add,
    "aten.batch_norm.default": torch.batch_norm,
    "aten.cat.default": torch.cat,
    "aten.conv2d.default": torch.conv2d,
    "aten.gelu.default": F.gelu,
    "aten.layer_norm.default": torch.layer_norm,
    "aten.linear.default": F.linear,
    "aten.matmul.default": torch.matmul,
    "aten.mul.Tensor": torch.mul,
    "aten.relu.default": torch.relu,
    "aten.sigmoid.default": torch.sigmoid,
    "aten.silu.default": F.silu,
    "aten.transpose.int": torch.transpose,
}
"""The same operators through PyTorch's own bindings, which take two microseconds less: for calls without keywords."""
LAYER = "layer"
"""A convolution or linear layer that is a module of its own, so that it can be pruned and quantised as such."""


def operator_named(name: str) -> Callable[..., Any]:
    """The operator behind a name such as ``aten.relu.default``.

    Raises `ExitprintError` if it is not one that an exported stage may run.
    """
    if name in ON_SIZES:
        return ON_SIZES[name]
    try:
        namespace, packet, overload = name.split(".")
        if namespace == "aten" and packet in ALLOWED:
            found = getattr(getattr(torch.ops.aten, packet), overload)
            if isinstance(found, torch._ops.OpOverload) and not found._schema.is_mutable:
                return found
    except (ValueError, AttributeError):
        pass
    raise ExitprintError(f"the operator {name!r} is not one that a network's file may run.")


def name_of(target: Any) -> str | None:
    """The name of a node's target, if it is an operator that a stage may run."""
    if isinstance(target, torch._ops.OpOverload):
        name = str(target)
        packet = name.split(".")[1] if name.startswith("aten.") else None
        return name if packet in ALLOWED and not target._schema.is_mutable else None
    return next((name for name, function in ON_SIZES.items() if function is target), None)


def encoded(value: Any) -> Any:
    """A number, string, type or list of them as JSON; the device becomes the one that the stage runs on.

    Raises `ExitprintError` if it is something else.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [encoded(part) for part in value]
    if isinstance(value, torch.device):
        return {"device": "input"}
    for kind, types in (("dtype", torch.dtype), ("layout", torch.layout), ("memory_format", torch.memory_format)):
        if isinstance(value, types):
            return {kind: str(value).removeprefix("torch.")}
    raise ExitprintError(f"an argument {value!r} of this module's operators cannot be kept in a file.")


def constant(tag: str, value: Any) -> Any:
    """What an encoded ``{tag: value}`` stands for; the inverse of `encoded` for all that is the same in every run.

    Raises `ExitprintError` if there is no such tag or value.
    """
    if tag == "float" and value in ("inf", "-inf", "nan"):
        return float(value)
    kinds: dict[str, type] = {"dtype": torch.dtype, "layout": torch.layout, "memory_format": torch.memory_format}
    found = getattr(torch, value, None) if tag in kinds and isinstance(value, str) else None
    if found is None or not isinstance(found, kinds[tag]):
        raise ExitprintError(f"an operator's argument {tag}: {value!r} is not one that a network's file may hold.")
    return found
