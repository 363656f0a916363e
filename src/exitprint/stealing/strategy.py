"""Search for the output strategy: thresholds under which a substitute leaves where its victim leaves."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exitprint.errors import ExitprintError

SMALL = 20_000
"""Combinations of thresholds up to which all are tried."""

KICK = 0.3
"""Share of the thresholds that each restart draws at random; the others are the best so far."""

CLOSE = 0.005
"""Difference of mean costs, as a share of the victim's, that needs no further search."""

CHEAPEST, DEAREST = 1 / 8, 64.0
"""Where the search for the price of computing begins and ends.

The price of a whole run is in queries that leave at the victim's exit: so many are given up to save one run. It is
doubled until the mean cost lies on the other side of the wanted one."""

STEPS = 8
"""Bisections of the price, and of the way between the two thresholds found; each halves what is left."""


@dataclass(frozen=True)
class StrategySearch:
    """Thresholds and what they reach on the queries they were searched with.

    Attributes
    ----------
    thresholds
        One per exit but the last, which takes everybody: what `ExitPolicy` takes. Shape (K − 1,).
    exits
        Where each query leaves under them, shape (queries,).
    agreement
        Share of the queries that leave at the victim's exit.
    label_agreement
        Share of the queries that get the victim's label there; None when no labels were given.
    exact
        Whether no other thresholds can agree more; else the best of all restarts.
    """

    thresholds: NDArray[np.float64]
    exits: NDArray[np.intp]
    agreement: float
    label_agreement: float | None
    exact: bool


def search_thresholds(
    confidences: ArrayLike,
    victim_exits: ArrayLike,
    victim_labels: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    costs: ArrayLike | None = None,
    mean_cost: float | None = None,
    restarts: int = 8,
    seed: int = 0,
) -> StrategySearch:
    """Find the thresholds that maximise agreement with the victim's exits, ties broken by agreement with its labels.

    An input leaves at the first exit i whose confidence is at least T_i. Given all other thresholds, the best T_i is
    found exactly, by one pass over the queries sorted by their confidence at exit i; this is repeated from the last
    exit to the first until nothing improves, and again from `restarts` starts near the best so far. Where few
    combinations of thresholds exist, all are tried.

    Most agreement is often had by sending more queries to one exit than the victim does, so that the substitute is
    cheaper or dearer than it. With `costs` the thresholds agree as much as they can at a given mean cost: a price
    on cost (a Lagrange multiplier) is found by bisection under which the best thresholds meet it, or two prices next to
    each other with that cost in between, and then thresholds between the two that are best under them.

    Parameters
    ----------
    confidences
        The substitute's confidence at each of its K exits, shape (queries, K).
    victim_exits
        The victim's exit of each query, 0 the earliest, shape (queries,).
    victim_labels, labels
        The victim's label of each query, shape (queries,), and the substitute's at each exit, shape (queries, K).
    costs
        What leaving at each exit costs, shape (K,); None for agreement alone.
    mean_cost
        What is to be met, in the unit of `costs`; None for what leaving at the victim's exits would cost.
    restarts
        How often the search is started anew.
    seed
        Of the restarts.

    Raises
    ------
    ExitprintError
        If shapes do not fit, confidences or costs are not finite, or only one of the two kinds of labels is given.

    References
    ----------
    Model Stealing Attack against Multi-Exit Networks: output strategy search.
    """
    worth = _worth(confidences, victim_exits, victim_labels, labels)
    ladder = _Ladder(np.asarray(confidences, dtype=np.float64), worth)
    thresholds = ladder.best(restarts, np.random.default_rng(seed))
    if costs is not None:
        checked = _checked(costs, len(worth))
        wanted = float(checked[np.asarray(victim_exits)].mean()) if mean_cost is None else mean_cost
        thresholds = _at_cost(ladder, thresholds, wanted, checked, seed)
    left_at = ladder.exits(thresholds)
    reached = worth[left_at, np.arange(len(left_at))]
    agreed, labelled = np.divmod(reached, len(left_at) + 1)
    return StrategySearch(
        thresholds, left_at, float(agreed.mean()), None if labels is None else float(labelled.mean()), ladder.few
    )


def _at_cost(
    ladder: _Ladder, thresholds: NDArray[np.float64], wanted: float, costs: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """From the best thresholds without a price to the best at the wanted mean cost."""
    run = (ladder.worth.shape[1] + 1) * costs / costs.max()

    def above(thresholds: NDArray[np.float64]) -> float:
        return float(costs[ladder.exits(thresholds)].mean() / wanted - 1)

    sign = 1.0 if above(thresholds) > 0 else -1.0
    before = after = thresholds
    low, high, step = 0.0, CHEAPEST, 0
    while abs(above(before)) > CLOSE and step < STEPS and high < DEAREST:
        bounded = after is not thresholds
        price = (low + high) / 2 if bounded else high
        dear = ladder.worthing(ladder.worth - np.rint(sign * price * run).astype(np.int64)[:, None])
        found = dear.best(1, np.random.default_rng(seed), before)
        if sign * above(found) > 0:
            low, high, before = price, (high if bounded else 2 * price), found
        else:
            high, after = price, found
        step += bounded
    return _between(before, after, lambda thresholds: sign * above(thresholds))


def _between(
    before: NDArray[np.float64], after: NDArray[np.float64], too_much: Callable[[NDArray[np.float64]], float]
) -> NDArray[np.float64]:
    """The thresholds on the straight way from one to the other that cost neither too much nor too little."""
    low, high, nearest = 0.0, 1.0, min(before, after, key=lambda end: abs(too_much(end)))
    for _ in range(STEPS):
        if abs(too_much(nearest)) <= CLOSE:
            break
        share = (low + high) / 2
        found = (1 - share) * before + share * after
        low, high = (share, high) if too_much(found) > 0 else (low, share)
        nearest = min(nearest, found, key=lambda end: abs(too_much(end)))
    return nearest


def _checked(costs: ArrayLike, exits: int) -> NDArray[np.float64]:
    checked = np.asarray(costs, dtype=np.float64)
    if checked.shape != (exits,) or not np.isfinite(checked).all() or checked.min() < 0 or checked.max() == 0:
        raise ExitprintError(f"costs must be {exits} numbers, one for each exit, none below 0.")
    return checked


def _worth(
    confidences: ArrayLike, victim_exits: ArrayLike, victim_labels: ArrayLike | None, labels: ArrayLike | None
) -> NDArray[np.int64]:
    """What it is worth that a query leaves at an exit, shape (K, queries): n + 1 for its exit, 1 for its label."""
    certainty = np.asarray(confidences, dtype=np.float64)
    if certainty.ndim != 2 or certainty.size == 0:
        raise ExitprintError(f"confidences must have shape (queries, exits), and not {certainty.shape}.")
    if not np.isfinite(certainty).all():
        raise ExitprintError("some confidences are not finite numbers: leave those queries out.")
    n, K = certainty.shape
    exits = np.asarray(victim_exits)
    if exits.shape != (n,) or not np.issubdtype(exits.dtype, np.integer) or exits.min() < 0 or exits.max() >= K:
        raise ExitprintError(f"the victim's exits must be {n} whole numbers from 0 to {K - 1}, one for each query.")
    worth = (n + 1) * (np.arange(K)[:, None] == exits)
    if (victim_labels is None) != (labels is None):
        raise ExitprintError("labels break ties only in pairs: give the victim's and the substitute's, or neither.")
    if labels is not None:
        own, victims = np.asarray(labels), np.asarray(victim_labels)
        if own.shape != (n, K) or victims.shape != (n,):
            raise ExitprintError(
                f"labels must have shapes {(n,)} (the victim's) and {(n, K)} (the substitute's at each exit), "
                f"and not {victims.shape} and {own.shape}."
            )
        worth = worth + (own == victims[:, None]).T
    return worth


class _Ladder:
    """Exits in order, each with its queries sorted by falling confidence; arrays have shape (exits, queries)."""

    def __init__(self, confidences: NDArray[np.float64], worth: NDArray[np.int64]) -> None:
        self.confidences = np.ascontiguousarray(confidences.T[:-1])
        self.worth = np.ascontiguousarray(worth)
        self.order = np.argsort(-self.confidences, axis=1, kind="stable")
        high = np.full((len(self.order), 1), max(1.0, confidences.max()) + 0.01)
        low = np.full((len(self.order), 1), min(0.0, confidences.min()) - 0.01)
        falling = np.take_along_axis(self.confidences, self.order, axis=1)
        self.falling = np.hstack([high, falling, low])
        self.leavers = [np.flatnonzero(np.diff(row)) for row in self.falling]

    def worthing(self, worth: NDArray[np.int64]) -> _Ladder:
        """The same queries, worth something else at each exit."""
        other = copy(self)
        other.worth = worth
        return other

    @property
    def few(self) -> bool:
        """Whether all combinations of thresholds that differ can be tried; the last exit's costs nothing to find."""
        return float(np.prod([len(leavers) for leavers in self.leavers[:-1]], dtype=float)) <= SMALL

    def best(
        self, restarts: int, rng: np.random.Generator, start: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """The best thresholds of all, or of so many restarts."""
        return self.exhaust() if self.few else self.restart(restarts, rng, start)

    def exits(self, thresholds: NDArray[np.float64]) -> NDArray[np.intp]:
        leaves = self.confidences >= thresholds[:, None]
        return np.vstack([leaves, np.ones_like(self.worth[:1], dtype=bool)]).argmax(0)

    def line(self, i: int, here: NDArray[np.bool_], later: NDArray[np.int64]) -> tuple[int, float]:
        """The best threshold of exit i for the queries that are `here`, given what each is worth if it stays.

        Returns what leaving adds and the threshold: the middle of the widest stretch that adds as much.
        """
        gain = np.where(here, self.worth[i] - later, 0)[self.order[i]]
        added = np.concatenate([[0], np.cumsum(gain)])[self.leavers[i]]
        best = np.flatnonzero(added == added.max())
        gaps = np.flatnonzero(np.diff(best) > 1)
        first, last = self.leavers[i][best[np.append(0, gaps + 1)]], self.leavers[i][best[np.append(gaps, -1)]]
        widest = np.argmax(self.falling[i, first] - self.falling[i, last + 1])
        return int(added.max()), _middle(self.falling[i, last[widest] + 1], self.falling[i, first[widest]])

    def sweep(self, thresholds: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
        """One line search per exit, from the last to the first; never worse than before."""
        leaves = self.confidences >= thresholds[:, None]
        gone = np.logical_or.accumulate(leaves, axis=0)
        better = thresholds.copy()
        later = self.worth[-1]
        for i in reversed(range(len(better))):
            here = ~gone[i - 1] if i else np.ones_like(gone[0])
            _, better[i] = self.line(i, here, later)
            later = np.where(self.confidences[i] >= better[i], self.worth[i], later)
        return int(later.sum()), better

    def climb(self, thresholds: NDArray[np.float64]) -> tuple[int, NDArray[np.float64]]:
        """Coordinate ascent: sweeps until nothing improves."""
        reached, thresholds = self.sweep(thresholds)
        while True:
            again, better = self.sweep(thresholds)
            if again <= reached:
                return reached, thresholds
            reached, thresholds = again, better

    def restart(
        self, restarts: int, rng: np.random.Generator, start: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Coordinate ascent from a start, then from the best so far with some thresholds drawn anew."""
        reached, best = self.climb(self.hopeful() if start is None else start)
        for _ in range(restarts):
            anywhere = self.confidences[np.arange(len(best)), rng.integers(self.confidences.shape[1], size=len(best))]
            again, thresholds = self.climb(np.where(rng.random(len(best)) < KICK, anywhere, best))
            if again >= reached:
                reached, best = again, thresholds
        return best

    def hopeful(self) -> NDArray[np.float64]:
        """Thresholds from the first exit to the last, each as if the later ones were going to be perfect."""
        thresholds = np.empty(len(self.confidences))
        here = np.ones(self.worth.shape[1], dtype=bool)
        for i in range(len(thresholds)):
            _, thresholds[i] = self.line(i, here, self.worth[i + 1 :].max(0))
            here &= self.confidences[i] < thresholds[i]
        return thresholds

    def exhaust(self) -> NDArray[np.float64]:
        """The best thresholds of all: every combination, but for the last one, which `line` finds."""
        return self._exhaust(0, np.ones(self.worth.shape[1], dtype=bool))[1]

    def _exhaust(self, i: int, here: NDArray[np.bool_]) -> tuple[int, NDArray[np.float64]]:
        if i == len(self.confidences):
            return int(self.worth[-1, here].sum()), np.empty(0)
        if i == len(self.confidences) - 1:
            added, threshold = self.line(i, here, self.worth[-1])
            return added + int(self.worth[-1, here].sum()), np.array([threshold])
        best = (np.iinfo(np.int64).min, np.empty(0))
        for leavers in self.leavers[i]:
            threshold = _middle(self.falling[i, leavers + 1], self.falling[i, leavers])
            leaves = here & (self.confidences[i] >= threshold)
            later, thresholds = self._exhaust(i + 1, here & ~leaves)
            reached = later + int(self.worth[i, leaves].sum())
            if reached > best[0]:
                best = (reached, np.append(threshold, thresholds))
        return best


def _middle(low: float, high: float) -> float:
    """A threshold above `low` and up to `high`; a float32 where one fits, which a network rounds thresholds to."""
    middle = float(np.float32((low + high) / 2))
    return middle if low < middle <= high else float(high)
