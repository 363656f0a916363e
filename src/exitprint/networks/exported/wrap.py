"""From a user's module to the record and the weights of a multi-exit network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.networks.exported.answer import Take
from exitprint.networks.exported.capture import capture
from exitprint.networks.exported.cut import cut_at, tensors_of
from exitprint.networks.exported.places import wanted_exits
from exitprint.networks.exported.record import Exported

Exits = Sequence[str] | int | Literal["auto"]


@dataclass(frozen=True)
class Wrapped:
    """A module cut into stages.

    Attributes
    ----------
    architecture
        Its record.
    weights, head_weights
        For each stage, and for each head of the module's own by its stage, its tensors by their names in the module.
    call
        What the copy that was captured answers.
    answers
        For each exit of the module's own, in order, its number in the network and where its logits are in the module's
        answer.
    taken
        Which part of the answer that is, where it is not all of it.
    """

    architecture: Exported
    weights: list[dict[str, Tensor]]
    head_weights: dict[int, dict[str, Tensor]]
    call: Callable[[Tensor], Any]
    answers: list[tuple[int, Take]]
    taken: str


def wrapped(
    module: nn.Module, exits: Exits, example: Tensor, x: Tensor, method: str, settings: Mapping[str, Any] | None
) -> Wrapped:
    """Cut a module into stages; `exits` as `wanted_exits` takes them, `method` and `settings` as `capture` does.

    `x` is what the module takes, the example, images in [0, 1] of shape (batch, channels, height, width), normalised.
    Raises `ExitprintError` if the module cannot be cut there, or not at all; the text says why.
    """
    odd = {t.dtype for t in [*module.parameters(), *module.buffers()] if t.is_floating_point()} - {torch.float32}
    if odd:
        raise ExitprintError(f"this module computes in {str(odd.pop()).removeprefix('torch.')}: call .float() first.")
    captured = capture(module, x if len(x) > 1 else x.expand(2, -1, -1, -1), method, settings)
    exits_wanted = wanted_exits(captured, exits)
    made = cut_at(captured, exits_wanted)
    channels, height, width = example.shape[1:]
    new = any(not exit.own for exit in exits_wanted)
    arch = Exported(
        input_shape=(channels, height, width),
        classes=captured.answers[-1].classes,
        parts=tuple(made.stages),
        heads=made.heads,
        exits=tuple(range(len(made.stages) - 1)) if new and made.heads else None,
    )
    own = [number for number, exit in enumerate(exits_wanted) if exit.own]
    return Wrapped(
        arch,
        [tensors_of(captured, part) for part in made.stages],
        {stage: tensors_of(captured, part) for stage, part in made.heads.items()},
        captured.call,
        [(number, exit.take) for number, exit in zip(own, captured.answers, strict=True)],
        captured.taken,
    )
