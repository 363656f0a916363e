"""Where and in which number format to compute: what pays on this device, for this network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from exitprint.networks import MultiExitNetwork

SMALLEST_SIDE_FOR_BF16 = 28
WIDEST_VGG_FOR_CHANNELS_LAST = 32
"""Images from this side on gain from channels_last and bf16; wider VGGs than this do not (measured on CPUs)."""


def best_device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_best_device(network: MultiExitNetwork) -> MultiExitNetwork:
    """A copy of `network` on the GPU, or the network itself where there is none or its layers run in integers."""
    device = torch.device("cpu") if network.integers else best_device()
    return network if network.mean.device.type == device.type else network.copy().to(device)


@contextmanager
def repeatable() -> Iterator[None]:
    """While the block runs, cuDNN uses only algorithms that give the same bits in every run."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


def fast_bf16(device: torch.device) -> bool:
    """Whether `device` computes in bf16 faster than in float32: a GPU, and a CPU that oneDNN has instructions for."""
    if device.type != "cpu":
        return True
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def memory_format(network: MultiExitNetwork) -> torch.memory_format:
    """channels_last, except where it was measured not to pay (wide VGG, and small images, on a CPU)."""
    small = network.input_shape[-1] < SMALLEST_SIDE_FOR_BF16
    arch = network.architecture
    wide_vgg = arch is not None and arch.family == "vgg" and arch.width > WIDEST_VGG_FOR_CHANNELS_LAST
    if network.mean.device.type == "cpu" and (small or wide_vgg):
        return torch.contiguous_format
    return torch.channels_last


def reduced_precision(network: MultiExitNetwork, training: bool) -> AbstractContextManager[Any]:
    """bf16 where it pays: on a GPU, and on a CPU for 28×28 images or larger (but not to train depthwise layers)."""
    device = network.mean.device
    small = network.input_shape[-1] < SMALLEST_SIDE_FOR_BF16
    depthwise = training and network.architecture is not None and network.architecture.family == "mobilenet"
    if not fast_bf16(device) or (device.type == "cpu" and (small or depthwise)):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
