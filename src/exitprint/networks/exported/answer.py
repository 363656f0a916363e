"""What a module answers: where in it the logits of each exit are, in whatever container they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.networks.exported.steps import INPUT, Ref, Step, needed

STACKED = 3
"""Dimensions of a tensor that holds the logits of several exits."""
DEEPEST = 4
"""Objects within objects are looked into so far."""
PROBABILITIES = ("aten.softmax.int", "aten._softmax.default")
SAME_VALUES = ("aten.clone.default", "aten.contiguous.default")
RESHAPES = ("aten.reshape.default", "aten.view.default", "aten.unflatten.int")


@dataclass(frozen=True)
class Take:
    """Where one exit's logits are in a module's answer.

    Attributes
    ----------
    leaf
        Number of the tensor, as `leaves` gives them.
    dim, index
        In a stack of several exits' logits the dimension of the exits and the exit's place there; else ``None``.
    softmax
        Whether the module answers the softmax of them.
    """

    leaf: int
    dim: int | None = None
    index: int = 0
    softmax: bool = False

    def of(self, answer: Any) -> Tensor:
        """What the module says at this exit, shape (batch, classes)."""
        tensor = leaves(answer)[self.leaf][1]
        return tensor if self.dim is None else tensor.select(self.dim, self.index)


@dataclass(frozen=True)
class Exit:
    """An exit in a module's answer: where it is there, the step that gives its logits, and its number of classes."""

    take: Take
    step: int
    classes: int
    path: str
    container: str


def leaves(answer: Any) -> list[tuple[str, Tensor]]:
    """Every tensor of floating point with two or three dimensions in what a module answers, with its place there."""
    return [(path, t) for path, t in _tensors(answer, "") if t.is_floating_point() and t.ndim in (2, STACKED)]


def _tensors(answer: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(answer, Tensor):
        yield path, answer
    elif isinstance(answer, Mapping):
        for key, value in answer.items():
            yield from _tensors(value, f"{path}[{key!r}]")
    elif hasattr(answer, "_fields"):
        for name in answer._fields:
            yield from _tensors(getattr(answer, name), f"{path}.{name}")
    elif isinstance(answer, list | tuple):
        for number, value in enumerate(answer):
            yield from _tensors(value, f"{path}[{number}]")
    elif not isinstance(answer, nn.Module) and path.count(".") < DEEPEST:
        names = vars(answer) if hasattr(answer, "__dict__") else {}
        for name in names or [name for name in ("logits",) if hasattr(answer, name)]:
            yield from _tensors(getattr(answer, name), f"{path}.{name}")


def exits_of(
    answer: Any, outputs: Sequence[Ref], steps: Sequence[Step], costs: Sequence[int]
) -> tuple[list[Exit], str]:
    """The exits in a module's answer, the last one the final answer, and which part of the answer is taken.

    `outputs` says for each of the answer's `leaves` what gives it in the captured module, which consists of `steps`;
    `costs` are the FLOPs up to and including each. Raises `ExitprintError` if there are no logits, or those of the
    exits do not belong together; the text says why.
    """
    found = _found(leaves(answer), outputs, steps)
    if not found:
        raise ExitprintError(nothing_in(answer))
    groups = _groups(found)
    reached = {exit.step: needed(steps, exit.step) for exits in groups for exit in exits}
    deepest = [exits for exits in groups if not _used_by_others(exits, groups, reached)] or groups
    wide = [exits for exits in deepest if exits[0].classes > 1] or deepest
    named = [exits for exits in wide if any(_is_named(exit.path) for exit in exits)] or wide
    several = [exits for exits in named if len(exits) > 1] or named
    chosen = max(several, key=lambda exits: max(len(reached[exit.step]) for exit in exits))
    if any(_is_named(exit.path) for exit in chosen):
        chosen = [exit for exit in chosen if _is_named(exit.path) or "exit" in exit.path]
    _check(chosen, groups, reached, steps)
    if chosen[0].classes == 1:
        raise ExitprintError(
            "this module answers one logit for each image where one for each class is needed: wrap a module that "
            "returns two, such as torch.cat([torch.zeros_like(z), z], 1) of the one logit z."
        )
    for exit in chosen:
        dtype = str(leaves(answer)[exit.take.leaf][1].dtype).removeprefix("torch.")
        if dtype != "float32":
            raise ExitprintError(
                f"this module answers in {dtype}{' at ' + exit.path if exit.path else ''}: call .float() on its logits."
            )
    chosen = _in_order(chosen, costs, reached)
    return chosen, _said(chosen, answer)


def _found(given: Sequence[tuple[str, Tensor]], outputs: Sequence[Ref], steps: Sequence[Step]) -> list[Exit]:
    """Every tensor in the answer that may be an exit's logits; those of a stack one by one."""
    found: list[Exit] = []
    together = None
    for leaf, ((path, tensor), ref) in enumerate(zip(given, outputs, strict=True)):
        shape = _shape(ref, steps)
        if shape and shape[0] == len(tensor) and tensor.ndim == 2 and steps[ref.key].depends:
            raise ExitprintError(one_batch_size(len(tensor)))
        if shape.count(-1) != 1 or (tensor.ndim == 2 and shape[0] != -1) or shape[-1] == -1:
            continue
        if tensor.ndim == 2:
            if ref.kind != "value" or ref.key == INPUT:
                raise ExitprintError("this module gives back its input.")
            step, softmax = _before_softmax(ref.key, steps, 1)
            found.append(Exit(Take(leaf, softmax=softmax), step, tensor.shape[1], path, _around(path)))
            continue
        exits_dim = 1 - shape.index(-1)
        values, softmax = _separated(ref.key, steps, exits_dim)
        if values is None:
            together = together or path
            continue
        for number, step in enumerate(values):
            take = Take(leaf, exits_dim, number, softmax)
            found.append(Exit(take, step, tensor.shape[2], f"{path}[{number}]", path))
    if not found and together is not None:
        raise ExitprintError(
            "this module answers a tensor of three dimensions that is computed in one go, so its exits, if it has "
            "some, end at the same place: answer logits (batch, classes), or a list of them, each computed where its "
            "exit is."
        )
    return found


def _shape(ref: Ref, steps: Sequence[Step]) -> tuple[int, ...]:
    """Shape of a result, −1 for the batch; empty where it does not depend on the number of inputs."""
    return (steps[ref.key].shape or ()) if ref.kind == "value" and ref.key != INPUT else ()


def _before_softmax(index: int, steps: Sequence[Step], dim: int) -> tuple[int, bool]:
    """The step that gives logits, where this one may be their softmax, and whether it is."""
    step = steps[index]
    if step.op in PROBABILITIES and step.args[1] in (-1, dim):
        return step.args[0].key, True
    return index, False


def _separated(index: int, steps: Sequence[Step], dim: int) -> tuple[list[int] | None, bool]:
    """The steps whose results lie beside each other along `dim` of this step's, and whether they went to a softmax.

    Nothing where they are computed together.
    """
    step = steps[index]
    source = step.args[0]
    if step.op in SAME_VALUES:
        return _separated(source.key, steps, dim)
    if step.op in PROBABILITIES and step.args[1] in (-1, STACKED - 1):
        return _separated(source.key, steps, dim)[0], True
    if step.op == "aten.stack.default" and _dim(step, 1) == dim:
        pairs = [_before_softmax(ref.key, steps, 1) for ref in source if ref.kind == "value" and ref.key != INPUT]
        same = len({softmax for _, softmax in pairs}) == 1 and len(pairs) == len(source)
        return ([value for value, _ in pairs], pairs[0][1]) if same else (None, False)
    if step.op == "aten.transpose.int":
        places = [place % STACKED for place in step.args[1:3]]
        swapped = dict(zip(places, reversed(places), strict=True))
        return _separated(source.key, steps, swapped.get(dim, dim))
    if step.op == "aten.permute.default":
        return _separated(source.key, steps, step.args[1][dim] % STACKED)
    if step.op == "aten.cat.default" and _dim(step, 1) == dim:
        return _joined([_separated(ref.key, steps, dim) for ref in source])
    if step.op == "aten.unsqueeze.default" and step.args[1] % STACKED == dim:
        value, softmax = _before_softmax(source.key, steps, 1)
        return [value], softmax
    if step.op == "aten.select_scatter.default" and _dim(step, 2) == dim:
        return _scattered(step, steps, dim)
    if step.op in RESHAPES and dim == 1 and steps[source.key].op == "aten.cat.default":
        pieces = steps[source.key]
        width = (step.shape or (0,))[-1]
        if _dim(pieces, 1, 2) == 1 and all(_shape(ref, steps) == (-1, width) for ref in pieces.args[0]):
            return [ref.key for ref in pieces.args[0]], False
    return None, False


def _joined(parts: Sequence[tuple[list[int] | None, bool]]) -> tuple[list[int] | None, bool]:
    if any(values is None for values, _ in parts) or len({softmax for _, softmax in parts}) != 1:
        return None, False
    return [value for values, _ in parts for value in values or []], parts[0][1]


def _scattered(step: Step, steps: Sequence[Step], dim: int) -> tuple[list[int] | None, bool]:
    """What was written into an empty tensor, exit after exit."""
    written: dict[int, int] = {}
    exits = (step.shape or ())[dim]
    while step.op == "aten.select_scatter.default" and _dim(step, 2) == dim:
        written.setdefault(step.args[3] % exits, step.args[1].key)
        if step.args[0].kind != "value" or step.args[0].key == INPUT:
            break
        step = steps[step.args[0].key]
    return ([written[exit] for exit in range(exits)], False) if len(written) == exits else (None, False)


def _dim(step: Step, place: int, dims: int = STACKED) -> int:
    return (step.args[place] if len(step.args) > place else step.kwargs.get("dim", 0)) % dims


def _groups(found: Sequence[Exit]) -> list[list[Exit]]:
    """By number of classes, each value once; logits rather than their softmax, and neither with its logarithm."""
    groups: dict[int, dict[int, Exit]] = {}
    for exit in sorted(found, key=lambda exit: exit.take.softmax):
        groups.setdefault(exit.classes, {}).setdefault(exit.step, exit)
    order = {id(exit): number for number, exit in enumerate(found)}
    return [sorted(group.values(), key=lambda exit: order[id(exit)]) for group in groups.values()]


def _used_by_others(exits: Sequence[Exit], groups: Sequence[Sequence[Exit]], reached: Mapping[int, set[int]]) -> bool:
    """Whether these are features: tensors of another width are computed from them."""
    others = [other for group in groups if group is not exits for other in group if other.classes > 1]
    return bool(others) and all(any(exit.step in reached[o.step] for o in others) for exit in exits)


def _is_named(path: str) -> bool:
    return "logits" in path


def _check(
    chosen: Sequence[Exit], groups: Sequence[Sequence[Exit]], reached: Mapping[int, set[int]], steps: Sequence[Step]
) -> None:
    """Refuse exits that do not depend on the image, or that stand beside exits of other classes."""
    still = next((exit for exit in chosen if not steps[exit.step].depends), None)
    if still is not None:
        where = f" {still.path}" if still.path else ""
        raise ExitprintError(
            f"the answer{where} of this module does not depend on the image, so it is no exit: leave it out."
        )
    for group in groups:
        for other in group if group[0].classes not in (1, chosen[0].classes) else ():
            apart = not any(other.step in reached[exit.step] or exit.step in reached[other.step] for exit in chosen)
            if (
                apart
                and other.container == chosen[0].container
                and (_is_named(other.path) or not _is_named(chosen[0].path))
            ):
                raise ExitprintError(
                    f"two exits of this module tell other classes: {chosen[0].path} answers {chosen[0].classes} and "
                    f"{other.path} {other.classes}; wrap a module whose exits all tell the same."
                )


def _in_order(exits: list[Exit], costs: Sequence[int], reached: Mapping[int, set[int]]) -> list[Exit]:
    """The final exit last, and the others as they come, or turned round where they come from the deepest on."""

    def is_deeper(one: Exit, other: Exit) -> bool:
        """Whether more is computed for the one alone than for the other alone."""
        alone = (reached[a.step] - reached[b.step] for a, b in ((one, other), (other, one)))
        first, second = (sum(costs[i] - (costs[i - 1] if i else 0) for i in steps) for steps in alone)
        return first > second

    if not is_deeper(exits[0], exits[-1]):
        return exits
    final, *rest = exits
    return [*(rest[::-1] if is_deeper(rest[0], rest[-1]) else rest), final]


def _said(chosen: Sequence[Exit], answer: Any) -> str:
    """Which part of the answer is taken, where it is not all of it."""
    paths = [path for path, _ in _tensors(answer, "")]
    given = leaves(answer)
    taken = [given[exit.take.leaf][0] for exit in chosen]
    if set(taken) == set(paths):
        return ""
    container = _around(taken[0])
    inside = {path for path in paths if path.startswith(container)}
    return container if container and inside == set(taken) else ", ".join(dict.fromkeys(taken))


def _around(path: str) -> str:
    """The container that holds what is at this place."""
    return path[: max(path.rfind("["), path.rfind("."), 0)]


def one_batch_size(images: int) -> str:
    """What is said of a module that works for one number of images only."""
    return (
        f"this module works for batches of {images} only: write its forward without the batch size, or with "
        "x.shape[0] and not len(x) (such as x.flatten(1) or x.view(x.shape[0], -1))."
    )


def nothing_in(answer: Any) -> str:
    """What is said of an answer in which there are no logits."""
    kind = f"a tensor of shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else f"a {type(answer).__name__}"
    return (
        f"this module returns {kind} where logits (batch, classes) are needed: wrap a module that returns a tensor of "
        "them, an object with `logits`, or several, one for each exit."
    )
