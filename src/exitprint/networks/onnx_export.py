"""A network as an ONNX graph that really exits early: what lies behind an exit is the branch of an `If` not taken."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError, require_extra
from exitprint.files import ONNX_PRODUCER, write_bytes
from exitprint.networks.cost import exit_costs
from exitprint.networks.integer import IntegerLayer
from exitprint.networks.network import MultiExitNetwork
from exitprint.networks.policy import ExitPolicy

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

INPUT = "images"
RESULTS = ("features", "probabilities", "label", "left")
ANSWERS = ("probabilities", "label", "exit")
DTYPES = {"probabilities": torch.float32, "features": torch.float32, "left": torch.bool}
NESTED = 24  # readers of protobuf messages stop at 100 levels, and an If within an If adds three
OPSET, IR_VERSION = 18, 8  # both of ONNX 1.13: runtimes refuse files of a newer version than their own
LARGEST = 2**31 - 1


# nodes, and the name of the value that holds each result
Graph = tuple[list["NodeProto"], dict[str, str]]


class _Segment(nn.Module):
    """All from one exit to the next, for one input: `RESULTS`, the last of them only where there is a choice."""

    def __init__(self, network: MultiExitNetwork, exit: int) -> None:
        super().__init__()
        first = network.exit_stages[exit - 1] + 1 if exit else 0
        self.stages = nn.Sequential(*network.stages[first : network.exit_stages[exit] + 1])
        self.network = (network,)
        self.exit = exit
        self.head = network.heads[exit]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        network = self.network[0]
        features = self.stages(x if self.exit else network.normalised(x))
        logits = self.head(features)
        answer = features, network.policy.probabilities(logits), logits.argmax(1)
        last = self.exit == network.num_exits - 1
        return answer if last else (*answer, network.policy.leaves(self.exit, logits))


MANY = 10
"""OpenVINO compiles nested `If` in time that grows exponentially: it took 0.4 s for 10 exits, 8.6 s for 19, and was not
done with 28 after 150 s; ONNX Runtime takes any number."""


def with_fewer_exits(network: MultiExitNetwork, wanted: int) -> MultiExitNetwork:
    """A copy with so many exits in all, the final one included, spread evenly by cost; the thresholds stay theirs.

    Raises
    ------
    ExitprintError
        If there are not so many.
    """
    if not 1 <= wanted <= network.num_exits:
        raise ExitprintError(f"this network has {network.num_exits} exits, so {wanted} of them cannot be kept.")
    network = network.copy()
    costs = exit_costs(network)[:-1]
    free = list(range(len(costs)))
    kept = []
    for place in range(1, wanted):
        kept.append(min(free, key=lambda exit: abs(costs[exit] - place / wanted)))
        free.remove(kept[-1])
    limits = network.policy.for_exits(len(costs))
    policy = replace_thresholds(network.policy, [limits[exit] for exit in sorted(kept)])
    exits = [*sorted(kept), network.num_exits - 1]
    return MultiExitNetwork(
        list(network.stages),
        [(network.exit_stages[exit], network.heads[exit]) for exit in exits],
        policy,
        network.input_shape,
        network.mean.flatten().tolist(),
        network.std.flatten().tolist(),
        history=network.history,
    ).eval()


def replace_thresholds(policy: ExitPolicy, thresholds: Sequence[float]) -> ExitPolicy:
    """The same rule at other thresholds; without early exits the old ones, which nothing reads."""
    return ExitPolicy(thresholds or policy.thresholds[:1], *policy.rule)


@torch.no_grad()
def export_stages(network: MultiExitNetwork, folder: str | os.PathLike[str]) -> list[Path]:
    """Write one ONNX model for each exit into a folder: what is between the exit before and it.

    Each but the first, which takes ``images``, takes as ``before`` the ``features`` of the one before; it gives
    ``features``, ``probabilities``, ``label`` and, but for the last, ``left``: the caller asks the next where that is
    false.

    Raises
    ------
    ExitprintError
        As `export_onnx`.
    """
    require_extra("onnx", "onnx")
    where = Path(folder)
    models = [_exported(segment, x, "before" if number else INPUT) for number, (segment, x) in enumerate(_cut(network))]
    where.mkdir(exist_ok=True)
    paths = [where / f"stage{number}.onnx" for number in range(len(models))]
    for path, model in zip(paths, models, strict=True):
        write_bytes(path, model.SerializeToString())
    return paths


def export_onnx(network: MultiExitNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network as an ONNX file for one input at a time, whole or not at all.

    Input ``images``: float32 in [0, 1], shape (1, channels, height, width). Outputs: ``probabilities``, float32,
    (1, classes); ``label``, int64, (1,); ``exit``, int64, (1,). Exits nest as `If` within `If`, in groups that readers
    of the file can follow however many exits there are; all weights belong to the outermost graph.

    Raises
    ------
    ExitprintError
        If the package `onnx` is missing, the network was quantised, its policy remembers earlier exits, its stages hand
        over more than one tensor, the graph is larger than a file of this kind can
        be, or it cannot be written.
    """
    require_extra("onnx", "onnx")
    write_bytes(path, onnx_graph(network).SerializeToString())


@torch.no_grad()
def onnx_graph(network: MultiExitNetwork) -> ModelProto:
    """The graph that `export_onnx` writes.

    Raises
    ------
    ExitprintError
        As `export_onnx`.
    """
    from onnx import checker, compose, helper

    segments = []
    for exit, (segment, x) in enumerate(_cut(network)):
        segments.append(compose.add_prefix(_exported(segment, x, "x"), f"{exit}/").graph)
        probabilities = segment(x)[1]
    nodes, values = _groups(segments, 0)
    inputs = [_value(INPUT, torch.float32, [1, *network.input_shape])]
    outputs = [
        _value("probabilities", torch.float32, list(probabilities.shape)),
        _value("label", torch.int64, [1]),
        _value("exit", torch.int64, [1]),
    ]
    weights = [weight for segment in segments for weight in segment.initializer]
    graph = helper.make_graph(
        [_same(INPUT, "0/x"), *nodes, *(_same(values[name], name) for name in ANSWERS)],
        "exitprint",
        inputs,
        outputs,
        weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name=ONNX_PRODUCER.decode())
    checker.check_model(model)
    return model


def _cut(network: MultiExitNetwork) -> Iterator[tuple[_Segment, Tensor]]:
    """What lies between one exit and the next, each with an input for it."""
    if network.policy.remembers:
        raise ExitprintError(
            "an ONNX model decides at each exit by that exit alone: patience and the most confident exit's answer "
            "cannot be exported; change the criterion first."
        )
    if any(isinstance(module, IntegerLayer) for module in network.modules()):
        raise ExitprintError("a quantised network has integer layers that ONNX does not have: export the one before.")
    size = sum(p.numel() * p.element_size() for p in network.state_dict().values())
    if size > LARGEST - 2**24:
        raise ExitprintError(f"an ONNX file holds 2 GiB, and these weights are {size >> 20} MiB: they do not fit.")
    network = network.copy().cpu().float().eval()
    if any(not isinstance(features, Tensor) for features in network.handed_over()):
        raise ExitprintError(
            "the stages of this network hand over several tensors, which an ONNX model of ours cannot: put its exits "
            "where one tensor alone goes on."
        )
    x = torch.zeros(1, *network.input_shape)
    for exit in range(network.num_exits):
        segment = _Segment(network, exit).eval()  # in training mode, as it is when new, BatchNorms would be exported so
        yield segment, x
        x = segment(x)[0]


def _exported(segment: _Segment, x: Tensor, name: str) -> ModelProto:
    import onnx

    with TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        path = Path(folder) / "segment.onnx"
        torch.onnx.export(
            segment,
            (x,),
            path,
            input_names=[name],
            output_names=list(RESULTS[: len(segment(x))]),
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(path)


def _groups(segments: Sequence[GraphProto], first: int) -> Graph:
    """Exits from `first` on, group after group: the next one is in the branch taken if none of the last was."""
    last = min(first + NESTED, len(segments)) - 1
    if last == len(segments) - 1:
        return _nest(segments, first, last, ANSWERS)
    nodes, values = _nest(segments, first, last, (*ANSWERS, "features", "left"))
    then = [_same(values[name], f"{last}/group/{name}") for name in ANSWERS], _named(f"{last}/group/", ANSWERS)
    later, later_values = _groups(segments, last + 1)
    otherwise = [_same(values["features"], f"{last + 1}/x"), *later], later_values
    branch = _if(values["left"], then, otherwise, f"{last}/groups/", ANSWERS)
    return [*nodes, branch], _named(f"{last}/groups/", ANSWERS)


def _nest(segments: Sequence[GraphProto], exit: int, last: int, results: Sequence[str]) -> Graph:
    """Exits from `exit` to `last`, each within the branch that the one before did not take."""
    from onnx import helper

    number = helper.make_node("Constant", [], [f"{exit}/exit"], value_ints=[exit])
    nodes = [*segments[exit].node, number]
    if exit == last:
        return nodes, _named(f"{exit}/", results)
    then = [_same(f"{exit}/{name}", f"{exit}/here/{name}") for name in results], _named(f"{exit}/here/", results)
    later, later_values = _nest(segments, exit + 1, last, results)
    otherwise = [_same(f"{exit}/features", f"{exit + 1}/x"), *later], later_values
    branch = _if(f"{exit}/left", then, otherwise, f"{exit}/or-later/", results)
    return [*nodes, branch], _named(f"{exit}/or-later/", results)


def _if(condition: str, then: Graph, otherwise: Graph, prefix: str, results: Sequence[str]) -> NodeProto:
    from onnx import helper

    branches = {}
    for branch, (nodes, values) in (("then_branch", then), ("else_branch", otherwise)):
        outputs = [_value(values[name], DTYPES.get(name, torch.int64), None) for name in results]
        branches[branch] = helper.make_graph(nodes, branch, [], outputs)
    return helper.make_node("If", [condition], [prefix + name for name in results], **branches)


def _named(prefix: str, names: Sequence[str]) -> dict[str, str]:
    return {name: prefix + name for name in names}


def _same(value: str, name: str) -> NodeProto:
    from onnx import helper

    return helper.make_node("Identity", [value], [name])


def _value(name: str, dtype: torch.dtype, shape: list[int] | None) -> ValueInfoProto:
    from onnx import TensorProto, helper

    types = {torch.float32: TensorProto.FLOAT, torch.int64: TensorProto.INT64, torch.bool: TensorProto.BOOL}
    return helper.make_tensor_value_info(name, types[dtype], shape)
