"""How often a suspect is asked: within a budget, at a rate, again after faults, slower where it is asked too often."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from exitprint.errors import ExitprintError
from exitprint.suspects.suspect import BudgetSpent

RETRIES = 8
"""Faults in a row after which a suspect is given up; where it is asked too often, only patience counts."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds of the first pause after a fault, which doubles with each further one, and of the longest."""
OVERLOADS = 3
"""So many answers of status 503 are taken for a limit of the rate, which nginx says in this way by default."""

IDLE = 1.0
"""Seconds without a request that count, at most, where the rate that a suspect lets through is worked out."""

T = TypeVar("T")


class Fault(Exception):  # noqa: N818
    """Something that may pass.

    Attributes
    ----------
    pause
        How long the server asked to wait, in seconds.
    busy
        Whether it was asked too often; ``None`` where it may have been.
    """

    def __init__(self, text: str, pause: float | None = None, busy: bool | None = False) -> None:
        super().__init__(text)
        self.pause = pause
        self.busy = busy


@dataclass
class Pace:
    """When the next request may be made, and what was made so far.

    Attributes
    ----------
    name
        What the suspect is called in messages.
    rate
        Most requests per second.
    budget
        Most requests in all, repeated ones included.
    patience
        Seconds during which a request is tried again after faults, waits that the server asked for included.
    advice
        What to do where nothing answers.
    requests
        Made so far, repeated ones included.
    bytes_sent, bytes_received
        Of the bodies, so far.
    reached
        Whether anything ever answered: before that, a fault is final.
    """

    name: str
    rate: float | None
    budget: int | None
    patience: float
    advice: str
    requests: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    reached: bool = False

    def __post_init__(self) -> None:
        self.interval = 1 / self.rate if self.rate else 0.0
        self._not_before = 0.0
        self._since = self._idle_since = time.monotonic()
        self._accepted = 0
        self._overloads = 0

    def limit(self, requests: int) -> None:
        """Allow so many requests in all, those already made included; a smaller budget stays."""
        self.budget = requests if self.budget is None else min(self.budget, requests)

    def insist(self, once: Callable[[], T]) -> tuple[T, bool]:
        """What `once` gives, tried again while it raises `Fault`; and whether the first try succeeded.

        Raises `ExitprintError` if there is no success within `patience`; `BudgetSpent` if the budget allows no further
        request.
        """
        start = time.monotonic()
        self._since += max(0.0, start - self._idle_since - IDLE)
        end = start + self.patience
        pause, busy = FIRST_PAUSE, False
        for attempt in count():
            self._wait_for_turn()
            try:
                result = once()
            except Fault as fault:
                wait = pause if fault.pause is None else fault.pause
                self._check_patience(fault, wait, attempt, end)
                busy = busy or self._asked_too_often(fault, attempt)
                pause = min(2 * pause, LONGEST_PAUSE)
                time.sleep(wait)
                continue
            self.reached = True
            if busy:
                self._slow_down()
            self._accepted += 1
            self._idle_since = time.monotonic()
            return result, attempt == 0
        raise AssertionError("the last attempt returns or raises")

    def _wait_for_turn(self) -> None:
        if self.budget is not None and self.requests >= self.budget:
            raise BudgetSpent(f"the budget of {self.budget} requests is spent: allow more requests.")
        now = time.monotonic()
        if now < self._not_before:
            time.sleep(self._not_before - now)
        self._not_before = max(now, self._not_before) + self.interval
        self.requests += 1

    def _check_patience(self, fault: Fault, wait: float, attempt: int, end: float) -> None:
        late = time.monotonic() + wait > end
        if fault.pause is not None and late:
            raise ExitprintError(
                f"{self.name} {fault} and asks to wait {wait:.0f} seconds, longer than the "
                f"{self.patience:.0f} seconds allowed: ask at a lower rate, or go on later."
            ) from fault
        if not self.reached or late or (attempt >= RETRIES and not fault.busy):
            advice = "ask at a lower rate, or go on later." if fault.busy else self.advice
            raise ExitprintError(f"{self.name} {fault}; given up after {attempt + 1} attempt(s): {advice}") from fault

    def _asked_too_often(self, fault: Fault, attempt: int) -> bool:
        if fault.busy is None and attempt == 0:
            self._overloads += 1
        return bool(fault.busy) or (fault.busy is None and self._overloads >= OVERLOADS)

    def _slow_down(self) -> None:
        """Ask from now on no more often than was let through since the last refusal."""
        now = time.monotonic()
        self.interval = max(self.interval, (now - self._since) / max(1, self._accepted))
        self._not_before = now + self.interval
        self._since, self._accepted = now, 0
