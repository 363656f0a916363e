"""Asking a suspect one input at a time: counted, kept in a journal, never more often than the budget allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.suspects import Clock, Suspect
from exitprint.suspects.journal import Journal, Record
from exitprint.suspects.limited import Limited
from exitprint.timing import Timings
from exitprint.timing.course import InputKind
from exitprint.timing.measure import timed

FLOOR = "floor"
NEIGHBOURS = 4
"""So many askings before and after one, without the quickest and the slowest, say what was usual at the time."""


@dataclass(frozen=True)
class Asking(Record):
    """One answered asking of a verification.

    Attributes
    ----------
    kind, index
        What was asked: a kind of input and its number in it, or ``floor`` for the cheapest request.
    seconds, clock
        How long it took.
    """

    kind: str
    index: int
    seconds: float
    clock: Clock


@dataclass
class Heard:
    """What the suspect has been heard to answer.

    Attributes
    ----------
    asked, seconds
        Kind of input and time of each asking, in order.
    places
        Where in `seconds` each input's askings are, in order, by kind and index, without those of the warm-up.
    floors
        Times of the cheapest request.
    clock, requests
        Of the last answer: its clock, and the requests made until then.
    """

    asked: list[InputKind] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    places: dict[tuple[InputKind, int], list[int]] = field(default_factory=dict)
    floors: list[float] = field(default_factory=list)
    clock: Clock = "measured"
    requests: int = 0

    def __len__(self) -> int:
        return len(self.asked) + len(self.floors)

    @property
    def floor(self) -> float | None:
        """Median time of the cheapest request, where it was asked."""
        return float(np.median(self.floors)) if self.floors else None

    @property
    def evidence(self) -> dict[tuple[InputKind, int], list[float]]:
        """Times of each input's askings, in order, without those of the warm-up."""
        return {one: [self.seconds[place] for place in places] for one, places in self.places.items()}

    @property
    def steady(self) -> dict[tuple[InputKind, int], list[float]]:
        """The same, less what the askings around each took: a busy moment slows down whatever is asked in it."""
        left = self._left()
        return {one: [left[place] for place in places] for one, places in self.places.items()}

    @property
    def beside(self) -> dict[tuple[InputKind, int], list[float]]:
        """For each of `steady`, that of the asking next to it that was another input's."""
        left, whose = self._left(), {place: one for one, places in self.places.items() for place in places}
        last = len(left) - 1

        def other(one: tuple[InputKind, int], place: int) -> int:
            return place + 1 if place < last and whose.get(place + 1) != one else max(0, place - 1)

        return {one: [left[other(one, place)] for place in places] for one, places in self.places.items()}

    def _left(self) -> list[float]:
        """What each asking took beyond what was usual around it."""
        if not self.places:
            return []
        around = sliding_window_view(np.pad(self.seconds, NEIGHBOURS, mode="edge"), 2 * NEIGHBOURS + 1)
        usual = np.sort(around, axis=1)[:, NEIGHBOURS // 2 : -(NEIGHBOURS // 2)].mean(1)
        left: list[float] = (np.array(self.seconds) - usual).tolist()
        return left

    def quiet_times(self, *kinds: InputKind) -> NDArray[np.float64]:
        """Quiet time of each input of these kinds that was asked, shape (inputs,)."""
        return np.array([quiet(seconds) for (kind, _), seconds in self.evidence.items() if kind in kinds])

    def timings(self) -> dict[str, Timings]:
        """Times by kind of input, of the inputs that were asked: as many of each as the least often asked one has."""
        kinds: dict[str, list[list[float]]] = {}
        for (kind, _), seconds in sorted(self.evidence.items()):
            kinds.setdefault(kind, []).append(seconds)
        return {
            kind: Timings(np.array([times[: min(map(len, part))] for times in part]), self.clock)
            for kind, part in kinds.items()
        }


class Asker:
    """Asks, unless the journal knows the answer already.

    Parameters
    ----------
    suspect
        What to ask.
    inputs
        Images of each kind, (inputs, channels, height, width).
    budget
        Most requests in all, those of earlier runs and repeated ones included.
    journal
        What earlier runs were answered, and where this one's answers go.
    advance
        Is told of requests as they are made.

    Attributes
    ----------
    heard
        What was answered so far.
    """

    def __init__(
        self,
        suspect: Suspect,
        inputs: Mapping[InputKind, Tensor],
        budget: int,
        journal: Journal[Asking],
        advance: Callable[[int], None],
    ) -> None:
        self.heard = Heard()
        self._inputs = inputs
        self._journal = journal
        self._limited = Limited(suspect, budget, journal.earlier[-1] if journal.earlier else None)
        self._advance = advance

    @property
    def requests(self) -> int:
        """Requests made so far, of all kinds and in all runs."""
        return self._limited.requests

    @property
    def bytes(self) -> int | None:
        """Bytes sent and received so far in all runs, where the suspect counts them."""
        return self._limited.bytes

    @property
    def elapsed(self) -> float:
        """Seconds that the verification has taken so far, in all runs."""
        return self._limited.elapsed

    @property
    def kept(self) -> str:
        """What a resumed run need not ask, in words; nothing if it would have to ask everything."""
        answers = max(len(self.heard), len(self._journal.earlier))
        if self._journal.path is None or not answers:
            return ""
        return f"{answers} answers are kept in {str(self._journal.path)!r}: resume (--resume) to go on from there"

    def ask(self, kind: InputKind, index: int, warm_up: bool = False) -> float:
        """Seconds of one input's answer.

        Raises
        ------
        ExitprintError
            If the suspect fails for good, or the journal does not fit.
        BudgetSpent
            If the budget allows no further request.
        """
        x = self._inputs[kind][index : index + 1]
        asking = self._earlier(kind, index)
        if asking is None:
            answer = timed(self._limited, x)
            asking = self._keep(kind, index, float(answer.seconds[0]), answer.clock)
        self._hear(asking)
        self.heard.asked.append(kind)
        self.heard.seconds.append(asking.seconds)
        if not warm_up:
            self.heard.places.setdefault((kind, index), []).append(len(self.heard.seconds) - 1)
        return asking.seconds

    def ask_floor(self, times: int) -> None:
        """Time the cheapest request, where the suspect has one; raises as `ask` does."""
        if not self._limited.has_floor:
            return
        for index in range(times):
            asking = self._earlier(FLOOR, index)
            if asking is None:
                asking = self._keep(FLOOR, index, self._limited.floor(), "measured")
            self._hear(asking)
            self.heard.floors.append(asking.seconds)

    def _earlier(self, kind: str, index: int) -> Asking | None:
        heard = len(self.heard)
        if heard >= len(self._journal.earlier):
            return None
        asking = self._journal.earlier[heard]
        if (asking.kind, asking.index) != (kind, index):
            raise ExitprintError(
                f"line {heard + 2} of the journal does not fit this verification: begin anew with another one."
            )
        return asking

    def _keep(self, kind: str, index: int, seconds: float, clock: Clock) -> Asking:
        asking = Asking(kind, index, seconds, clock, requests=self.requests, bytes=self.bytes, elapsed=self.elapsed)
        self._journal.add(asking)
        return asking

    def _hear(self, asking: Asking) -> None:
        self._advance(asking.requests - self.heard.requests)
        self.heard.clock, self.heard.requests = asking.clock, asking.requests


def quiet(seconds: list[float] | NDArray[np.float64]) -> float:
    """The mean of the quicker half of an input's askings: noise only ever adds time, and rarely to all of them."""
    quickest = np.sort(np.asarray(seconds, dtype=np.float64))[: (len(seconds) + 1) // 2]
    return float(quickest.mean())
