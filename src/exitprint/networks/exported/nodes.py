"""What single nodes of an exported program do: which part of a tensor they give or write into."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

SAME = {"aten.detach.default", "aten.detach_.default", "aten.lift_fresh_copy.default", "aten.alias.default"}
COPY = "aten.copy_.default"
SLICE = "aten.slice.Tensor"
INTO_PART = {"aten.select.int": "aten.select_scatter.default", SLICE: "aten.slice_scatter.default"}
"""Operators that give a part of a tensor, and those that put one in its place."""
TO_THE_END = 2**63 - 1
"""How torch.export writes the open end of a slice."""


def functional(node: Node) -> Any:
    """The operator that computes what this one writes in place."""
    _, packet, overload = str(node.target).split(".")
    found = getattr(torch.ops.aten, packet.removesuffix("_"), None) if packet.endswith("_") else None
    return getattr(found, overload, None)


def views_of(written: Node) -> tuple[list[Node], Node]:
    """The chain of views that this is, from the innermost on, and the tensor that they view."""
    views: list[Node] = []
    node: Any = written
    while node.op == "call_function" and (str(node.target) in INTO_PART or str(node.target) in SAME):
        if str(node.target) in INTO_PART and not (str(node.target) == SLICE and keeps_all(node.args)):
            views.append(node)
        node = node.args[0]
    return views, node


def copies_whole(node: Node) -> bool:
    """Whether this overwrites a tensor by one of the same shape and type."""
    if str(node.target) != COPY or not isinstance(node.args[1], Node):
        return False
    there, here = (each.meta["val"] for each in node.all_input_nodes[:2])
    return bool(there.shape == here.shape and there.dtype == here.dtype)


def keeps_all(args: tuple[Any, ...]) -> bool:
    """Whether a slice with these arguments is the whole tensor."""
    start, end, step = [*args[2:5], *(None,) * (5 - len(args))][:3]
    return start in (None, 0) and end in (None, TO_THE_END) and step in (None, 1)
