"""A suspect asked no more often than allowed, over all runs of one piece of work."""

from __future__ import annotations

from time import perf_counter

from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.suspects.journal import Record
from exitprint.suspects.suspect import Answer, BudgetSpent, Metered, Suspect, WithFloor

FAULTS_IN_A_ROW = 10
"""Answers without a usable time, after which asking ends."""


class Limited:
    """The suspect; its requests are counted on from the last asking of earlier runs.

    A request that was in flight when a run was cut off may have arrived, so it counts too.

    Parameters
    ----------
    suspect
        What to ask.
    budget
        Most requests in all, those of earlier runs and repeated ones included.
    last
        The last asking of earlier runs.
    """

    def __init__(self, suspect: Suspect, budget: int, last: Record | None) -> None:
        self._suspect = suspect
        self._metered = suspect if isinstance(suspect, Metered) else None
        own_time = getattr(suspect, "clock", "measured") == "measured"
        self._with_floor = suspect if isinstance(suspect, WithFloor) and own_time else None
        self._budget = budget
        self._own = 0
        self._requests_before = last.requests + 1 if last else 0
        self._bytes_before = last.bytes or 0 if last else 0
        self._elapsed_before = last.elapsed if last else 0.0
        self._start = perf_counter()
        if self._metered:
            self._metered.limit(max(0, budget - self._requests_before))

    @property
    def requests(self) -> int:
        """Requests made so far, of all kinds and in all runs."""
        return self._requests_before + (self._metered.requests if self._metered else self._own)

    @property
    def bytes(self) -> int | None:
        """Bytes sent and received so far in all runs, where the suspect counts them."""
        if self._metered is None:
            return None
        sent, received = self._metered.bytes_sent, self._metered.bytes_received
        return None if sent is None or received is None else self._bytes_before + sent + received

    @property
    def elapsed(self) -> float:
        """Seconds that the work has taken so far, in all runs."""
        return self._elapsed_before + perf_counter() - self._start

    def ask(self, x: Tensor) -> Answer:
        """The suspect's answer; see `Suspect.ask`.

        Raises `BudgetSpent` if the budget allows no further request.
        """
        self._count()
        return self._suspect.ask(x)

    @property
    def copies(self) -> int:
        """How often an image is sent in one request."""
        return self._metered.amplification if self._metered else 1

    @property
    def has_floor(self) -> bool:
        """Whether the suspect has a cheapest request that can be timed."""
        return self._with_floor is not None

    def floor(self) -> float:
        """Seconds of the cheapest request, of a suspect that has one; raises as `ask` does."""
        assert self._with_floor is not None
        for _ in range(FAULTS_IN_A_ROW):
            self._count()
            seconds = self._with_floor.floor()
            if seconds is not None:
                return seconds
        raise ExitprintError(
            f"none of {FAULTS_IN_A_ROW} requests in a row was answered without a fault: ask at a lower rate, or later."
        )

    def _count(self) -> None:
        if self.requests >= self._budget:
            raise BudgetSpent(f"the budget of {self._budget} requests is spent: allow more requests.")
        self._own += 1
