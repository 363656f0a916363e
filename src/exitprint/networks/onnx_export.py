"""A network as an ONNX graph that really exits early: what lies behind an exit is the branch of an `If` not taken."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
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
from exitprint.networks.onnx_nested import ANSWERS, Handed, Piece, groups, numbered, same, value
from exitprint.networks.walk import Place

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT = "images"
DECISION = ("probabilities", "label", "left")
OPSET, IR_VERSION = 18, 8  # both of ONNX 1.13: runtimes refuse files of a newer version than their own
LARGEST = 2**31 - 1

Given = tuple[Tensor, ...]


class _Segment(nn.Module):
    """The network between two exits, for one input; it gives what is handed over, and `DECISION` if any."""

    def __init__(self, network: MultiExitNetwork, exit: int, alone: bool) -> None:
        """`alone` says whether the first stage takes a tensor, and not a tuple of them."""
        super().__init__()
        self.alone = alone
        first = network.exit_stages[exit - 1] + 1 if exit else 0
        self.stages = nn.Sequential(*network.stages[first : network.exit_stages[exit] + 1])
        self.network = (network,)
        self.exit = exit
        self.head = network.heads[exit]

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        network = self.network[0]
        x = given if self.exit else (network.normalised(given[0]),)
        place = Place(0, self.stages(x[0] if self.alone else x))
        logits = self.head(place.shown_to(self.head))
        handed = (place.features,) if isinstance(place.features, Tensor) else place.features
        answer = *handed, network.policy.probabilities(logits), logits.argmax(1)
        last = self.exit == network.num_exits - 1
        return answer if last else (*answer, network.policy.leaves(self.exit, logits))


MANY = 10
"""OpenVINO compiles nested `If` in time that grows exponentially: it took 0.4 s for 10 exits, 8.6 s for 19, and was not
done with 28 after 150 s; ONNX Runtime takes any number."""


def with_fewer_exits(network: MultiExitNetwork, wanted: int) -> MultiExitNetwork:
    """A copy with so many exits in all, the final one included, spread evenly by cost; the thresholds stay theirs.

    Raises `ExitprintError` if there are not so many.
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
    thresholds = [limits[exit] for exit in sorted(kept)] or network.policy.thresholds[:1]  # read by nobody then
    exits = [*sorted(kept), network.num_exits - 1]
    return network.with_heads([(network.exit_stages[exit], network.heads[exit]) for exit in exits], thresholds)


@torch.no_grad()
def export_stages(network: MultiExitNetwork, folder: str | os.PathLike[str]) -> list[Path]:
    """Write one ONNX model for each exit into a folder: what is between the exit before and it.

    Each but the first, which takes ``images``, takes as ``before`` the ``features`` of the one before, and as
    ``before1``, … its ``features1``, … where several tensors go on; it gives those, ``probabilities``, ``label`` and,
    but for the last, ``left``: the caller asks the next where that is false.

    Raises `ExitprintError` as `export_onnx`.
    """
    require_extra("onnx", "onnx")
    where = Path(folder)
    models = [_exported(segment, x, "before" if segment.exit else INPUT) for segment, x in _cut(network)]
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

    Raises `ExitprintError` if the package `onnx` is missing, the network was quantised, its policy remembers earlier
    exits, the graph is larger than a file of this kind can be, or it cannot be written.
    """
    require_extra("onnx", "onnx")
    write_bytes(path, onnx_graph(network).SerializeToString())


@torch.no_grad()
def onnx_graph(network: MultiExitNetwork) -> ModelProto:
    """The graph that `export_onnx` writes.

    Raises `ExitprintError` as `export_onnx`.
    """
    from onnx import checker, compose, helper

    pieces = []
    for segment, x in _cut(network):
        graph = compose.add_prefix(_exported(segment, x, "x"), f"{segment.exit}/").graph
        pieces.append(Piece(graph, _handed(segment(*x))))
    nodes, values = groups(pieces)
    inputs = [value(INPUT, torch.float32, [1, *network.input_shape])]
    outputs = [
        value("probabilities", torch.float32, [1, network.classes]),
        value("label", torch.int64, [1]),
        value("exit", torch.int64, [1]),
    ]
    weights = [weight for piece in pieces for weight in piece.graph.initializer]
    graph = helper.make_graph(
        [same(INPUT, "0/x"), *nodes, *(same(values[name], name) for name in ANSWERS)],
        "exitprint",
        inputs,
        outputs,
        weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name=ONNX_PRODUCER.decode())
    checker.check_model(model)
    return model


def _cut(network: MultiExitNetwork) -> Iterator[tuple[_Segment, Given]]:
    """What lies between one exit and the next, each with what it takes of one image."""
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
    x: Given = (torch.zeros(1, *network.input_shape),)
    handed_over = [network.normalised(x[0]), *network.handed_over()]
    for exit in range(network.num_exits):
        before = network.exit_stages[exit - 1] + 1 if exit else 0
        segment = _Segment(network, exit, isinstance(handed_over[before], Tensor))
        segment.eval()  # in training mode, as it is when new, BatchNorms would be exported so
        yield segment, x
        x = _split(segment(*x))[0]


def _split(given: Given) -> tuple[Given, Given]:
    """What a segment hands over, and its decision."""
    decision = len(DECISION) if given[-1].dtype is torch.bool and given[-1].ndim == 1 else len(DECISION) - 1
    return given[:-decision], given[-decision:]


def _handed(given: Given) -> tuple[Handed, ...]:
    handed, _ = _split(given)
    names = numbered("features", len(handed))
    return tuple(Handed(name, tensor.dtype, tensor.ndim) for name, tensor in zip(names, handed, strict=True))


def _exported(segment: _Segment, x: Given, name: str) -> ModelProto:
    import onnx

    handed, decision = _split(segment(*x))
    with TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        path = Path(folder) / "segment.onnx"
        torch.onnx.export(
            segment,
            x,
            path,
            input_names=numbered(name, len(x)),
            output_names=[*numbered("features", len(handed)), *DECISION[: len(decision)]],
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(path)
