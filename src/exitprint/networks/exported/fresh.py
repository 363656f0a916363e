"""A head of a captured module drawn anew: the same operators, every parameter as a new network would have it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from exitprint.networks.exported.program import Operation, Part, named
from exitprint.networks.exported.stage import ExportedStage

NORMALISATIONS = {
    "aten.batch_norm.default": {1: 1.0, 2: 0.0, 3: 0.0, 4: 1.0},
    "aten.instance_norm.default": {1: 1.0, 2: 0.0, 3: 0.0, 4: 1.0},
    "aten.layer_norm.default": {2: 1.0, 3: 0.0},
    "aten.group_norm.default": {2: 1.0, 3: 0.0},
    "aten.rms_norm.default": {2: 1.0},
}
"""What a new normalisation's tensors are filled with, by their place among the arguments."""
FACTORS = ("aten.mul.Tensor", "aten.div.Tensor")
BIAS = 2
"""The place of a convolution's or linear layer's bias."""


@torch.no_grad()
def fresh_head(part: Part, stages: Sequence[ExportedStage], before: ExportedStage) -> ExportedStage:
    """A head of this part, in float32, with parameters drawn from torch's global generator.

    What it takes from the stages up to the one that it sits after stays theirs. Constants, such as masks and positions
    that are not trained, are copied from the head as it was `before`.
    """
    head = ExportedStage(part, stages)
    constants = before.own.state_dict()
    for name, tensor in [*head.own.named_parameters(), *head.own.named_buffers()]:
        if name not in part.weights:
            continue  # of a layer, which is new
        operation, place = _use(part, name)
        new = NORMALISATIONS.get(operation.op, {}).get(place)
        if new is not None:
            tensor.fill_(new)
        elif part.weights[name].trainable:
            _draw(tensor, operation, place, head)
        else:
            tensor.copy_(constants[name])
    return head


def _use(part: Part, name: str) -> tuple[Operation, int]:
    """The operation that takes this weight first, and its place among the arguments (−1 elsewhere)."""
    for operation in part.operations:
        if {"weight": name} in operation.args:
            return operation, operation.args.index({"weight": name})
    return next(o for o in part.operations if name in named([o.args, o.kwargs], "weight")), -1


def _draw(tensor: Tensor, operation: Operation, place: int, head: ExportedStage) -> None:
    """As PyTorch's layers do: weights by what they take in, a layer's bias by its weight's, scales 1 and shifts 0."""
    weight = operation.args[1] if place == BIAS and len(operation.args) > 1 else None
    if isinstance(weight, dict) and str(weight.get("weight")) in head.own.state_dict():
        taken = head.own.state_dict()[weight["weight"]][0].numel()
        tensor.uniform_(-1 / math.sqrt(taken), 1 / math.sqrt(taken))
    elif tensor.ndim > 1:
        nn.init.kaiming_uniform_(tensor, a=math.sqrt(5))
    else:
        tensor.fill_(1.0 if operation.op in FACTORS else 0.0)
