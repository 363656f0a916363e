"""An exported program as operators in order, with nothing written in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node
from torch.utils.flop_counter import FlopCounterMode

from exitprint.errors import ExitprintError
from exitprint.networks.exported.answer import Exit, exits_of, one_batch_size
from exitprint.networks.exported.nodes import INTO_PART, SAME, SLICE, copies_whole, functional, keeps_all, views_of
from exitprint.networks.exported.operators import name_of
from exitprint.networks.exported.steps import INPUT, Ref, Step, references

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
PREFIX = "module."


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
    call
        What the copy answers.
    """

    steps: list[Step]
    answers: list[Exit]
    taken: str
    weights: dict[str, Tensor]
    module: nn.Module
    calls: dict[str, int]
    costs: list[int]
    call: Callable[[Tensor], Any]

    @property
    def logits(self) -> int:
        """The step that gives the final answer."""
        return self.answers[-1].step


class _Costs(torch.fx.Interpreter):
    """Runs an exported program and notes the FLOPs up to each node, and what some nodes stand for after another."""

    def __init__(
        self, graph: torch.fx.GraphModule, counter: FlopCounterMode, fold: Sequence[tuple[Node, Node, str]]
    ) -> None:
        super().__init__(graph)
        self.counter = counter
        self.costs: dict[Node, int] = {}
        self.fold = fold
        self.folded: dict[str, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        self.costs[n] = self.counter.get_total_flops()
        for after, each, name in self.fold:
            if after is n:
                self.folded[name] = (result if each is n else self.env[each]).detach().clone()
        return result


class Reading:
    """Goes through an exported program once, and makes steps of its nodes."""

    def __init__(self, program: torch.export.ExportedProgram, module: nn.Module, x: Tensor, answer: Any) -> None:
        self.program, self.module, self.x, self.answer = program, module, x, answer
        self.steps: list[Step] = []
        self.refs: dict[Node, Any] = {}
        self.weights: dict[str, Tensor] = {}
        self.groups: dict[Node, set[Node]] = {}
        self.order = {node: index for index, node in enumerate(program.graph.nodes)}
        self.calls: dict[str, set[str]] = {}
        self.folded: list[tuple[Node, Node, str]] = []
        self.inputs: list[Tensor] = []
        self.nodes: list[Node] = []

    def result(self, call: Callable[[Tensor], Any]) -> Capture:
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
            run = _Costs(self.program.graph_module, counter, self.folded)
            run.run(*self.inputs)
        self.weights |= run.folded
        costs = [run.costs[node] for node in self.nodes]
        answers, taken = exits_of(self.answer, outputs, self.steps, costs)
        return Capture(self.steps, answers, taken, self.weights, self.module, calls, costs, call)

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
        if name in SAME or (name == SLICE and keeps_all(args)):
            self._alias(node, args[0])
            return
        if name == "aten.sym_size.int" and str(node.meta["val"]) == str(self.batch):
            self.refs[node] = Ref("batch")
            return
        if isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable:
            self._in_place(node)
            return
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

    def _in_place(self, node: Node) -> None:
        """An operator in place as one out of place: the tensor around what it wrote is put together anew."""
        written: Any = node.args[0]
        views, base = views_of(written)
        known = name_of(functional(node))
        same = self._same(written)
        others = [each for each in self.groups[written] if each not in same and self._is_used_after(node, each)]
        around = {each for view in (*views, base) for each in self._same(view)}
        if known is not None and not others:
            self._add(node, known, node.args, node.meta.get("val"))
            self._stands_for([*same, node], self.refs[node])
        elif views and around.issuperset(others) and (known is not None or copies_whole(node)):
            self._write_into(node, views, known)
        elif all(self._is_fixed(self.refs[each]) for each in {*node.all_input_nodes, base}):
            self._fold(node)
        else:
            packet = str(node.target).split(".")[1]
            raise ExitprintError(
                f"this module writes into a part of a tensor in place ({packet}{self._where(node)}): write it out of "
                "place there."
            )

    def _write_into(self, node: Node, views: list[Node], known: str | None) -> None:
        """Put an operator's result for a view into the tensor that is viewed, view by view."""
        if copies_whole(node):
            result = self.refs[node.args[1]]  # type: ignore[index]
        else:
            self._add(node, str(known), node.args, views[0].meta["val"])
            result = self.refs[node]
        stands = [([*self._same(views[0]), node], result)]
        inner: Any = node
        for view in views:
            around: Any = view.args[0]
            self.refs[node] = stands[-1][1]
            self._add(node, INTO_PART[str(view.target)], (around, inner, *view.args[1:]), around.meta["val"])
            stands.append((self._same(around), self.refs[node]))
        for nodes, ref in stands:
            self._stands_for(nodes, ref)
        self.refs[node] = result
        self.groups[views[0]].add(node)
        self.groups[node] = self.groups[views[0]]

    def _fold(self, node: Node) -> None:
        """Keep as weights what is the same in every run: a mask that is filled before it is used."""
        group = self.groups[node.args[0]]  # type: ignore[index]
        group.add(node)
        self.groups[node] = group
        for each in group:
            if self._is_used_after(node, each) or each is node:
                name = f"constant_{len(self.folded)}"
                self.folded.append((node, each, name))
                self.refs[each] = Ref("weight", name)

    def _is_used_after(self, node: Node, each: Node) -> bool:
        return any(self.order[user] > self.order[node] for user in each.users)

    def _is_fixed(self, ref: Any) -> bool:
        """Whether this is the same in every run: it depends neither on the images nor on their number."""
        if not isinstance(ref, Ref) or ref.kind == "weight":
            return True
        if ref.kind == "batch" or ref.key == INPUT:
            return False
        step = self.steps[ref.key]
        return not step.depends and all(self._is_fixed(used) for used in references((step.args, step.kwargs)))

    def _stands_for(self, nodes: list[Node], ref: Ref) -> None:
        """From here on whoever takes one of these takes that."""
        group = self.groups[nodes[0]]
        for each in nodes:
            self.refs[each] = ref
            group.add(each)
            self.groups[each] = group

    def _same(self, node: Node) -> list[Node]:
        return [each for each in self.groups[node] if self.refs[each] == self.refs[node]]
