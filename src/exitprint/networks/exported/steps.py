"""A captured module's operators, and what depends on what among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

INPUT = -1
"""In the place of a step: the input itself."""


@dataclass(frozen=True)
class Ref:
    """What an argument stands for: a step's result, a weight, or the number of inputs."""

    kind: str
    key: Any = 0


@dataclass
class Step:
    """One operator.

    Attributes
    ----------
    op
        Its name.
    args, kwargs
        Constants, and `Ref` where it takes what others give.
    path
        The submodule that ran it, and those around it, outermost first.
    shape
        Of its result, batch first, where that is a tensor; ``None`` elsewhere.
    batched
        Whether the result's first dimension is the batch.
    depends
        Whether the result depends on the input, and not on weights and sizes alone.
    floating
        Whether the result is of floating point.
    """

    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    path: tuple[str, ...]
    shape: tuple[int, ...] | None
    batched: bool
    depends: bool
    floating: bool


def references(argument: Any) -> list[Ref]:
    """Every `Ref` in an argument."""
    if isinstance(argument, Ref):
        return [argument]
    if isinstance(argument, dict):
        argument = list(argument.values())
    return [ref for part in argument for ref in references(part)] if isinstance(argument, list | tuple) else []


def needed(steps: Sequence[Step], last: int) -> set[int]:
    """The steps that depend on the input and that the result of `last` needs, itself included."""
    return reached(steps, [last], lambda index: index == INPUT or not steps[index].depends)


def reached(steps: Sequence[Step], results: Sequence[int], ends: Callable[[int], bool]) -> set[int]:
    """The steps that these results need, themselves included, back to where the way `ends`, which is left out."""
    found: set[int] = set()
    waiting = list(results)
    while waiting:
        index = waiting.pop()
        if index not in found and not ends(index):
            found.add(index)
            used = references((steps[index].args, steps[index].kwargs))
            waiting += [ref.key for ref in used if ref.kind == "value"]
    return found
