"""Sequential tests that stop as soon as the evidence suffices, with error rates that stopping cannot spoil.

`SignTest` is for contrast fingerprints, `MeanTest` for the paper's T_N. Neither knows what a network is.

What is claimed, in plain words
-------------------------------
*Contrast fingerprints.* Its late inputs were crafted to leave the owner's network late, its early ones to leave it
early. A pair is one late and one early input, neither used before, asked one right after the other in an order that
a coin decides; its sign is + if the late one took longer, - if it was the faster one, and the pair is a tie if the
clock cannot tell.

- Null hypothesis, for which `alpha` is promised: *whatever the earlier pairs showed, among pairs that the clock can
  tell apart the late input is the slower one at most every second time* (in a share of at most `p0`). An independent
  network whose runtimes of late inputs are not larger, in distribution, than those of early ones is within it, and
  stays within it whatever noise is added to the times, if the noise does not know which kind it meets; a drift of
  the clock or a busy minute cannot tell either, because the coin decides who goes first. Refuting it gives `derived`.
- Copy hypothesis, for which `beta` is promised: *on a copy the late input is the slower one in a share of at least
  `p1` of the pairs, as far as noise lets it be seen.* Noise turns signs into coins, and a coin is no evidence of
  independence. Hence a pair with sign - is asked a second time, with a new coin for the order. Write h in [-1, 1] for
  how clearly a pair shows a slower late input (the chance of + minus the chance of -). It is faster twice with
  probability (1 - h)^2 / 4 or less. If a share of at least p1 of a copy's pairs has h = a, the others h = -a, the
  mean of that is at most (1 - 2 (2 p1 - 1) a + a^2) / 4, which is convex in the clarity a, so its largest value is at
  a = 0 (nothing but noise) or at a = 1 (no noise): **a copy's late input is faster twice in a row in at most
  max(1/4, 1 - p1) of all pairs, under any noise** that blurs right and wrong pairs alike. Refuting that gives
  `independent`. Answers that all take the same time never do.

*Repeats.* The later a pair comes, the more often its two inputs are asked before their times are compared
(`pairs.repeats_of`). That is fixed by the pair's place, so both hypotheses are about every pair alike: merged askings
are a clock with less noise.

*Rounds.* When all inputs are used up without a decision, they may be matched anew, `SignTest.next_round`, on a further
slice of the error rates: 95 % of them belong to the first round, 2.5 % to the second, half of that to the third and
so on. Each round by itself consists of new pairs, the slices add up to one, and so do the errors.

*The paper's fingerprint.* One request gives one observation in [0, 1], 1 minus its normalised time, for an input
drawn at random, with replacement, from the fingerprint. Its mean is T_N. Null hypothesis: T_N >= T_f on average,
whatever came before; refuting it gives `derived`, refuting T_N <= T_f gives `independent`.

Why the level holds under optional stopping
-------------------------------------------
Each hypothesis is bet against (`betting`): if it is true, the expected wealth after the next observation is not more
than the wealth now. A fair game cannot be beaten by leaving it at a clever moment: by Ville's inequality the
probability that the wealth *ever* reaches 1 / alpha is at most alpha. So one may look after every observation, stop
when the evidence suffices, when the budget ends or when the line is cut, and go on later. The wealth is the e-value,
and 1 / (its largest value so far) is a p-value that is valid at all times.

What it rests on: for `SignTest`, that the inputs of the fingerprint are draws of one kind (images taken at random,
crafted one by one), each used in one pair, see `pairs.draw_pairs`; that how often a pair's requests are repeated
and merged does not depend on the pair's own sign; and that whoever adds noise or delay does not do it by kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.special import logsumexp

from exitprint.errors import ExitprintError
from exitprint.timing.betting import check_probability, log_e_counts, log_growth, lower_bound, stakes

Decision = Literal["derived", "independent", "inconclusive"]

LARGEST_E = 1e300


@dataclass(frozen=True)
class TestPath:
    """A sequential test after each of its updates, for a report.

    Attributes
    ----------
    estimate : ndarray, shape (updates,)
        The effect as estimated then; not-a-number before the first observation that tells anything.
    log_e_null, log_e_copy : ndarray, shape (updates,)
        Natural logarithms of the evidence against the null and against the copy hypothesis.
    needed_null, needed_copy : float
        What they have to reach, log(1 / alpha) and log(1 / beta).
    """

    __test__ = False

    estimate: np.ndarray
    log_e_null: np.ndarray
    log_e_copy: np.ndarray
    needed_null: float
    needed_copy: float


class SequentialTest:
    """What the two tests share: two wealths, the decision that the first of them to suffice makes, and the path.

    A decision once made stays, whatever comes later; until then it reads `inconclusive`.
    """

    def __init__(self, alpha: float, beta: float) -> None:
        self.alpha = check_probability("alpha", alpha)
        self.beta = check_probability("beta", beta)
        self.decision: Decision = "inconclusive"
        self._estimate: list[float] = []
        self._log_e_null: list[float] = []
        self._log_e_copy: list[float] = []

    def _record(self, estimate: float, log_e_null: float, log_e_copy: float) -> Decision:
        self._estimate.append(estimate)
        self._log_e_null.append(log_e_null)
        self._log_e_copy.append(log_e_copy)
        if self.decision == "inconclusive":
            if log_e_null >= -np.log(self.alpha):
                self.decision = "derived"
            elif log_e_copy >= -np.log(self.beta):
                self.decision = "independent"
        return self.decision

    @property
    def updates(self) -> int:
        """How many pairs or observations were taken in."""
        return len(self._log_e_null)

    @property
    def estimate(self) -> float:
        """The effect as estimated now; not-a-number before the first observation that tells anything."""
        return self._estimate[-1] if self._estimate else float("nan")

    @property
    def e_value(self) -> float:
        """Evidence against the null hypothesis as it stands now; 1 / alpha makes `derived` (capped at 1e300)."""
        return _e(self._log_e_null[-1:])

    @property
    def e_value_copy(self) -> float:
        """Evidence against the copy hypothesis as it stands now; 1 / beta makes `independent` (capped at 1e300)."""
        return _e(self._log_e_copy[-1:])

    @property
    def p_value(self) -> float:
        """Always-valid p-value of the null hypothesis: 1 over the largest e-value so far, at most 1."""
        return 1 / _e([max(self._log_e_null, default=0.0), 0.0])

    @property
    def path(self) -> TestPath:
        """The test after each update."""
        return TestPath(
            estimate=np.array(self._estimate),
            log_e_null=np.array(self._log_e_null),
            log_e_copy=np.array(self._log_e_copy),
            needed_null=-float(np.log(self.alpha)),
            needed_copy=-float(np.log(self.beta)),
        )


@dataclass
class Round:
    """The pairs of one round and their counts.

    Attributes
    ----------
    pairs : list of (sign, sign of the second asking or 0)
        In the order of asking.
    plus, minus : int
        Pairs whose late input was the slower, and the faster one.
    minus_twice : int
        Pairs whose late input was the faster one twice in a row.
    """

    pairs: list[tuple[int, int]] = field(default_factory=list)
    plus: int = 0
    minus: int = 0
    minus_twice: int = 0

    def add(self, sign: int, again: int) -> None:
        """Take in one pair."""
        self.pairs.append((sign, again))
        self.plus += sign == 1
        self.minus += sign == -1
        self.minus_twice += sign == again == -1

    def interval(self, error: float) -> tuple[float, float]:
        """Confidence sequence for the share of + among + and -, with this error at each end."""
        lower = lower_bound(lambda m: float(log_e_counts(self.plus, self.minus, m)), error)
        upper = 1 - lower_bound(lambda m: float(log_e_counts(self.minus, self.plus, m)), error)
        return lower, upper


class SignTest(SequentialTest):
    """Is a late input slower than an early one more often than an independent network would make it?

    Parameters
    ----------
    alpha : float in (0, 1)
        Bound on the probability of `derived` if the null hypothesis of the module's docstring is true.
    beta : float in (0, 1)
        Bound on the probability of `independent` if the copy hypothesis is true.
    p0 : float in [1/2, 1)
        The share of slower late inputs that an independent network may reach. 1/2 is the natural one; an owner whose
        reference networks come closer (power was bought with transfer) raises it.
    p1 : float in (p0, 1)
        The share that a copy reaches at least, on a clock without noise. The default 3/4 is the largest that noise
        cannot counterfeit: a coin is faster twice in one pair of four. Stolen copies are commonly above 0.85.

    Raises
    ------
    ExitprintError
        If a parameter is out of its range.

    Examples
    --------
    >>> test = SignTest()
    >>> for _ in range(12):
    ...     decision = test.update(+1)
    >>> decision
    'derived'
    """

    def __init__(self, alpha: float = 1e-3, beta: float = 1e-3, p0: float = 0.5, p1: float = 0.75) -> None:
        super().__init__(alpha, beta)
        if not 0.5 <= p0 < p1 < 1:
            raise ExitprintError(
                f"p0 and p1 must keep 0.5 <= p0 < p1 < 1, not {p0} and {p1}: the defaults are 0.5 and 0.75."
            )
        self.p0 = float(p0)
        self.p1 = float(p1)
        self.rounds = [Round()]

    def update(self, sign: int, again: int | None = None) -> Decision:
        """Take in one pair.

        Parameters
        ----------
        sign : {+1, -1, 0}
            +1 if the late input took longer, -1 if the early one did, 0 if the clock cannot tell. Ties are dropped from
            the test of the null hypothesis, and count as "not faster twice" in that of the copy hypothesis.
        again : {+1, -1, 0}, optional
            The sign of the pair's second asking. Needed if `sign` is -1, and of no use otherwise; for a clock
            without noise it is -1.

        Returns
        -------
        {'derived', 'independent', 'inconclusive'}
            The decision as it stands now.

        Raises
        ------
        ExitprintError
            If a sign is none of the three, or a second one is missing.
        """
        if sign not in (-1, 0, 1) or again not in (None, -1, 0, 1):
            raise ExitprintError(
                f"a sign is +1, -1 or 0, not {sign} and {again}: pass the sign of late minus early time."
            )
        if sign == -1 and again is None:
            raise ExitprintError(
                "a pair whose late input was the faster one has to be asked a second time: pass that sign as `again`."
            )
        current = self.rounds[-1]
        current.add(int(sign), int(again) if sign == -1 and again is not None else 0)
        plus, minus = sum(x.plus for x in self.rounds), sum(x.minus for x in self.rounds)
        log_slice = np.log(round_slice(len(self.rounds)))
        log_e_null = log_e_counts(current.plus, current.minus, self.p0)
        log_e_copy = log_e_counts(
            current.minus_twice, len(current.pairs) - current.minus_twice, most_faster_twice(self.p1)
        )
        return self._record(
            estimate=plus / (plus + minus) if plus + minus else float("nan"),
            log_e_null=float(log_e_null + log_slice),
            log_e_copy=float(log_e_copy + log_slice),
        )

    def next_round(self) -> None:
        """Begin anew with the inputs matched anew, on the next slice of the error rates."""
        self.rounds.append(Round())

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence sequence for the share of slower late inputs among pairs that the clock can tell apart.

        The test of the null, inverted on both sides: valid at all times together, so also when it is read at a moment
        that the data chose. Of several rounds, each on its slice of the error, the narrowest interval is given.

        Parameters
        ----------
        confidence : float in (0, 1)
            Of both ends together.

        Returns
        -------
        lower, upper : float
            Within [0, 1].
        """
        error = (1 - check_probability("confidence", confidence)) / 2
        return min(
            (x.interval(error * round_slice(number)) for number, x in enumerate(self.rounds, start=1)),
            key=lambda ends: ends[1] - ends[0],
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything that `from_dict` needs to go on exactly here, in types that JSON knows."""
        return {
            "alpha": self.alpha,
            "beta": self.beta,
            "p0": self.p0,
            "p1": self.p1,
            "rounds": [[list(pair) for pair in x.pairs] for x in self.rounds],
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> SignTest:
        """The test that `to_dict` described, bit for bit.

        Raises
        ------
        ExitprintError
            If `state` is not what `to_dict` returns.
        """
        try:
            test = cls(alpha=state["alpha"], beta=state["beta"], p0=state["p0"], p1=state["p1"])
            for number, pairs in enumerate(state["rounds"]):
                if number:
                    test.next_round()
                for sign, again in pairs:
                    test.update(sign, again)
        except (KeyError, TypeError, ValueError) as error:
            raise ExitprintError(
                f"the saved state of the sign test cannot be read ({error!r}): start the verification anew."
            ) from error
        return test


class MeanTest(SequentialTest):
    """Is the mean of observations in [0, 1] below or above a threshold: T_N against T_f.

    Parameters
    ----------
    T_f : float in (0, 1)
        The threshold. A mean below it says `derived` (paper, section 3.3: T_N < T_f).
    alpha : float in (0, 1)
        Bound on the probability of `derived` if the mean is T_f or more.
    beta : float in (0, 1)
        Bound on the probability of `independent` if the mean is T_f or less.

    Raises
    ------
    ExitprintError
        If a parameter is out of its range.
    """

    def __init__(self, T_f: float, alpha: float = 1e-3, beta: float = 1e-3) -> None:
        super().__init__(alpha, beta)
        self.T_f = check_probability("T_f", T_f)
        self._observations: list[float] = []
        _, log_w = stakes()
        self._log_wealth_null = log_w.copy()
        self._log_wealth_copy = log_w.copy()

    def update(self, observation: float) -> Decision:
        """Take in one observation.

        Parameters
        ----------
        observation : float in [0, 1]
            1 minus the normalised time of one request, clipped by the caller.

        Returns
        -------
        {'derived', 'independent', 'inconclusive'}
            The decision as it stands now.

        Raises
        ------
        ExitprintError
            If the observation is not in [0, 1].
        """
        x = float(observation)
        if not 0 <= x <= 1:
            raise ExitprintError(f"an observation must lie in [0, 1], not {x}: normalise and clip the time first.")
        self._observations.append(x)
        self._log_wealth_null += log_growth(1 - x, 1 - self.T_f)
        self._log_wealth_copy += log_growth(x, self.T_f)
        return self._record(
            estimate=sum(self._observations) / len(self._observations),
            log_e_null=float(logsumexp(self._log_wealth_null)),
            log_e_copy=float(logsumexp(self._log_wealth_copy)),
        )

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence sequence for the mean, the test inverted on both sides; see `SignTest.interval`.

        Parameters
        ----------
        confidence : float in (0, 1)
            Of both ends together.

        Returns
        -------
        lower, upper : float
            Within [0, 1].
        """
        error = (1 - check_probability("confidence", confidence)) / 2
        x = np.array(self._observations)
        _, log_w = stakes()

        def log_e(values: np.ndarray, m: float) -> float:
            return float(logsumexp(log_w + log_growth(values, m).sum(axis=0)))

        return lower_bound(lambda m: log_e(x, m), error), 1 - lower_bound(lambda m: log_e(1 - x, m), error)

    def to_dict(self) -> dict[str, Any]:
        """Everything that `from_dict` needs to go on exactly here, in types that JSON knows."""
        return {"T_f": self.T_f, "alpha": self.alpha, "beta": self.beta, "observations": list(self._observations)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> MeanTest:
        """The test that `to_dict` described, bit for bit.

        Raises
        ------
        ExitprintError
            If `state` is not what `to_dict` returns.
        """
        try:
            test = cls(T_f=state["T_f"], alpha=state["alpha"], beta=state["beta"])
            for observation in state["observations"]:
                test.update(observation)
        except (KeyError, TypeError, ValueError) as error:
            raise ExitprintError(
                f"the saved state of the mean test cannot be read ({error!r}): start the verification anew."
            ) from error
        return test


def round_slice(number: int) -> float:
    """The slice of the error rates that belongs to a round, counted from 1; all slices add up to one."""
    return 0.95 if number == 1 else 0.05 / 2 ** (number - 1)


def most_faster_twice(p1: float) -> float:
    """The largest share of pairs whose late input a copy answers faster twice in a row: max(1/4, 1 - p1).

    See the module's docstring for why; 1/4 is what two coins do.
    """
    return max(0.25, 1 - p1)


def _e(logs: list[float]) -> float:
    return float(np.exp(min(max(logs, default=0.0), np.log(LARGEST_E))))
