"""A captured module cut at its exits: the parts that this gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.networks.exported.operators import LAYER, TRAINING_FLAG, encoded
from exitprint.networks.exported.places import Wanted, can_see, needed_later, place
from exitprint.networks.exported.program import Convolution, Linear, Operation, Part, Weight
from exitprint.networks.exported.reading import Capture
from exitprint.networks.exported.steps import INPUT, Ref, Step, needed, reached, references

Layers = Mapping[int, tuple[str, Convolution | Linear]]


@dataclass(frozen=True)
class Pieces:
    """Stages in order, and the heads of the module's own exits by the stage they sit after."""

    stages: list[Part]
    heads: dict[int, Part]


@dataclass(frozen=True)
class _Draft:
    """A stage or a head that is to be: which steps' results it takes and gives."""

    number: int
    head: bool
    inputs: Sequence[int]
    outputs: Sequence[int]
    name: str


def cut_at(captured: Capture, exits: Sequence[Wanted]) -> Pieces:
    """The module cut at its exits, with what has to be handed over at each cut.

    What an exit's logits need and a later exit needs too belongs to the exit's stage; what only they need is its
    head. A part takes and gives tensors that have the batch first. What depends on weights and on the number of inputs
    alone is computed again where it is needed.

    Raises `ExitprintError` if something that is needed behind a cut cannot be handed over.
    """
    steps = captured.steps
    closures = [needed(steps, exit.step) for exit in exits]
    done: set[int] = set()
    drafts: list[_Draft] = []
    inputs = [INPUT]
    for number, exit in enumerate(exits):
        later: set[int] = set().union(*closures[number + 1 :])
        own_head = exit.own and number < len(exits) - 1
        ready = done | (closures[number] & later if own_head else closures[number])
        crossing = needed_later(captured, ready, later - ready, [e.step for e in exits[number + 1 :]])
        if number == len(exits) - 1:
            seen = outputs = [exit.step]
        else:
            seen = _seen_by_head(captured, ready, closures[number] - ready, exit.step) if own_head else [exit.step]
            outputs = [*seen, *sorted(crossing - set(seen))]
            _check_handed_over(captured, outputs, exit)
        name = place(captured, seen[0]) if seen[0] != INPUT else "the input"
        drafts.append(_Draft(number, False, inputs, outputs, name))
        if own_head:
            drafts.append(_Draft(number, True, outputs, [exit.step], place(captured, exit.step)))
        done, inputs = ready, outputs
    return _pieces(captured, drafts)


def _seen_by_head(captured: Capture, ready: set[int], head: set[int], logits: int) -> list[int]:
    """What a head of the module's own takes; first the latest tensor that another classifier could see."""
    taken = sorted(needed_later(captured, ready, head, [logits]), reverse=True)
    return sorted(taken, key=lambda value: value == INPUT or not can_see(captured.steps[value]))


def _check_handed_over(captured: Capture, outputs: Sequence[int], exit: Wanted) -> None:
    stuck = next((i for i in outputs if i != INPUT and not captured.steps[i].batched), None)
    if stuck is not None:
        step = captured.steps[stuck]
        advice = "write the module with the batch first" if exit.own else "put the exit somewhere else"
        raise ExitprintError(
            f"a cut after {place(captured, exit.step)!r} would hand over a value that has no batch in front "
            f"({step.op}{' in ' + repr(step.path[-1]) if step.path else ''}): {advice}."
        )


def _pieces(captured: Capture, drafts: Sequence[_Draft]) -> Pieces:
    """Parts of these drafts. A weight that a head shares with another part belongs to the stage before it."""
    layers = _layers(captured)
    users: dict[str, list[_Draft]] = {}
    for draft in drafts:
        for name in _weights_of(captured, draft, layers):
            users.setdefault(name, []).append(draft)
    stages: list[Part] = []
    heads: dict[int, Part] = {}
    for draft in drafts:
        owned = {
            name
            for name, taking in users.items()
            if taking[0].number == draft.number and draft.head == (taking[0].head and len(taking) == 1)
        }
        part = _part(captured, draft, layers, owned)
        if draft.head:
            heads[draft.number] = part
        else:
            stages.append(part)
    return Pieces(stages, heads)


def _weights_of(captured: Capture, draft: _Draft, layers: Layers) -> set[str]:
    """Tensors, and layers, that a part takes, by name."""
    found: set[str] = set()
    for index in _needed(captured, draft.inputs, draft.outputs):
        if index in layers:
            found.add(layers[index][0])
        else:
            step = captured.steps[index]
            found |= {ref.key for ref in references((step.args, step.kwargs)) if ref.kind == "weight"}
    return found


def _layers(captured: Capture) -> Layers:
    """Steps that are a convolution or linear layer with weights that nothing else takes under another role."""
    roles: dict[str, set[tuple[str, Any]]] = {}
    for step in captured.steps:
        for position, arg in enumerate(step.args):
            for ref in references(arg):
                if ref.kind == "weight":
                    roles.setdefault(ref.key, set()).add((step.op, position))
    found = {}
    for index, step in enumerate(captured.steps):
        layer = _layer(captured, step)
        if layer is None:
            continue
        path, made = layer
        names = [f"{path}.weight", *([f"{path}.bias"] if made.bias else [])]
        if all(len(roles[name]) == 1 for name in names):
            found[index] = (path, made)
    return found


def _layer(captured: Capture, step: Step) -> tuple[str, Convolution | Linear] | None:
    if step.op not in ("aten.conv2d.default", "aten.linear.default") or step.kwargs:
        return None
    _, weight, bias, *rest = (*step.args, None) if len(step.args) == 2 else step.args
    if not isinstance(weight, Ref) or weight.kind != "weight" or not weight.key.endswith(".weight"):
        return None
    path = weight.key.removesuffix(".weight")
    if bias is not None and (not isinstance(bias, Ref) or bias.key != f"{path}.bias"):
        return None
    own = captured.module.get_submodule(path) if path in dict(captured.module.named_modules()) else None
    if not isinstance(own, nn.Conv2d | nn.Linear):
        return None
    shape = captured.weights[weight.key].shape
    if step.op == "aten.linear.default":
        return path, Linear(inputs=shape[1], outputs=shape[0], bias=bias is not None)
    defaults: list[Any] = [[1, 1], [0, 0], [1, 1], 1]
    stride, padding, dilation, groups = [*rest, *defaults[len(rest) :]]
    pairs = [tuple(v) if len(v) == 2 else (v[0], v[0]) for v in (stride, padding, dilation)]
    return path, Convolution(
        inputs=shape[1] * groups,
        outputs=shape[0],
        kernel=(shape[2], shape[3]),
        stride=pairs[0],
        padding=pairs[1],
        dilation=pairs[2],
        groups=groups,
        bias=bias is not None,
    )


def _part(captured: Capture, draft: _Draft, layers: Layers, owned: set[str]) -> Part:
    """The part, which owns these weights; another part may take what it has."""
    inputs = draft.inputs
    numbers = {value: index for index, value in enumerate(inputs)}
    operations: list[Operation] = []
    for index in sorted(_needed(captured, inputs, draft.outputs)):
        step = captured.steps[index]
        if index in layers:
            name = layers[index][0]
            operations.append(Operation(op=LAYER, args=[_argument(step.args[0], numbers)], kwargs={"name": name}))
        else:
            operations.append(_operation(step, numbers))
        numbers[index] = len(inputs) + len(operations) - 1
    by_name = {path: layer for path, layer in layers.values() if path in owned}
    return Part(
        name=draft.name,
        inputs=len(inputs),
        operations=operations,
        outputs=[numbers[value] for value in draft.outputs],
        weights={name: _weight(captured, name) for name in captured.weights if name in owned},
        layers=by_name,
    )


def _needed(captured: Capture, inputs: Sequence[int], outputs: Sequence[int]) -> set[int]:
    """Steps to run between two cuts; those that do not depend on the input are run again wherever they are used."""
    return reached(captured.steps, outputs, lambda index: index in inputs)


def _weight(captured: Capture, name: str) -> Weight:
    tensor = captured.weights[name]
    trainable = name in dict(captured.module.named_parameters(remove_duplicate=False))
    return Weight(shape=tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."), trainable=trainable)  # type: ignore[arg-type]


def _operation(step: Step, numbers: Mapping[int, int]) -> Operation:
    args = [_argument(arg, numbers) for arg in step.args]
    flag = TRAINING_FLAG.get(step.op)
    if flag is not None:
        nothing = "dropout" in step.op and args[1] == 0
        if args[flag] is not False and not nothing:
            where = repr(step.path[-1]) if step.path else "this module"
            if "dropout" in step.op:
                raise ExitprintError(
                    f"{where} drops at random also when the module answers (Monte Carlo dropout), so an answer is "
                    "another one each time: give F.dropout training=self.training, or leave the dropout out."
                )
            raise ExitprintError(
                f"{where} uses the statistics of the batch when the module "
                "answers, so an image's answer depends on the others: give it running statistics."
            )
        args[flag] = {"training": 0}
    return Operation(op=step.op, args=args, kwargs={name: _argument(v, numbers) for name, v in step.kwargs.items()})


def _argument(argument: Any, numbers: Mapping[int, int]) -> Any:
    if isinstance(argument, Ref):
        if argument.kind == "value":
            return {"value": numbers[argument.key]}
        return {argument.kind: argument.key}
    if isinstance(argument, list | tuple):
        return [_argument(part, numbers) for part in argument]
    return encoded(argument)


def tensors_of(captured: Capture, part: Part) -> dict[str, Tensor]:
    """The weights that a part owns, by their names in the module."""
    names = list(part.weights)
    for path, layer in part.layers.items():
        names += [f"{path}.weight", *([f"{path}.bias"] if layer.bias else [])]
    return {name: captured.weights[name] for name in names}
