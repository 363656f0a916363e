"""Pieces of a network, one up to each exit, as one ONNX graph: exits nest as `If` within `If`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, ValueInfoProto

ANSWERS = ("probabilities", "label", "exit")
NESTED = 24  # readers of protobuf messages stop at 100 levels, and an If within an If adds three

# nodes, and the name of the value that holds each result
Graph = tuple[list["NodeProto"], dict[str, str]]


@dataclass(frozen=True)
class Handed:
    """A tensor that one piece hands over to the next: its name there, what it holds, and its number of dimensions."""

    name: str
    dtype: torch.dtype
    ndim: int


@dataclass(frozen=True)
class Piece:
    """What lies between one exit and the next.

    Attributes
    ----------
    graph
        Every name in it begins with the exit's number and a slash. It takes ``x``, ``x1``, … and gives what it hands
        over, ``probabilities``, ``label`` and, but for the last, ``left``.
    handed
        What it hands over.
    """

    graph: GraphProto
    handed: tuple[Handed, ...]


def numbered(name: str, count: int) -> list[str]:
    """So many names: the name itself, and then with a number."""
    return [name, *(f"{name}{number}" for number in range(1, count))]


def groups(pieces: Sequence[Piece], first: int = 0) -> Graph:
    """Exits from `first` on, group after group: the next one is in the branch taken if none of the last was."""
    last = min(first + NESTED, len(pieces)) - 1
    if last == len(pieces) - 1:
        return _nest(pieces, first, last, ())
    handed = pieces[last].handed
    nodes, values = _nest(pieces, first, last, handed)
    then = [same(values[name], f"{last}/group/{name}") for name in ANSWERS], _named(f"{last}/group/", ANSWERS)
    later, later_values = groups(pieces, last + 1)
    given = [values[each.name] for each in handed]
    otherwise = [*_handed_on(given, last + 1), *later], later_values
    branch = _if(values["left"], then, otherwise, f"{last}/groups/", ())
    return [*nodes, branch], _named(f"{last}/groups/", ANSWERS)


def _nest(pieces: Sequence[Piece], exit: int, last: int, handed: Sequence[Handed]) -> Graph:
    """Exits from `exit` to `last`, each within the branch that the one before did not take.

    Where `handed` says what the last of them hands over, that and whether an input left are results too.
    """
    from onnx import helper

    names = [*ANSWERS, *(each.name for each in handed), *(["left"] if handed else [])]
    number = helper.make_node("Constant", [], [f"{exit}/exit"], value_ints=[exit])
    nodes = [*pieces[exit].graph.node, number]
    if exit == last:
        return nodes, _named(f"{exit}/", names)
    there = [*ANSWERS, *(["left"] if handed else [])]
    then = [same(f"{exit}/{name}", f"{exit}/here/{name}") for name in there]
    then += [_nothing(each, f"{exit}/here/{each.name}") for each in handed]
    later, later_values = _nest(pieces, exit + 1, last, handed)
    given = [f"{exit}/{each.name}" for each in pieces[exit].handed]
    otherwise = [*_handed_on(given, exit + 1), *later], later_values
    branch = _if(f"{exit}/left", (then, _named(f"{exit}/here/", names)), otherwise, f"{exit}/or-later/", handed)
    return [*nodes, branch], _named(f"{exit}/or-later/", names)


def _handed_on(values: Sequence[str], exit: int) -> list[NodeProto]:
    return [same(value, f"{exit}/{name}") for value, name in zip(values, numbered("x", len(values)), strict=True)]


def _nothing(handed: Handed, name: str) -> NodeProto:
    """In the place of what is not computed, since the input has left."""
    from onnx import helper, numpy_helper

    blank = torch.zeros((1,) * handed.ndim, dtype=handed.dtype).numpy()
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.ascontiguousarray(blank)))


def _if(condition: str, then: Graph, otherwise: Graph, prefix: str, handed: Sequence[Handed]) -> NodeProto:
    from onnx import helper

    types = {"probabilities": torch.float32, "label": torch.int64, "exit": torch.int64}
    if handed:
        types |= {each.name: each.dtype for each in handed} | {"left": torch.bool}
    branches = {}
    for branch, (nodes, values) in (("then_branch", then), ("else_branch", otherwise)):
        outputs = [value(values[name], dtype, None) for name, dtype in types.items()]
        branches[branch] = helper.make_graph(nodes, branch, [], outputs)
    return helper.make_node("If", [condition], [prefix + name for name in types], **branches)


def _named(prefix: str, names: Sequence[str]) -> dict[str, str]:
    return {name: prefix + name for name in names}


def same(value: str, name: str) -> NodeProto:
    """A value under another name."""
    from onnx import helper

    return helper.make_node("Identity", [value], [name])


def value(name: str, dtype: torch.dtype, shape: list[int] | None) -> ValueInfoProto:
    """What a graph takes or gives."""
    from onnx import helper

    number_format = torch.zeros((), dtype=dtype).numpy().dtype
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(number_format), shape)
