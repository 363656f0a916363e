"""Asking a suspect with images, each as often as the noise of its clock needs for its exits to be told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from exitprint.errors import ExitprintError, Interrupted
from exitprint.progress import progress
from exitprint.suspects.journal import Journal, Record, Work, opened
from exitprint.suspects.limited import Limited
from exitprint.suspects.suspect import Answer, BudgetSpent, Clock, Suspect
from exitprint.timing.drift import steadied
from exitprint.timing.exits import ExitEstimate, Method, condense, estimate_exits
from exitprint.timing.exits.estimate import FEWEST
from exitprint.timing.measure import FLOORS, WARM_UP, timed

REPEATS = 16
"""How often each image is asked at most, by default."""

SURE = 0.99
"""Mean probability of the images' exits above which they count as told apart."""

SURE_OF_COUNT = 0.9
"""The same for the probability of the number of exits."""

CHANCE = 0.1
"""p-value of the rank correlation of two halves of the repeats above which it counts as chance."""

FLOOR = -1
"""In the place of an image's number, the cheapest request."""

FEWEST_FOR_CHANCE = 8
"""Repeats before which a suspect is not said to take the same time for every image."""

CHUNK = 256

End = Literal["clear", "no difference", "repeats", "budget"]


@dataclass(frozen=True)
class Inquiry:
    """What a suspect was asked, what it answered, and what its time says.

    Attributes
    ----------
    seconds
        As they were taken, shape (images, repeats).
    steady
        The same with the clock's drift taken out, as far as it shows (see `steadied`).
    clock
        By which they were taken.
    floor
        Seconds that path and server add to every answer: the median of the cheapest requests; 0 without a path.
    copies
        How often each image was sent in one request.
    labels
        What the suspect says each image is, shape (images,), where it says so.
    probabilities
        Its probabilities, shape (images, classes), where it gives them.
    estimate
        The exits in the steady times.
    end
        Why no more was asked: exits are ``clear``; there is ``no difference`` between images that comes back when
        they are asked again; or ``repeats`` or ``budget`` were used up.
    requests, bytes, elapsed
        What it cost in all runs; bytes only where the suspect counts them.
    """

    seconds: NDArray[np.float64]
    steady: NDArray[np.float64]
    clock: Clock
    floor: float
    copies: int
    labels: NDArray[np.int64] | None
    probabilities: NDArray[np.float32] | None
    estimate: ExitEstimate
    end: End
    requests: int
    bytes: int | None
    elapsed: float

    @property
    def relative_times(self) -> NDArray[np.float64]:
        """Time of each exit found as a share of the deepest one's, without what the path adds, shape (K,)."""
        times = (self.estimate.centres - self.floor).clip(min=0)
        return times / times[-1] if times[-1] > 0 else np.ones(len(times))

    @property
    def answers(self) -> NDArray[np.int64]:
        """The label of each image, from the probabilities where no labels are given, shape (images,).

        Raises
        ------
        ExitprintError
            If the suspect gave neither.
        """
        if self.labels is not None:
            return self.labels
        if self.probabilities is not None:
            return self.probabilities.argmax(1)
        raise ExitprintError("the suspect answers neither labels nor probabilities, so there is nothing to learn.")


@dataclass(frozen=True)
class Asked(Record):
    """One image asked once, or the cheapest request; what an image is said to be is kept from its first asking.

    Attributes
    ----------
    index
        The image, or `FLOOR`.
    seconds, clock
        How long the answer took.
    label, probabilities
        The answer.
    """

    index: int
    seconds: float
    clock: Clock
    label: int | None
    probabilities: tuple[float, ...] | None


def inquire(
    suspect: Suspect,
    x: Tensor,
    *,
    repeats: int = REPEATS,
    budget: int | None = None,
    method: Method = "blocks",
    seed: int = 0,
    journal: Path | None = None,
    resume: bool = False,
    subject: str = "",
) -> Inquiry:
    """Ask a suspect with every image, again and again until its exits are clear.

    All images are asked once, one at a time in a random order, then all again in another order. After every round but
    the first the exits are estimated, and asking ends when the noise is overcome, when the images' times turn out not
    to come back at all, or when `repeats` or `budget` are used up. A cost model is asked once.

    Parameters
    ----------
    suspect
        What to ask.
    x
        Images in [0, 1], shape (images, channels, height, width).
    repeats
        How often each image is asked at most.
    budget
        Most requests in all, those of earlier runs and repeated ones included; None for no limit.
    method
        Of the estimate, see `estimate_exits`.
    seed
        Of the order.
    journal
        File that keeps every answer, so that nothing is paid twice; None for none.
    resume
        Whether to go on with the journal that is there.
    subject
        What the suspect is called in the journal: one of another subject is refused.

    Raises
    ------
    ExitprintError
        If there are too few images, the budget does not allow one request for each, the journal cannot be used, or
        the suspect fails for good.
    Interrupted
        On Ctrl-C; what was answered is in the journal.
    """
    if repeats < 1:
        raise ExitprintError(f"the number of repeats must be positive, and not {repeats}.")
    if len(x) < FEWEST:
        raise ExitprintError(
            f"{len(x)} images are too few to find exits by: ask with at least {FEWEST}, better a hundred for each exit."
        )
    if budget is not None and budget < len(x) + WARM_UP:
        raise ExitprintError(
            f"a budget of {budget} requests does not allow one for each of {len(x)} images and {WARM_UP} to warm up: "
            "ask with fewer images, or allow more requests."
        )
    words = {"subject": subject, "images": len(x), "seed": seed}
    work = Work("inquiry", _digest(x, subject, seed), Asked, "suspect, images, seed or settings", words)
    with (
        opened(journal, work, resume) as kept,
        progress("asking the suspect (requests)", len(x) * repeats) as advance,
    ):
        limit = budget if budget is not None else 2**62
        limited = Limited(suspect, limit, kept.earlier[-1] if kept.earlier else None)
        asker = _Asker(limited, x, kept)
        with _resumable(asker):
            return _rounds(asker, repeats, method, seed, advance=lambda: advance(len(x)))


def _digest(x: Tensor, subject: str, seed: int) -> str:
    content = sha256(f"{subject}\n{seed}\n{tuple(x.shape)}\n".encode(errors="surrogateescape"))
    content.update((x * 255).round().to(torch.uint8).contiguous().numpy().tobytes())
    return content.hexdigest()


class _Asker:
    """Asks, unless the journal knows the answer already."""

    def __init__(self, limited: Limited, x: Tensor, journal: Journal[Asked]) -> None:
        self.limited = limited
        self.journal = journal
        self.x = x
        self.heard = 0
        self.first: dict[int, Asked] = {}

    def ask(self, index: int) -> Asked:
        asked = self._earlier(index)
        if asked is None:
            asked = self._asked(index, timed(self.limited, self.x[index : index + 1]), 0)
            self.journal.add(asked)
        return self._hear(asked)

    def ask_floor(self) -> list[float]:
        """Seconds of the cheapest request, several times; none where the suspect has none."""
        floors = []
        for _ in range(FLOORS if self.limited.has_floor else 0):
            asked = self._earlier(FLOOR)
            if asked is None:
                asked = self._recorded(FLOOR, self.limited.floor(), "measured", None, None)
                self.journal.add(asked)
            self.heard += 1
            floors.append(asked.seconds)
        return floors

    def _earlier(self, index: int) -> Asked | None:
        """What the journal knows of the next asking, which is of this image."""
        if self.heard >= len(self.journal.earlier):
            return None
        asked = self.journal.earlier[self.heard]
        if asked.index != index:
            raise ExitprintError(
                f"line {self.heard + 2} of the journal does not fit these images: begin anew with another one."
            )
        return asked

    def ask_all(self) -> None:
        """Every image once, many in one request: for a clock that gives each its own time, and costs nothing."""
        self.first = {}
        for start in range(0, len(self.x), CHUNK):
            answer = self.limited.ask(self.x[start : start + CHUNK])
            for row in range(len(answer.seconds)):
                self._hear(self._asked(start + row, answer, row))

    def _asked(self, index: int, answer: Answer, row: int) -> Asked:
        known = index in self.first
        label = None if known or answer.labels is None else int(answer.labels[row])
        probabilities = None if known or answer.probabilities is None else tuple(answer.probabilities[row].tolist())
        return self._recorded(index, float(answer.seconds[row]), answer.clock, label, probabilities)

    def _recorded(
        self, index: int, seconds: float, clock: Clock, label: int | None, probabilities: tuple[float, ...] | None
    ) -> Asked:
        limited = self.limited
        return Asked(
            index,
            seconds,
            clock,
            label,
            probabilities,
            requests=limited.requests,
            bytes=limited.bytes,
            elapsed=limited.elapsed,
        )

    def _hear(self, asked: Asked) -> Asked:
        self.heard += 1
        self.first.setdefault(asked.index, asked)
        return asked


def _rounds(asker: _Asker, repeats: int, method: Method, seed: int, advance: Callable[[], None]) -> Inquiry:
    images = len(asker.x)
    rng = np.random.default_rng([seed, 0])
    first = asker.ask(int(rng.integers(images)))
    if first.clock == "cost model":
        return _of_cost_model(asker, method, seed)
    floors = asker.ask_floor()
    for index in rng.integers(images, size=WARM_UP - 1 - len(floors)):
        asker.ask(int(index))
    columns: list[NDArray[np.float64]] = []
    end: End = "repeats"
    look = None
    for number in range(1, repeats + 1):
        column = np.empty(images)
        try:
            for index in _order(images, number, seed):
                column[index] = asker.ask(int(index)).seconds
        except BudgetSpent:
            if not columns:
                raise
            end = "budget"
            break
        columns.append(column)
        advance()
        if 1 < number < repeats and _worth_a_look(number):
            look = _look(columns, method, seed, FEWEST_FOR_CHANCE)
            if look.end is not None:
                break
    if look is None or look.end is None:
        look = _look(columns, method, seed, fewest_for_chance=2)
    floor = float(np.median(floors)) if floors else 0.0
    return _inquiry(asker, np.stack(columns, 1), look.steady, first.clock, floor, look.estimate, look.end or end)


@dataclass(frozen=True)
class _Look:
    """What the rounds so far say, and why no more are needed; None where they are."""

    steady: NDArray[np.float64]
    estimate: ExitEstimate
    end: End | None


def _look(columns: list[NDArray[np.float64]], method: Method, seed: int, fewest_for_chance: int) -> _Look:
    seconds = np.stack(columns, 1)
    steady = steadied(seconds, places(seconds.shape, seed))
    estimate = estimate_exits(steady, method, seed)
    if clear(estimate):
        return _Look(steady, estimate, "clear")
    if not estimate.depends_on_input and len(columns) >= fewest_for_chance and not _comes_back(steady):
        return _Look(steady, estimate, "no difference")
    return _Look(steady, estimate, None)


def places(shape: tuple[int, ...], seed: int) -> NDArray[np.intp]:
    """When `inquire` asks each image in each round, counted in askings; of this shape, (images, repeats)."""
    images, repeats = shape
    ranks = [np.argsort(_order(images, number, seed)) for number in range(1, repeats + 1)]
    return np.stack(ranks, 1) + images * np.arange(repeats)


def _order(images: int, number: int, seed: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, number]).permutation(images)


def _of_cost_model(asker: _Asker, method: Method, seed: int) -> Inquiry:
    asker.ask_all()
    seconds = np.array([asker.first[index].seconds for index in range(len(asker.x))])[:, None]
    estimate = estimate_exits(seconds, method, seed, exact=True)
    end: End = "clear" if estimate.depends_on_input else "no difference"
    return _inquiry(asker, seconds, seconds, "cost model", 0.0, estimate, end)


def _inquiry(
    asker: _Asker,
    seconds: NDArray[np.float64],
    steady: NDArray[np.float64],
    clock: Clock,
    floor: float,
    estimate: ExitEstimate,
    end: End,
) -> Inquiry:
    answers = [asker.first[index] for index in range(len(asker.x))]
    labels = [answer.label for answer in answers]
    probabilities = [answer.probabilities for answer in answers]
    return Inquiry(
        seconds,
        steady,
        clock,
        floor,
        asker.limited.copies,
        None if None in labels else np.array(labels, dtype=np.int64),
        None if None in probabilities else np.array(probabilities, dtype=np.float32),
        estimate,
        end,
        asker.limited.requests,
        asker.limited.bytes,
        asker.limited.elapsed,
    )


def clear(estimate: ExitEstimate) -> bool:
    """Whether exits were found, and are told apart."""
    told_apart = estimate.probabilities.mean() >= SURE and estimate.certainty >= SURE_OF_COUNT
    return estimate.depends_on_input and bool(told_apart)


def _worth_a_look(number: int) -> bool:
    """Rounds after which exits are estimated: 2, 3, 4, then at wider and wider distances."""
    return number <= 4 or number % 2 ** (number.bit_length() - 3) == 0


def _comes_back(seconds: NDArray[np.float64]) -> bool:
    """Whether images that take longer in one half of the repeats tend to in the other, more than by chance."""
    halves = condense(seconds[:, ::2]), condense(seconds[:, 1::2])
    if min(np.ptp(half) for half in halves) == 0:
        return False
    correlation, p = spearmanr(*halves)
    return bool(correlation > 0 and p < CHANCE)


@contextmanager
def _resumable(asker: _Asker) -> Iterator[None]:
    """Say what is kept when something stops the run."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(f"stopped; {_kept(asker) or 'nothing was kept'}.") from stop
    except ExitprintError as error:
        if not _kept(asker):
            raise
        raise ExitprintError(f"{str(error).rstrip('.')}; {_kept(asker)}.") from error


def _kept(asker: _Asker) -> str:
    answers = max(asker.heard, len(asker.journal.earlier))
    if asker.journal.path is None or not answers:
        return ""
    return f"{answers} answers are kept in {str(asker.journal.path)!r}: resume (--resume) to go on from there"
