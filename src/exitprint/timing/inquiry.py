"""Asking a suspect with images, each as often as the noise of its clock needs for its exits to be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.suspects.journal import Work
from exitprint.suspects.suspect import BudgetSpent, Clock, Suspect
from exitprint.timing.drift import steadied
from exitprint.timing.exits import ExitEstimate, Method, condense, estimate_exits
from exitprint.timing.exits.estimate import FEWEST
from exitprint.timing.session import Asked, Session, session

REPEATS = 16
"""How often each image is asked at most, by default."""

SURE = 0.99
"""Mean probability of the images' exits above which they count as told apart."""

SURE_OF_COUNT = 0.9
"""The same for the probability of the number of exits."""

CHANCE = 0.1
"""p-value of the rank correlation of two halves of the repeats above which it counts as chance."""

IMAGE = "image"
"""The one kind of input."""

WARM_UP = 20
"""Requests before the first one that counts."""

FEWEST_FOR_CHANCE = 8
"""Repeats before which a suspect is not said to take the same time for every image."""

End = Literal["clear", "no difference", "repeats", "budget"]


@dataclass(frozen=True)
class Inquiry:
    """What a suspect was asked, what it answered, and what its time says.

    Attributes
    ----------
    queries
        The images that it was asked with, in [0, 1], shape (images, channels, height, width).
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

    queries: Tensor
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
            f"a budget of {budget} requests does not allow one for each of {len(x)} images and {WARM_UP} to "
            "warm up: ask with fewer images, or allow more requests."
        )
    words = {"subject": subject, "images": len(x), "seed": seed}
    work = Work("inquiry", _digest(x, subject, seed), Asked, "suspect, images, seed or settings", words)
    with session(
        suspect,
        {IMAGE: x},
        work,
        expected=len(x) * repeats,
        budget=budget,
        journal=journal,
        resume=resume,
        keep_probabilities=True,
    ) as asking:
        return _rounds(asking, x, repeats, method, seed)


def _digest(x: Tensor, subject: str, seed: int) -> str:
    content = sha256(f"{subject}\n{seed}\n{tuple(x.shape)}\n".encode(errors="surrogateescape"))
    content.update((x * 255).round().to(torch.uint8).contiguous().numpy().tobytes())
    return content.hexdigest()


def _rounds(asking: Session, queries: Tensor, repeats: int, method: Method, seed: int) -> Inquiry:
    images = len(queries)
    asking.warm_up(IMAGE, np.random.default_rng([seed, 0]).integers(images, size=WARM_UP))
    if asking.clock == "cost-model":
        return _of_cost_model(asking, queries, method, seed)
    columns: list[NDArray[np.float64]] = []
    end: End = "repeats"
    look = None
    for number in range(1, repeats + 1):
        column = np.empty(images)
        try:
            for index in _order(images, number, seed):
                column[index] = asking.ask(IMAGE, int(index))
        except BudgetSpent:
            if not columns:
                raise
            end = "budget"
            break
        columns.append(column)
        if 1 < number < repeats and _worth_a_look(number):
            look = _look(columns, method, seed, FEWEST_FOR_CHANCE)
            if look.end is not None:
                break
    if look is None or look.end is None:
        look = _look(columns, method, seed, fewest_for_chance=2)
    return _inquiry(asking, queries, np.stack(columns, 1), look, look.end or end)


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


def _of_cost_model(asking: Session, queries: Tensor, method: Method, seed: int) -> Inquiry:
    seconds = np.array([asking.ask(IMAGE, index) for index in range(len(queries))])[:, None]
    estimate = estimate_exits(seconds, method, seed, exact=True)
    end: End = "clear" if estimate.depends_on_input else "no difference"
    return _inquiry(asking, queries, seconds, _Look(seconds, estimate, end), end)


def _inquiry(asking: Session, queries: Tensor, seconds: NDArray[np.float64], look: _Look, end: End) -> Inquiry:
    answers = [asking.first(IMAGE, index) for index in range(len(seconds))]
    labels = [answer.label for answer in answers if answer is not None]
    probabilities = [answer.probabilities for answer in answers if answer is not None]
    return Inquiry(
        queries,
        seconds,
        look.steady,
        asking.clock,
        asking.floor or 0.0,
        asking.copies,
        None if None in labels else np.array(labels, dtype=np.int64),
        None if None in probabilities else np.array(probabilities, dtype=np.float32),
        look.estimate,
        end,
        asking.requests,
        asking.bytes,
        asking.elapsed,
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
    correlation, p = scipy.stats.spearmanr(*halves)
    return bool(correlation > 0 and p < CHANCE)
