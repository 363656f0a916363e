"""The types of numbers that the Open Inference Protocol knows, and how each lies in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BFLOAT16 = "BF16"
FLOATS = {"FP16": torch.float16, "BF16": torch.bfloat16, "FP32": torch.float32, "FP64": torch.float64}
WHOLE = ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64")
ENCODED = "BYTES"
"""The type of inputs that take whatever bytes they are given, an encoded image for instance."""

DATATYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "BF16": np.uint16,
    "FP32": np.float32,
    "FP64": np.float64,
}
"""How each type's numbers lie in memory; those of BF16 are the upper halves of FP32's."""


def stored(values: Tensor, datatype: str) -> NDArray[Any]:
    """Numbers as this type stores them, rounded and cut off at its limits."""
    if datatype in FLOATS:
        floats = values.cpu().to(FLOATS[datatype])
        return floats.view(torch.int16).numpy().view(np.uint16) if datatype == BFLOAT16 else floats.numpy()
    dtype = DATATYPES[datatype]
    limits = np.iinfo(np.dtype(dtype).name)
    return np.rint(values.cpu().double().numpy()).clip(max(limits.min, -(2**53)), min(limits.max, 2**53)).astype(dtype)


def as_bytes(array: NDArray[Any]) -> bytes:
    """Numbers little end first, strings each behind its length, as the Open Inference Protocol sends them raw."""
    if array.dtype != object:
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    strings = [each.encode() if isinstance(each, str) else bytes(each) for each in array.ravel()]
    return b"".join(len(each).to_bytes(4, "little") + each for each in strings)


def numbers_of(array: NDArray[Any], datatype: str) -> NDArray[Any]:
    """Numbers that were stored as this type; those of BF16 as FP32."""
    return (array.astype(np.uint32) << 16).view(np.float32) if datatype == BFLOAT16 else array


def received(content: Any, datatype: str, shape: Sequence[int]) -> NDArray[Any]:
    """Numbers that a server sent: as bytes, little end first, or as a list, in which those of BF16 are plain numbers.

    Raises `ValueError` or `TypeError` or `OverflowError` if they are not what type and shape say.
    """
    raw = isinstance(content, bytes | memoryview)
    dtype = np.dtype(DATATYPES[datatype] if raw or datatype != BFLOAT16 else np.float32).newbyteorder("<")
    flat = np.frombuffer(content, dtype) if raw else np.asarray(content, dtype).ravel()
    if min(shape, default=0) < 0 or math.prod(shape) != flat.size:
        raise ValueError
    array = flat.reshape(shape).astype(dtype.newbyteorder("="), copy=False)
    return numbers_of(array, datatype) if raw else array
