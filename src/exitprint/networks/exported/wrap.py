"""From a user's module to the record and the weights of a multi-exit network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.networks.exported.capture import capture
from exitprint.networks.exported.cut import parts, tensors_of, wanted_cuts
from exitprint.networks.exported.record import Exported

Exits = Sequence[str] | int | Literal["auto"]


@dataclass(frozen=True)
class Wrapped:
    """A module cut into stages.

    Attributes
    ----------
    architecture
        Its record.
    weights
        For each stage its tensors, by their names in the module.
    module
        The copy of the module that was captured, in evaluation mode.
    """

    architecture: Exported
    weights: list[dict[str, Tensor]]
    module: nn.Module


def wrapped(module: nn.Module, exits: Exits, example: Tensor, x: Tensor) -> Wrapped:
    """Cut a module into stages.

    Parameters
    ----------
    module
        It returns logits (batch, classes).
    exits
        Where: names of submodules, a number, or ``auto``.
    example
        Images in [0, 1], shape (batch, channels, height, width).
    x
        The same images, normalised: what the module takes.

    Raises
    ------
    ExitprintError
        If the module cannot be cut there, or not at all; the text says why.
    """
    odd = {t.dtype for t in [*module.parameters(), *module.buffers()] if t.is_floating_point()} - {torch.float32}
    if odd:
        raise ExitprintError(f"this module computes in {str(odd.pop()).removeprefix('torch.')}: call .float() first.")
    captured = capture(module, x if len(x) > 1 else x.expand(2, -1, -1, -1))
    made = parts(captured, wanted_cuts(captured, exits))
    channels, height, width = example.shape[1:]
    classes = captured.steps[captured.logits].shape
    assert classes is not None
    arch = Exported(input_shape=(channels, height, width), classes=classes[1], parts=tuple(made))
    return Wrapped(arch, [tensors_of(captured, part) for part in made], captured.module)
