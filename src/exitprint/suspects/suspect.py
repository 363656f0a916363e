"""The only door to a network that is not ours: it can be asked, and how long the answer took is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exitprint.errors import ExitprintError

Clock = Literal["measured", "server-reported", "cost-model"]
"""Whose time it is: taken here, said by the server of its own work, or computed. They are never mixed."""


class BudgetSpent(ExitprintError):  # noqa: N818
    """A suspect was asked as often as was allowed."""


@dataclass(frozen=True)
class Answer:
    """What a suspect said to one request.

    Attributes
    ----------
    seconds
        Float64, shape (batch,): how long each input's answer took. On a measured clock all inputs of a request
        share the time of the whole request; a cost model gives each input its own. None where a request had to be
        repeated after a fault, so that its time says nothing: ask again.
    clock
        Whose time it is; clocks are never mixed.
    labels
        Int64, shape (batch,), where the suspect gives them.
    probabilities
        Float32, shape (batch, classes), where the suspect gives them.
    """

    seconds: NDArray[np.float64] | None
    clock: Clock
    labels: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class TimedAnswer(Answer):
    """An answer whose time can be used, as all are of a network in this process."""

    seconds: NDArray[np.float64]


@runtime_checkable
class Suspect(Protocol):
    """Something that answers. Nothing behind it can be reached."""

    def ask(self, x: Tensor) -> Answer:
        """Answer images in [0, 1], float32, shape (batch, channels, height, width)."""
        ...


def check_can_be_asked(suspect: object) -> None:
    """Refuse what is no suspect, such as a network itself."""
    if not isinstance(suspect, Suspect):
        raise ExitprintError(
            f"a suspect is asked, and a {type(suspect).__name__} has no `ask`: pass InProcess(network), "
            "CostModel(network) or open_suspect(file or address)."
        )


class Closing:
    """A suspect that is closed at the end of a `with` block."""

    def ask(self, x: Tensor) -> Answer:
        """Answer images; see `Suspect`."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back what is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@runtime_checkable
class Metered(Suspect, Protocol):
    """A suspect that knows what it has cost, and keeps to a limit.

    Attributes
    ----------
    requests
        Made so far, of all kinds and repeated ones included.
    bytes_sent, bytes_received
        The bodies' so far; None where nobody counts them.
    amplification
        How often an image is sent in one request.
    """

    @property
    def requests(self) -> int: ...

    @property
    def bytes_sent(self) -> int | None: ...

    @property
    def bytes_received(self) -> int | None: ...

    @property
    def amplification(self) -> int: ...

    def limit(self, requests: int) -> None:
        """Allow so many requests in all, those already made included; beyond them `ask` raises `BudgetSpent`."""
        ...


@runtime_checkable
class WithFloor(Suspect, Protocol):
    """A suspect behind a path that can be measured alone; of no use where the server's own clock is taken."""

    def floor(self) -> float | None:
        """Seconds of the cheapest request; None where it had to be repeated after a fault."""
        ...
