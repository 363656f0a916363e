"""Where a captured module may be cut, and where its exits go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from exitprint.errors import ExitprintError
from exitprint.networks.exported.reading import Capture
from exitprint.networks.exported.steps import INPUT, Step, needed, references

AUTO_EXITS = 9
"""Exits that are placed where the user names no places."""
NEARLY_NOTHING = 0.02
"""An exit that saves, or comes after, less than this share of the cost is not worth placing."""


@dataclass(frozen=True)
class Wanted:
    """An exit: the step whose result it sees, or, where it is one of the module's own, that gives its logits."""

    step: int
    own: bool


def wanted_exits(captured: Capture, exits: Sequence[str] | int | Literal["auto"]) -> list[Wanted]:
    """The exits of the network, from the shallowest to the final one: those in the module's answer, and new ones.

    New ones see the outputs of the submodules that are named, or are a number that is placed evenly by cost; ``auto``
    is up to nine where the module has no exits of its own, and else none. Raises `ExitprintError` if there is no such
    submodule, it cannot be cut after it, or there is no place to cut.
    """
    if isinstance(exits, str) and exits != "auto":
        raise ExitprintError(f"exits are a list of submodules' names, a number, or 'auto', and not {exits!r}.")
    own = [exit.step for exit in captured.answers]
    final = needed(captured.steps, captured.logits)
    if exits == "auto" and len(own) > 1:
        cuts = []
    elif isinstance(exits, str | int):
        places = _places(captured, final)
        cuts = _evenly(captured, places, min(AUTO_EXITS, len(places)) if isinstance(exits, str) else exits)
    else:
        cuts = sorted({_after(captured, name, final) for name in exits})
        if len(cuts) != len(exits):
            raise ExitprintError("two of these exits see the same features: name each place once.")
    depths = accumulate((len(needed(captured.steps, step) & final) for step in own[:-1]), max)
    order = [(depth, number, step) for number, (depth, step) in enumerate(zip(depths, own, strict=False))]
    order += [(len(needed(captured.steps, step)), -1, step) for step in cuts]
    return [*(Wanted(step, number >= 0) for _, number, step in sorted(order)), Wanted(captured.logits, True)]


def needed_later(captured: Capture, ready: set[int], later: set[int], targets: Sequence[int]) -> set[int]:
    """What is computed and needed later (the input itself may be)."""
    used = [captured.steps[index] for index in later]
    values = {ref.key for step in used for ref in references((step.args, step.kwargs)) if ref.kind == "value"}
    return {value for value in {*values, *targets} if value in ready or value == INPUT}


def _alive(captured: Capture, end: int, final: set[int]) -> set[int]:
    """Results that exist after step `end` and that the final answer still needs (−1 is the input itself)."""
    ready = {i for i in final if i <= end}
    return needed_later(captured, ready, final - ready, [captured.logits])


def _seen_by_own(captured: Capture, final: set[int]) -> set[int]:
    """The features on the way to the final answer that the module's own exits see."""
    heads = (needed(captured.steps, exit.step) - final for exit in captured.answers[:-1])
    return set().union(*(needed_later(captured, final, head, []) for head in heads))


def place(captured: Capture, step: int) -> str:
    """The outermost submodule that ends with this step, else the step's own place and operator."""
    if ended := _ended(captured, step):
        return ended[0]
    return ".".join([*captured.steps[step].path[-1:], captured.steps[step].op.removeprefix("aten.").split(".")[0]])


def _ended(captured: Capture, step: int) -> list[str]:
    """Submodules that end with this step, outermost first."""
    following = captured.steps[step + 1].path if step + 1 < len(captured.steps) else ()
    return [name for name in captured.steps[step].path if name not in following]


def _after(captured: Capture, name: str, final: set[int]) -> int:
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
    answers = [exit.step for exit in captured.answers]
    given = [i for i in inside if i in answers or any(user not in inside for user in users.get(i, ()))]
    if not given or given[-1] in answers:
        raise ExitprintError(f"the submodule {name!r} ends with the module's own answer: exits come before it.")
    if given[-1] not in final or given[-1] in _seen_by_own(captured, final):
        raise ExitprintError(f"there is an exit of the module's own at {name!r}: put new ones somewhere else.")
    if not can_see(captured.steps[given[-1]]):
        raise ExitprintError(
            f"an exit after {name!r} would see a tensor of shape {captured.steps[given[-1]].shape} (−1 is the batch): "
            "it needs vectors, feature maps or token sequences with the batch first."
        )
    return given[-1]


def _places(captured: Capture, final: set[int]) -> dict[int, int]:
    """Steps after which one tensor alone goes on, by their cost; of those of one cost a submodule's end."""
    costs = _costs(captured, final)
    best: dict[int, int] = {}
    taken = _seen_by_own(captured, final)
    for index in sorted(final - taken - {captured.logits}):
        if can_see(captured.steps[index]) and _alive(captured, index, final) == {index}:
            before = best.get(costs[index])
            if before is None or len(_ended(captured, index)) >= len(_ended(captured, before)):
                best[costs[index]] = index
    total = max(1, costs[captured.logits])
    usable = {cost: index for cost, index in best.items() if NEARLY_NOTHING < cost / total < 1 - NEARLY_NOTHING}
    if not usable:
        raise ExitprintError(
            "this module has no place where one tensor alone goes on, so exits cannot be placed automatically: name "
            "submodules to put them after."
        )
    return usable


def _costs(captured: Capture, final: set[int]) -> dict[int, int]:
    """FLOPs up to and including each step on the way to the final answer, of those steps alone."""
    total, found = 0, {}
    for index in sorted(final):
        total += captured.costs[index] - (captured.costs[index - 1] if index else 0)
        found[index] = total
    return found


def _evenly(captured: Capture, places: dict[int, int], wanted: int) -> list[int]:
    if not 1 <= wanted <= len(places):
        raise ExitprintError(f"exits can be placed automatically at 1 to {len(places)} places here, and not {wanted}.")
    free = dict(places)
    chosen = []
    for k in range(1, wanted + 1):
        target = k * _costs(captured, needed(captured.steps, captured.logits))[captured.logits] / (wanted + 1)
        chosen.append(free.pop(min(free, key=lambda cost: abs(cost - target))))
    return sorted(chosen)


def can_see(step: Step) -> bool:
    """Whether a classifier could see this result: vectors, token sequences or feature maps, the batch first."""
    return step.batched and step.floating and step.shape is not None and 2 <= len(step.shape) <= 4


def _users(captured: Capture) -> dict[int, list[int]]:
    users: dict[int, list[int]] = {}
    for index, step in enumerate(captured.steps):
        for ref in references((step.args, step.kwargs)):
            if ref.kind == "value":
                users.setdefault(ref.key, []).append(index)
    return users
