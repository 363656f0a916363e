"""A module's forward pass as operators in order, with nothing written in place: what `torch.export` saw, cleaned."""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node
from torch.utils.flop_counter import FlopCounterMode

from exitprint.errors import ExitprintError
from exitprint.networks.exported.answer import Exit, exits_of, leaves, nothing_in, one_batch_size
from exitprint.networks.exported.operators import name_of
from exitprint.networks.exported.steps import INPUT, Ref, Step, references

SAME = {"aten.detach.default", "aten.detach_.default", "aten.lift_fresh_copy.default", "aten.alias.default"}
MAY_SHARE = {
    "reshape",
    "flatten",
    "contiguous",
    "to",
    "dropout",
    "chunk",
    "type_as",
    "expand_as",
    "unflatten",
    "getitem",
}
NUMBERS = ("aten.item.default", "aten._local_scalar_dense.default")
COPY = "aten.copy_.default"
INTO_PART = {"aten.select.int": "aten.select_scatter.default", "aten.slice.Tensor": "aten.slice_scatter.default"}
PREFIX = "module."
TO_THE_END = 2**63 - 1


@dataclass
class Capture:
    """A module as steps.

    Attributes
    ----------
    steps
        In order. ``Ref("value", -1)`` is the input, ``Ref("value", i)`` the result of step i.
    answers
        The exits in the module's answer, from the shallowest to the final one.
    taken
        Which part of the answer that is, where it is not all of it.
    weights
        Every tensor that steps take, by its name in the module.
    module
        A copy of the module, on the CPU, in evaluation mode.
    calls
        How often each submodule runs.
    costs
        FLOPs up to and including each step, by PyTorch's own counter.
    """

    steps: list[Step]
    answers: list[Exit]
    taken: str
    weights: dict[str, Tensor]
    module: nn.Module
    calls: dict[str, int]
    costs: list[int]

    @property
    def logits(self) -> int:
        """The step that gives the final answer."""
        return self.answers[-1].step


class _Leaves(nn.Module):
    """A module that answers every tensor in a module's answer that may be logits."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor for _, tensor in leaves(self.module(x)))


@contextlib.contextmanager
def no_fast_path() -> Iterator[None]:
    """Without the fused kernels of `nn.TransformerEncoder`, that `torch.export` does not see."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@torch.no_grad()
def capture(module: nn.Module, x: Tensor) -> Capture:
    """The operators that a module runs on a batch of images.

    Parameters
    ----------
    module
        Any module that returns logits; it is copied, and the copy is put into evaluation mode.
    x
        Images as the module wants them, shape (batch, channels, height, width), at least two.

    Raises
    ------
    ExitprintError
        If the module takes more than one input, its control flow depends on the data, it works for one batch size only,
        it runs an operator that cannot be kept, or it does not return logits.
    """
    _check_one_input(module)
    copied = copy.deepcopy(module).cpu().to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    try:
        answer = copied(x)
    except Exception as error:
        raise ExitprintError(f"this module cannot answer the example: {_short(error)}") from error
    if not leaves(answer):
        raise ExitprintError(nothing_in(answer))
    return _Reading(_exported(_Leaves(copied), x), copied, x, answer).result()


class _Costs(torch.fx.Interpreter):
    """Runs an exported program and notes the FLOPs up to each node."""

    def __init__(self, graph: torch.fx.GraphModule, counter: FlopCounterMode) -> None:
        super().__init__(graph)
        self.counter = counter
        self.costs: dict[Node, int] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        self.costs[n] = self.counter.get_total_flops()
        return result


def _check_one_input(module: nn.Module) -> None:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    wanted = [
        p.name
        for p in inspect.signature(module.forward).parameters.values()
        if p.kind in kinds and p.default is p.empty
    ]
    if len(wanted) > 1:
        raise ExitprintError(
            f"this module takes {len(wanted)} inputs ({', '.join(wanted)}) where one, the images, is needed: wrap a "
            "module that takes images and fixes the others."
        )


def _exported(module: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    quiet = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), no_fast_path(), contextlib.redirect_stderr(io.StringIO()):
            return torch.export.export(module.eval(), (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},), strict=False)
    except Exception as error:
        text = f"{type(error).__name__} {error}"
        if "data-dependent" in text.lower() or "DataDependent" in text:
            raise ExitprintError(
                "the control flow of this module depends on the data (an `if` or a loop over what was computed), so it "
                "cannot be cut into stages: compute both ways and choose with torch.where, or wrap a part without it."
            ) from error
        raise ExitprintError(f"torch.export cannot follow this module: {_short(error)}") from error
    finally:
        logging.disable(quiet)


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


class _Reading:
    """Goes through an exported program once, and makes steps of its nodes."""

    def __init__(self, program: torch.export.ExportedProgram, module: nn.Module, x: Tensor, answer: Any) -> None:
        self.program, self.module, self.x, self.answer = program, module, x, answer
        self.steps: list[Step] = []
        self.refs: dict[Node, Any] = {}
        self.weights: dict[str, Tensor] = {}
        self.groups: dict[Node, set[Node]] = {}
        self.order = {node: index for index, node in enumerate(program.graph.nodes)}
        self.calls: dict[str, set[str]] = {}
        self.inputs: list[Tensor] = []
        self.nodes: list[Node] = []

    def result(self) -> Capture:
        outputs: list[Ref] = []
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "output":
                specs = self.program.graph_signature.output_specs
                given = zip(specs, node.args[0], strict=True)
                outputs = [self.refs[each] for spec, each in given if spec.kind is OutputKind.USER_OUTPUT]
            elif node.op == "call_function":
                self._function(node)
            elif node.users:
                raise ExitprintError(f"a part of this module ({node.target}) cannot be kept in a file.")
        calls = {path: len(found) for path, found in self.calls.items()}
        with FlopCounterMode(display=False) as counter:
            run = _Costs(self.program.graph_module, counter)
            run.run(*self.inputs)
        costs = [run.costs[node] for node in self.nodes]
        answers, taken = exits_of(self.answer, outputs, self.steps, costs)
        return Capture(self.steps, answers, taken, self.weights, self.module, calls, costs)

    def _placeholder(self, node: Node) -> None:
        spec = next(s for s in self.program.graph_signature.input_specs if getattr(s.arg, "name", None) == node.name)
        self.groups[node] = {node}
        if spec.kind is InputKind.USER_INPUT:
            self.batch = node.meta["val"].shape[0]
            if not isinstance(self.batch, torch.SymInt):
                raise ExitprintError(one_batch_size(self.batch))
            self.refs[node] = Ref("value", INPUT)
            self.inputs.append(self.x)
            return
        target = str(spec.target)
        name = target.removeprefix(PREFIX)
        found = self.program.state_dict.get(target, self.program.constants.get(target))
        if not isinstance(found, Tensor):
            raise ExitprintError(f"this module takes {name!r}, which is no tensor and cannot be kept in a file.")
        self.inputs.append(found.detach().clone())
        if node.users:
            self.weights[name] = found.detach()
        self.refs[node] = Ref("weight", name)

    def _function(self, node: Node) -> None:
        target, args = node.target, node.args
        name = str(target)
        if name in SAME or (name == "aten.slice.Tensor" and _keeps_all(args)):
            self._alias(node, args[0])
            return
        if name == "aten.sym_size.int" and str(node.meta["val"]) == str(self.batch):
            self.refs[node] = Ref("batch")
            return
        if name == COPY and (base := self._part_written(node)) is not None:
            view, source = _nodes(node)
            self._add(node, INTO_PART[str(view.target)], (base, source, *view.args[1:]), base.meta["val"])
            self._rewritten(node, base)
            return
        written = None
        if isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable:
            written, target = args[0], self._functional(node)
        known = name_of(target)
        if known is None:
            if not node.users:
                return  # an assertion
            if name in NUMBERS:
                raise ExitprintError(
                    f"this module takes a number out of its data (.item(), int(), float()){self._where(node)}, so it "
                    "cannot be cut: keep it a tensor."
                )
            raise ExitprintError(
                f"this module runs {name}{self._where(node)}, which a network's file cannot hold: replace it there."
            )
        self._add(node, known, node.args, node.meta.get("val"))
        if written is not None:
            self._rewritten(node, written)
        else:
            self._share(node, known)

    def _add(self, node: Node, known: str, arguments: tuple[Any, ...], value: Any) -> None:
        """A step, from here on what this node stands for."""
        args = torch.fx.map_arg(arguments, lambda used: self.refs[used])
        kwargs = torch.fx.map_arg(dict(node.kwargs), lambda used: self.refs[used])
        shape = value.shape if isinstance(value, Tensor) else None
        first = shape[0] if shape else None
        step = Step(
            known,
            tuple(args),
            kwargs,
            self._path(node),
            None if shape is None else tuple(int(d) if isinstance(d, int) else -1 for d in shape),
            isinstance(first, torch.SymInt) and str(first) == str(self.batch),
            any(self._depends(ref) for ref in references((args, kwargs))),
            isinstance(value, Tensor) and value.is_floating_point(),
        )
        self.refs[node] = Ref("value", len(self.steps))
        self.steps.append(step)
        self.nodes.append(node)

    def _depends(self, ref: Ref) -> bool:
        return ref.kind == "value" and (ref.key < 0 or self.steps[ref.key].depends)

    def _path(self, node: Node) -> tuple[str, ...]:
        names = []
        for key, (path, _) in node.meta.get("nn_module_stack", {}).items():
            name = path.split("@")[0].removeprefix(PREFIX)
            if name and name != PREFIX[:-1]:
                names.append(name)
                self.calls.setdefault(name, set()).add(key if "@" in key else path)
        return tuple(names)

    def _where(self, node: Node) -> str:
        path = self._path(node)
        return f" in {path[-1]!r}" if path else ""

    def _alias(self, node: Node, of: Any) -> None:
        self.refs[node] = self.refs[of]
        self.groups[node] = self.groups[of]
        self.groups[of].add(node)

    def _share(self, node: Node, known: str) -> None:
        """Keep account of which results may lie in the memory of others."""
        self.groups[node] = {node}
        schema = node.target._schema if isinstance(node.target, torch._ops.OpOverload) else None
        views = schema is not None and any(r.alias_info is not None for r in schema.returns)
        if views or known.split(".")[-2 if "aten" in known else 0] in MAY_SHARE:
            source = next((a for a in node.all_input_nodes), None)
            if source is not None and source in self.groups:
                self.groups[source].add(node)
                self.groups[node] = self.groups[source]

    def _functional(self, node: Node) -> Any:
        """The operator that computes what this one writes in place."""
        _, packet, overload = str(node.target).split(".")
        found = getattr(torch.ops.aten, packet.removesuffix("_"), None) if packet.endswith("_") else None
        functional = getattr(found, overload, None)
        written: Any = node.args[0]
        seen_later = [
            each
            for each in self.groups[written] - set(self._same(written))
            if any(self.order[user] > self.order[node] for user in each.users)
        ]
        if functional is None or seen_later:
            raise ExitprintError(
                f"this module writes into a part of a tensor in place ({packet}{self._where(node)}): write it out of "
                "place there."
            )
        return functional

    def _part_written(self, node: Node) -> Any | None:
        """The tensor a part of which this node overwrites, if nothing else sees that part or others of it later."""
        view, source = _nodes(node)
        if str(view.target) not in INTO_PART or not isinstance(source, Node):
            return None
        base: Any = view.args[0]
        here, there = view.meta["val"], source.meta["val"]
        later = [
            each
            for each in self.groups[base] - set(self._same(base))
            if any(self.order[user] > self.order[node] for user in each.users)
        ]
        return base if not later and here.shape == there.shape and here.dtype == there.dtype else None

    def _same(self, node: Node) -> list[Node]:
        return [each for each in self.groups[node] if self.refs[each] == self.refs[node]]

    def _rewritten(self, node: Node, written: Any) -> None:
        """From here on whoever takes the tensor that was written takes the new one."""
        same = self._same(written)
        group = {node, *same}
        for each in same:
            self.refs[each] = self.refs[node]
        for each in group:
            self.groups[each] = group


def _nodes(node: Node) -> tuple[Any, Any]:
    """The first two arguments of a copy: where to, and what."""
    return node.args[0], node.args[1]


def _keeps_all(args: tuple[Any, ...]) -> bool:
    start, end, step = [*args[2:5], *(None,) * (5 - len(args))][:3]
    return start in (None, 0) and end in (None, TO_THE_END) and step in (None, 1)
