"""Where to cut a captured module, and the parts that cutting gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.networks.exported.capture import Capture, Ref, Step, references
from exitprint.networks.exported.operators import LAYER, TRAINING_FLAG, encoded
from exitprint.networks.exported.program import Convolution, Linear, Operation, Part, Weight

AUTO_EXITS = 9
NEARLY_NOTHING = 0.02
"""An exit that saves, or comes after, less than this share of the cost is not worth placing."""
INPUT = -1


def wanted_cuts(captured: Capture, exits: Sequence[str] | int | Literal["auto"]) -> list[int]:
    """The steps after which the module is cut: the exit there sees that step's result.

    Parameters
    ----------
    captured
        The module.
    exits
        Names of submodules, whose outputs the exits see; or how many exits to place evenly by cost; ``auto`` for up to
        nine.

    Raises
    ------
    ExitprintError
        If there is no such submodule, it cannot be cut after it, or there is no place to cut.
    """
    if isinstance(exits, str) and exits != "auto":
        raise ExitprintError(f"exits are a list of submodules' names, a number, or 'auto', and not {exits!r}.")
    if isinstance(exits, str | int):
        places = _places(captured)
        return _evenly(captured, places, min(AUTO_EXITS, len(places)) if isinstance(exits, str) else exits)
    cuts = sorted({_after(captured, name) for name in exits})
    if len(cuts) != len(exits):
        raise ExitprintError("two of these exits see the same features: name each place once.")
    return cuts


def parts(captured: Capture, cuts: Sequence[int]) -> list[Part]:
    """The module cut after these steps, with what has to be handed over at each cut.

    A part takes and gives tensors that have the batch first. What depends on weights and on the number of inputs alone
    is computed again where it is needed.

    Raises
    ------
    ExitprintError
        If something that is needed behind a cut cannot be handed over.
    """
    made: list[Part] = []
    owned: set[str] = set()
    layers = _layers(captured)
    inputs = [INPUT]
    ends = [*cuts, len(captured.steps) - 1]
    for number, end in enumerate(ends):
        if number == len(ends) - 1:
            outputs = [captured.logits]
        else:
            crossing = alive(captured, end)
            stuck = next((i for i in crossing if i != INPUT and not captured.steps[i].batched), None)
            if stuck is not None:
                step = captured.steps[stuck]
                raise ExitprintError(
                    f"a cut after {place(captured, end)!r} would hand over a value that has no batch in front "
                    f"({step.op}{' in ' + repr(step.path[-1]) if step.path else ''}): put the exit somewhere else."
                )
            outputs = [end, *(i for i in crossing if i != end)]
        made.append(_part(captured, inputs, outputs, layers, owned, place(captured, end)))
        inputs = outputs
    return made


def alive(captured: Capture, end: int) -> list[int]:
    """What depends on the input, is there after step `end`, and is needed behind it (−1 is the input itself)."""
    needed: set[int] = set()
    waiting = [step for step in captured.steps[end + 1 :] if step.depends]
    for step in waiting:
        needed |= {ref.key for ref in references((step.args, step.kwargs)) if ref.kind == "value" and ref.key <= end}
    return sorted(i for i in needed if i == INPUT or captured.steps[i].depends)


def place(captured: Capture, step: int) -> str:
    """The outermost submodule that ends with this step, else the step's own place and operator."""
    if ended := _ended(captured, step):
        return ended[0]
    return ".".join([*captured.steps[step].path[-1:], captured.steps[step].op.removeprefix("aten.").split(".")[0]])


def _ended(captured: Capture, step: int) -> list[str]:
    """Submodules that end with this step, outermost first."""
    following = captured.steps[step + 1].path if step + 1 < len(captured.steps) else ()
    return [name for name in captured.steps[step].path if name not in following]


def _after(captured: Capture, name: str) -> int:
    inside = [index for index, step in enumerate(captured.steps) if name in step.path]
    if not inside:
        known = dict(captured.module.named_modules())
        if name not in known:
            likely = ", ".join(list(known)[1:13])
            raise ExitprintError(f"this module has no submodule {name!r}: it has {likely}, …")
        raise ExitprintError(f"the submodule {name!r} computes nothing when the module answers: name another.")
    if captured.calls.get(name, 1) > 1:
        raise ExitprintError(
            f"the submodule {name!r} runs {captured.calls[name]} times: name what is around one of them."
        )
    users = _users(captured)
    given = [i for i in inside if i == captured.logits or any(user not in inside for user in users.get(i, ()))]
    if not given or given[-1] == captured.logits:
        raise ExitprintError(f"the submodule {name!r} ends with the module's own answer: exits come before it.")
    if not _can_see(captured.steps[given[-1]]):
        raise ExitprintError(
            f"an exit after {name!r} would see a tensor of shape {captured.steps[given[-1]].shape} (−1 is the batch): "
            "it needs vectors, feature maps or token sequences with the batch first."
        )
    return given[-1]


def _places(captured: Capture) -> dict[int, int]:
    """Steps after which one tensor alone goes on, by their cost; of those of one cost a submodule's end."""
    costs = captured.costs
    best: dict[int, int] = {}
    for index, step in enumerate(captured.steps[: captured.logits]):
        if step.depends and _can_see(step) and alive(captured, index) == [index]:
            before = best.get(costs[index])
            if before is None or len(_ended(captured, index)) >= len(_ended(captured, before)):
                best[costs[index]] = index
    total = max(1, captured.costs[-1])
    usable = {cost: index for cost, index in best.items() if NEARLY_NOTHING < cost / total < 1 - NEARLY_NOTHING}
    if not usable:
        raise ExitprintError(
            "this module has no place where one tensor alone goes on, so exits cannot be placed automatically: name "
            "submodules to put them after."
        )
    return usable


def _evenly(captured: Capture, places: dict[int, int], wanted: int) -> list[int]:
    if not 1 <= wanted <= len(places):
        raise ExitprintError(f"exits can be placed automatically at 1 to {len(places)} places here, and not {wanted}.")
    free = dict(places)
    chosen = []
    for k in range(1, wanted + 1):
        target = k * captured.costs[-1] / (wanted + 1)
        chosen.append(free.pop(min(free, key=lambda cost: abs(cost - target))))
    return sorted(chosen)


def _can_see(step: Step) -> bool:
    return step.batched and step.floating and step.shape is not None and 2 <= len(step.shape) <= 4


def _users(captured: Capture) -> dict[int, list[int]]:
    users: dict[int, list[int]] = {}
    for index, step in enumerate(captured.steps):
        for ref in references((step.args, step.kwargs)):
            if ref.kind == "value":
                users.setdefault(ref.key, []).append(index)
    return users


def _layers(captured: Capture) -> dict[int, tuple[str, Convolution | Linear]]:
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


def _part(
    captured: Capture,
    inputs: Sequence[int],
    outputs: Sequence[int],
    layers: Mapping[int, tuple[str, Convolution | Linear]],
    owned: set[str],
    name: str,
) -> Part:
    needed = _needed(captured, inputs, outputs)
    numbers = {value: index for index, value in enumerate(inputs)}
    operations: list[Operation] = []
    weights: dict[str, Weight] = {}
    own_layers: dict[str, Convolution | Linear] = {}
    for index in sorted(needed):
        step = captured.steps[index]
        if index in layers:
            path, layer = layers[index]
            if path not in owned:
                own_layers[path] = layer
                owned.add(path)
            operations.append(Operation(op=LAYER, args=[_argument(step.args[0], numbers)], kwargs={"name": path}))
        else:
            for ref in references((step.args, step.kwargs)):
                if ref.kind == "weight" and ref.key not in owned:
                    weights[ref.key] = _weight(captured, ref.key)
                    owned.add(ref.key)
            operations.append(_operation(step, numbers))
        numbers[index] = len(inputs) + len(operations) - 1
    return Part(
        name=name,
        inputs=len(inputs),
        operations=operations,
        outputs=[numbers[value] for value in outputs],
        weights=weights,
        layers=own_layers,
    )


def _needed(captured: Capture, inputs: Sequence[int], outputs: Sequence[int]) -> set[int]:
    """Steps to run between two cuts; those that do not depend on the input are run again wherever they are used."""
    needed: set[int] = set()
    waiting = [value for value in outputs if value not in inputs]
    while waiting:
        index = waiting.pop()
        if index in needed or index in inputs:
            continue
        needed.add(index)
        step = captured.steps[index]
        waiting += [ref.key for ref in references((step.args, step.kwargs)) if ref.kind == "value"]
    return needed


def _weight(captured: Capture, name: str) -> Weight:
    tensor = captured.weights[name]
    trainable = name in dict(captured.module.named_parameters(remove_duplicate=False))
    return Weight(shape=tuple(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."), trainable=trainable)  # type: ignore[arg-type]


def _operation(step: Step, numbers: Mapping[int, int]) -> Operation:
    args = [_argument(arg, numbers) for arg in step.args]
    flag = TRAINING_FLAG.get(step.op)
    if flag is not None:
        if args[flag] is not False:
            raise ExitprintError(
                f"{step.path[-1] if step.path else step.op!r} uses the statistics of the batch when the module "
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
