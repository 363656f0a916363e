"""A session: asking one suspect about given inputs, never for what the journal knows, never more than the budget
allows.

Everything that asks a suspect one input at a time goes through here: verification, the search for exits, the thief, and
the paper's own protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exitprint.errors import ExitprintError, Interrupted
from exitprint.progress import progress
from exitprint.suspects.journal import Journal, Record, Work, opened
from exitprint.suspects.limited import FAULTS_IN_A_ROW, Limited
from exitprint.suspects.suspect import Clock, Suspect, TimedAnswer, check_can_be_asked
from exitprint.timing.timings import Timings

FLOOR = "floor"
"""In the place of a kind of input: the cheapest request."""
FLOORS = 5
"""How often the cheapest request is timed, where the suspect has one."""
NO_LIMIT = 2**62
"""A budget that nobody spends."""
CHUNK = 256
"""Images that a cost model computes at once."""


@dataclass(frozen=True)
class Asked(Record):
    """One input asked once.

    Attributes
    ----------
    kind, index
        What was asked: a kind of input and its number in it, or `FLOOR` for the cheapest request.
    seconds, clock
        How long the answer took.
    label, probabilities
        What the input was said to be, kept from its first asking only.
    """

    kind: str
    index: int
    seconds: float
    clock: Clock
    label: int | None = None
    probabilities: tuple[float, ...] | None = None


class Session:
    """What a suspect was asked and answered so far; see `session`.

    Attributes
    ----------
    asked
        Every answered asking, in order, those to warm up included.
    clock
        Of the last answer.
    """

    def __init__(
        self,
        suspect: Suspect,
        inputs: Mapping[str, Tensor],
        budget: int,
        journal: Journal[Asked],
        advance: Callable[[int], None],
        keep_probabilities: bool,
    ) -> None:
        self.asked: list[Asked] = []
        self.clock: Clock = "measured"
        self._inputs = inputs
        self._budget = budget
        self._journal = journal
        self._limited = Limited(suspect, budget, journal.earlier[-1] if journal.earlier else None)
        self._advance = advance
        self._keep_probabilities = keep_probabilities
        self._places: dict[tuple[str, int], list[int]] = {}
        self._first: dict[tuple[str, int], Asked] = {}
        self._computed: dict[tuple[str, int], tuple[TimedAnswer, int]] = {}

    @property
    def requests(self) -> int:
        """Requests made so far, of all kinds and in all runs; on a cost model's clock the inputs that were needed."""
        return len(self.asked) if self.clock == "cost-model" else self._limited.requests

    @property
    def bytes(self) -> int | None:
        """Bytes sent and received so far in all runs, where the suspect counts them."""
        return self._limited.bytes

    @property
    def elapsed(self) -> float:
        """Seconds that the work has taken so far, in all runs."""
        return self._limited.elapsed

    @property
    def copies(self) -> int:
        """How often an image is sent in one request."""
        return self._limited.copies

    @property
    def floor(self) -> float | None:
        """Median seconds of the cheapest request, where it was asked."""
        seconds = [asked.seconds for asked in self.asked if asked.kind == FLOOR]
        return float(np.median(seconds)) if seconds else None

    @property
    def kept(self) -> str:
        """What a resumed run need not ask, in words; nothing if it would have to ask everything."""
        answers = max(len(self.asked), len(self._journal.earlier))
        if self._journal.path is None or not answers:
            return ""
        return f"{answers} answers are kept in {str(self._journal.path)!r}: resume (--resume) to go on from there"

    def warm_up(self, kind: str, indices: NDArray[np.intp]) -> None:
        """Requests that are no evidence, while an idle server wakes up: as many as there are indices.

        After the first the path alone is timed, where the suspect has a cheapest request. A cost model needs one only,
        which says that it is one.
        """
        for index in indices:
            if len(self.asked) >= len(indices) or self.clock == "cost-model":
                return
            self.ask(kind, int(index), warm_up=True)
            if len(self.asked) == 1 and self.clock != "cost-model":
                self._ask_floor()

    def ask(self, kind: str, index: int, warm_up: bool = False) -> float:
        """Seconds of one input's answer, asked once more.

        On a cost model's clock an answer repeats itself, so the first one is given again at no cost.

        Raises
        ------
        ExitprintError
            If the suspect fails for good, or the journal does not fit.
        BudgetSpent
            If the budget allows no further request.
        """
        known = self._places.get((kind, index))
        if known and self.clock == "cost-model":
            return self.asked[known[0]].seconds
        asked = self._earlier(kind, index)
        if asked is None:
            asked = self._keep(self._request(kind, index))
        self._hear(asked)
        if not warm_up:
            self._places.setdefault((kind, index), []).append(len(self.asked) - 1)
        return asked.seconds

    def times(self, kind: str, index: int) -> list[float]:
        """Seconds of one input's askings, in order, without those to warm up."""
        return [self.asked[place].seconds for place in self._places.get((kind, index), ())]

    def first(self, kind: str, index: int) -> Asked | None:
        """The first asking of an input, with what it was said to be; None if it was never asked."""
        return self._first.get((kind, index))

    @property
    def places(self) -> dict[tuple[str, int], list[int]]:
        """Where in `asked` each input's askings are, without those to warm up, by kind and index."""
        return self._places

    def timings(self) -> dict[str, Timings]:
        """Times of the inputs that were asked, by kind; each has as many as the one that was asked least."""
        kinds: dict[str, list[list[float]]] = {}
        for kind, index in sorted(self._places):
            kinds.setdefault(kind, []).append(self.times(kind, index))
        return {
            kind: Timings(np.array([times[: min(map(len, part))] for times in part]), self.clock)
            for kind, part in kinds.items()
        }

    def _ask_floor(self) -> None:
        for index in range(FLOORS if self._limited.has_floor else 0):
            asked = self._earlier(FLOOR, index)
            if asked is None:
                asked = self._keep(self._record(FLOOR, index, self._limited.floor(), "measured"))
            self._hear(asked)

    def _request(self, kind: str, index: int) -> Asked:
        if (kind, index) not in self._computed:
            answer = timed(self._limited, self._inputs[kind][index : index + 1])
            if answer.clock != "cost-model":
                return self._answered(kind, index, answer, 0)
            self._compute_all()
        answer, row = self._computed[kind, index]
        return self._answered(kind, index, answer, row)

    def _compute_all(self) -> None:
        """Every input's answer on a clock that gives each input of a request its own time, and costs nothing."""
        self.clock = "cost-model"
        for kind, x in self._inputs.items():
            for start in range(0, len(x), CHUNK):
                answer = timed(self._limited, x[start : start + CHUNK])
                self._computed |= {(kind, start + row): (answer, row) for row in range(len(answer.seconds))}

    def _answered(self, kind: str, index: int, answer: TimedAnswer, row: int) -> Asked:
        known = (kind, index) in self._first
        label = None
        if not known and answer.labels is not None:
            label = int(answer.labels[row])
        elif not known and answer.probabilities is not None:
            label = int(answer.probabilities[row].argmax())
        probabilities = None
        if not known and self._keep_probabilities and answer.probabilities is not None:
            probabilities = tuple(answer.probabilities[row].tolist())
        return self._record(kind, index, float(answer.seconds[row]), answer.clock, label, probabilities)

    def _record(
        self,
        kind: str,
        index: int,
        seconds: float,
        clock: Clock,
        label: int | None = None,
        probabilities: tuple[float, ...] | None = None,
    ) -> Asked:
        cost = {"requests": self._limited.requests, "bytes": self.bytes, "elapsed": self.elapsed}
        return Asked(kind, index, seconds, clock, label, probabilities, **cost)  # type: ignore[arg-type]

    def _earlier(self, kind: str, index: int) -> Asked | None:
        """What the journal knows of the next asking, which must be this one."""
        heard = len(self.asked)
        if heard >= len(self._journal.earlier):
            return None
        asked = self._journal.earlier[heard]
        if (asked.kind, asked.index) != (kind, index):
            raise ExitprintError(
                f"line {heard + 2} of the journal does not fit what is to be asked: begin anew with another one."
            )
        return asked

    def _keep(self, asked: Asked) -> Asked:
        self._journal.add(asked)
        return asked

    def _hear(self, asked: Asked) -> None:
        before = self.asked[-1].requests if self.asked else 0
        self._advance(1 if asked.clock == "cost-model" else asked.requests - before)
        self.clock = asked.clock
        self.asked.append(asked)
        self._first.setdefault((asked.kind, asked.index), asked)


@contextmanager
def session(
    suspect: Suspect,
    inputs: Mapping[str, Tensor],
    work: Work[Asked],
    *,
    expected: int,
    budget: int | None = None,
    journal: Path | None = None,
    resume: bool = False,
    keep_probabilities: bool = False,
) -> Iterator[Session]:
    """A session with a suspect.

    Parameters
    ----------
    suspect
        What to ask.
    inputs
        Images in [0, 1] by kind, each (inputs, channels, height, width).
    work
        What the journal is of, and what the askings depend on.
    expected
        How many requests there will be at most, for the progress bar.
    budget
        Most requests in all, those of earlier runs and repeated ones included; None for no limit.
    journal
        File that keeps every answer, so that nothing is paid twice; None for none.
    resume
        Whether to go on with the journal that is there.
    keep_probabilities
        Whether a first asking keeps the probabilities besides the label.

    Raises
    ------
    ExitprintError
        If the journal cannot be used or the suspect fails for good; the sentence says what is kept.
    Interrupted
        On Ctrl-C; what was answered is in the journal.
    """
    check_can_be_asked(suspect)
    with (
        opened(journal, work, resume) as kept,
        progress("asking the suspect (requests)", expected) as advance,
    ):
        limit = NO_LIMIT if budget is None else budget
        asking = Session(suspect, inputs, limit, kept, advance, keep_probabilities)
        try:
            yield asking
        except KeyboardInterrupt as stop:
            raise Interrupted(f"stopped; {asking.kept or 'nothing was kept'}.") from stop
        except ExitprintError as error:
            if not asking.kept:
                raise
            raise ExitprintError(f"{str(error).rstrip('.')}; {asking.kept}.") from error


def timed(suspect: Suspect | Limited, x: Tensor) -> TimedAnswer:
    """Ask until the time can be used, which it cannot where a request had to be repeated after a fault.

    Raises `ExitprintError` if that happens ten times in a row.
    """
    for _ in range(FAULTS_IN_A_ROW):
        answer = suspect.ask(x)
        if answer.seconds is not None and np.isfinite(answer.seconds).all():
            return TimedAnswer(answer.seconds, answer.clock, answer.labels, answer.probabilities)
    raise ExitprintError(
        f"none of {FAULTS_IN_A_ROW} requests in a row was answered without a fault, so nothing can be timed: "
        "ask at a lower rate, or later."
    )
