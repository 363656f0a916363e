"""Asking a suspect one input at a time: counted, kept in a journal, never more often than the budget allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.fingerprints.journal import Asking, Journal
from exitprint.suspects import Answer, BudgetSpent, Clock, Metered, Suspect
from exitprint.timing import Timings
from exitprint.timing.course import InputKind
from exitprint.timing.measure import FAULTS_IN_A_ROW, timed

FLOOR = "floor"


@dataclass
class Heard:
    """What the suspect has been heard to answer.

    Attributes
    ----------
    asked, seconds
        Kind of input and time of each asking, in order.
    evidence
        Times of each input's askings, in order, by kind and index, without those of the warm-up.
    floors
        Times of the cheapest request.
    clock, requests
        Of the last answer: its clock, and the requests made until then.
    """

    asked: list[InputKind] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    evidence: dict[tuple[InputKind, int], list[float]] = field(default_factory=dict)
    floors: list[float] = field(default_factory=list)
    clock: Clock = "measured"
    requests: int = 0

    def __len__(self) -> int:
        return len(self.asked) + len(self.floors)

    @property
    def floor(self) -> float | None:
        """Median time of the cheapest request, where it was asked."""
        return float(np.median(self.floors)) if self.floors else None

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
        journal: Journal,
        advance: Callable[[int], None],
    ) -> None:
        self.heard = Heard()
        self._inputs = inputs
        self._journal = journal
        self._limited = _Limited(suspect, budget, journal.earlier[-1:])
        self._advance = advance
        self._start = perf_counter()

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
        return self._limited.elapsed_before + perf_counter() - self._start

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
            self.heard.evidence.setdefault((kind, index), []).append(asking.seconds)
        return asking.seconds

    def ask_floor(self, times: int) -> None:
        """Time the cheapest request, where the suspect has one; raises as `ask` does."""
        for index in range(times):
            asking = self._earlier(FLOOR, index)
            if asking is None:
                seconds = self._limited.floor()
                if seconds is None:
                    return
                asking = self._keep(FLOOR, index, seconds, "measured")
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
        asking = Asking(kind, index, seconds, clock, self.requests, self.bytes, self.elapsed)
        self._journal.add(asking)
        return asking

    def _hear(self, asking: Asking) -> None:
        self._advance(asking.requests - self.heard.requests)
        self.heard.clock, self.heard.requests = asking.clock, asking.requests


class _Limited:
    """The suspect, asked no more often than allowed; goes on counting where the last asking of earlier runs left off.

    A request that was in flight when a run was cut off may have arrived, so it counts too.
    """

    def __init__(self, suspect: Suspect, budget: int, last: tuple[Asking, ...]) -> None:
        self._suspect = suspect
        self._metered = suspect if isinstance(suspect, Metered) else None
        self._budget = budget
        self._own = 0
        self._requests_before = last[0].requests + 1 if last else 0
        self._bytes_before = last[0].bytes or 0 if last else 0
        self.elapsed_before = last[0].elapsed if last else 0.0
        if self._metered:
            self._metered.limit(max(0, budget - self._requests_before))

    @property
    def requests(self) -> int:
        return self._requests_before + (self._metered.requests if self._metered else self._own)

    @property
    def bytes(self) -> int | None:
        if self._metered is None:
            return None
        return self._bytes_before + self._metered.bytes_sent + self._metered.bytes_received

    def ask(self, x: Tensor) -> Answer:
        self._count()
        return self._suspect.ask(x)

    def floor(self) -> float | None:
        """Seconds of the cheapest request, where the suspect has one."""
        if self._metered is None:
            return None
        for _ in range(FAULTS_IN_A_ROW):
            self._count()
            seconds = self._metered.floor()
            if math.isfinite(seconds):
                return seconds
        raise ExitprintError(
            f"none of {FAULTS_IN_A_ROW} requests in a row was answered without a fault: ask at a lower rate, or later."
        )

    def _count(self) -> None:
        if self.requests >= self._budget:
            raise BudgetSpent(f"the budget of {self._budget} requests is spent: allow more requests.")
        self._own += 1


def quiet(seconds: list[float] | NDArray[np.float64]) -> float:
    """The mean of the quicker half of an input's askings: noise only ever adds time, and rarely to all of them."""
    quickest = np.sort(np.asarray(seconds, dtype=np.float64))[: (len(seconds) + 1) // 2]
    return float(quickest.mean())
