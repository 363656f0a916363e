"""How an input decides to leave: a criterion of certainty and one threshold per internal classifier."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from exitprint.errors import ExitprintError

Criterion = Literal["confidence", "entropy", "margin", "patience"]
Answer = Literal["exit", "most confident"]
CLOSED = 2.0
"""A threshold that no certainty reaches, not even one that is 1 after rounding."""


def confidence(logits: Tensor) -> Tensor:
    """Maximum softmax probability, shape (...,) from logits (..., classes)."""
    return logits.softmax(-1).amax(-1)


def negentropy(logits: Tensor) -> Tensor:
    """1 − H(p) / log(classes): 0 for a uniform answer, 1 for a certain one (BranchyNet's criterion, turned round)."""
    log_p = logits.log_softmax(-1)
    return 1 + (log_p.exp() * log_p).sum(-1) / torch.log(torch.tensor(float(logits.shape[-1])))


def margin(logits: Tensor) -> Tensor:
    """Difference of the two largest softmax probabilities."""
    top = logits.softmax(-1).topk(2, -1).values
    return top[..., 0] - top[..., 1]


def patience(logits: Tensor) -> Tensor:
    """1 − 1 / r, where the last r exits in a row say the same class: 0 for r = 1, 1/2 for 2, 2/3 for 3, …

    From logits (..., exits, classes), exits from the first on; shape (..., exits). Zhou et al. 2020 count r − 1 and
    leave when it reaches their patience t: that is a threshold between 1 − 1 / t and 1 − 1 / (t + 1), see
    `patience_threshold`. Counting has no gradient, so crafting gets that of a soft count, in which exits agree by the
    probability that two draws of them are the same class.
    """
    labels = logits.argmax(-1)
    agree = (labels[..., 1:] == labels[..., :-1]).to(logits.dtype)
    if not logits.requires_grad:
        return _runs(agree)
    p = logits.softmax(-1)
    soft = _runs((p[..., 1:, :] * p[..., :-1, :]).sum(-1))
    return soft + (_runs(agree) - soft).detach()


def _runs(agree: Tensor) -> Tensor:
    """1 − 1 / r from how much each exit but the first agrees with the one before, shape (..., exits - 1)."""
    r = [torch.ones_like(agree[..., 0]) if agree.shape[-1] else agree.new_ones(agree.shape[:-1])]
    for exit in range(agree.shape[-1]):
        r.append(1 + agree[..., exit] * r[-1])
    return 1 - 1 / torch.stack(r, -1)


def patience_threshold(t: int) -> float:
    """The threshold at which inputs leave once t exits in a row have agreed with the one before each (t ≥ 1)."""
    return 1 - 1 / (t + 0.5)


CERTAINTY: dict[str, Callable[[Tensor], Tensor]] = {
    "confidence": confidence,
    "entropy": negentropy,
    "margin": margin,
    "patience": patience,
}


class ExitRule(NamedTuple):
    """All of a policy but its thresholds; see `ExitPolicy`."""

    criterion: Criterion = "confidence"
    answer: Answer = "exit"
    temperature: float = 1.0


@dataclass(frozen=True)
class ExitPolicy:
    """When an input leaves: at the first exit whose certainty reaches that exit's threshold, else at the last.

    Parameters
    ----------
    thresholds
        One threshold T_c per internal classifier (the last exit takes everybody), or a single one for all.
        A threshold above 1 closes its exit.
    criterion
        ``confidence`` (maximum softmax probability; Dong et al., section 3.3), ``entropy`` (1 − normalised
        entropy), ``margin`` (difference of the two largest probabilities) or ``patience`` (1 − 1 / r for r exits in a
        row that agree). Each grows with certainty.
    answer
        Whose answer an input gets: that of the ``exit`` it takes, or that of the ``most confident`` exit up to there
        (the largest softmax probability; Kaya et al. 2019 answer so where no exit is certain enough).
    temperature
        What logits are divided by before any softmax (Guo et al. 2017): probabilities, and with them certainties, are
        those of the divided logits. Above 0.
    """

    thresholds: tuple[float, ...]
    criterion: Criterion = "confidence"
    answer: Answer = "exit"
    temperature: float = 1.0

    def __init__(
        self,
        thresholds: float | Sequence[float],
        criterion: Criterion = "confidence",
        answer: Answer = "exit",
        temperature: float = 1.0,
    ) -> None:
        if criterion not in get_args(Criterion):
            raise ExitprintError(f"unknown exit criterion {criterion!r}: use one of {', '.join(get_args(Criterion))}.")
        if answer not in get_args(Answer):
            raise ExitprintError(f"an input gets the answer of its exit or the most confident one, and not {answer!r}.")
        if not isinstance(temperature, int | float) or not 0 < temperature < math.inf:
            raise ExitprintError(f"logits are divided by a temperature above 0, and not by {temperature!r}.")
        values = (thresholds,) if isinstance(thresholds, int | float) else tuple(thresholds)
        if not values or not all(isinstance(t, int | float) and t == t for t in values):
            raise ExitprintError("an exit policy needs one number as its threshold, or one for each exit.")
        object.__setattr__(self, "thresholds", tuple(float(t) for t in values))
        object.__setattr__(self, "criterion", criterion)
        object.__setattr__(self, "answer", answer)
        object.__setattr__(self, "temperature", float(temperature))

    @property
    def rule(self) -> ExitRule:
        """All but the thresholds."""
        return ExitRule(self.criterion, self.answer, self.temperature)

    def described(self) -> dict[str, Any]:
        """Criterion and thresholds, and what else differs from the default, for records and files."""
        others = {"answer": (self.answer, "exit"), "temperature": (self.temperature, 1.0)}
        further = {name: value for name, (value, default) in others.items() if value != default}
        return {"criterion": self.criterion, "thresholds": list(self.thresholds), **further}

    def threshold(self, exit: int) -> float:
        """T_c of the internal classifier with this index."""
        return self.thresholds[0] if len(self.thresholds) == 1 else self.thresholds[exit]

    def for_exits(self, internal: int) -> tuple[float, ...]:
        """The thresholds of all `internal` classifiers.

        Raises
        ------
        ExitprintError
            If the policy has another number of thresholds.
        """
        if len(self.thresholds) not in (1, internal):
            raise ExitprintError(
                f"the policy has {len(self.thresholds)} thresholds but the network has {internal} early exits: "
                "give one threshold, or one for each."
            )
        return self.thresholds * internal if len(self.thresholds) == 1 else self.thresholds

    def limits(self, internal: int) -> list[float]:
        """`for_exits`, rounded to float32: what a certainty is compared with, for one input as for a batch."""
        return torch.tensor(self.for_exits(internal)).tolist()

    @property
    def remembers(self) -> bool:
        """Whether an exit's certainty or answer depends on the exits before it."""
        return self.criterion == "patience" or self.answer != "exit"

    def tempered(self, logits: Tensor) -> Tensor:
        """Logits divided by the temperature, of the same shape."""
        return logits if self.temperature == 1 else logits / self.temperature

    def probabilities(self, logits: Tensor) -> Tensor:
        """What an exit answers: the softmax of its tempered logits (..., classes), of the same shape."""
        return self.tempered(logits).softmax(-1)

    def certainty(self, logits: Tensor) -> Tensor:
        """Certainty by this policy's criterion, shape (..., exits), from logits of exits 0, 1, … (..., exits, classes).

        But for ``patience`` each exit's is its own, and logits (..., classes) of one exit are taken as well.
        """
        return CERTAINTY[self.criterion](self.tempered(logits))

    def certainty_of_one(self, logits: Tensor) -> float:
        """`certainty` of a single input from its logits (classes,)."""
        if self.criterion == "confidence":
            return self.probabilities(logits).max().item()
        return self.certainty(logits).item()

    def leaves(self, exit: int, logits: Tensor) -> Tensor:
        """Which inputs, shape (batch,), leave at internal classifier `exit` with these logits (batch, classes)."""
        return self.certainty(logits) >= self.threshold(exit)

    def exits(self, logits: Tensor) -> Tensor:
        """Exit of each input, shape (batch,), from every exit's logits, shape (batch, exits, classes)."""
        return self.exits_of_certainty(self.certainty(logits))

    def answers(self, logits: Tensor) -> Tensor:
        """The logits that answer if an input leaves at each exit, shape (batch, exits, classes), from those of all."""
        if self.answer == "exit":
            return logits
        best = confidence(self.tempered(logits)).cummax(1).indices
        return logits.gather(1, best[:, :, None].expand_as(logits))

    def answered(self, logits: Tensor) -> Tensor:
        """The label that each input gets, int64, shape (batch,), from every exit's logits (batch, exits, classes)."""
        return self.answers(logits).argmax(2).gather(1, self.exits(logits)[:, None])[:, 0]

    def exits_of_certainty(self, certainty: Tensor) -> Tensor:
        """Exit of each input, shape (batch,), from its certainty at every exit, shape (batch, exits)."""
        leaves = certainty >= torch.tensor([*self.for_exits(certainty.shape[1] - 1), -torch.inf]).to(certainty)
        leaves[:, -1] = True
        return leaves.int().argmax(1)


def lowest(policies: Sequence[ExitPolicy], internal: int) -> ExitPolicy:
    """The policy with the lowest of these policies' thresholds at each of the `internal` classifiers.

    Raises `ExitprintError` if they do not share one criterion and temperature.
    """
    if len({(policy.criterion, policy.temperature) for policy in policies}) != 1:
        raise ExitprintError("policies of different criteria or temperatures have no common lowest thresholds.")
    limits = zip(*(policy.for_exits(internal) for policy in policies), strict=True)
    return ExitPolicy([min(values) for values in limits], *policies[0].rule)


def calibrate(certainty: Tensor, correct: Tensor, rad: float, rule: ExitRule = ExitRule()) -> ExitPolicy:
    """Lowest common threshold T_c at which the accuracy dropped by at most `rad` (relative accuracy drop).

    Parameters
    ----------
    certainty
        Certainty of held-out inputs at every exit, shape (inputs, exits).
    correct
        Whether the label is right that an input gets when it leaves at each exit, bool, shape (inputs, exits).
    rad
        Allowed drop relative to the accuracy of the last exit, in per cent: 5 and 15 in the paper (section 4.1).
    rule
        By which `certainty` and `correct` were computed.

    Raises
    ------
    ExitprintError
        If `rad` is not in [0, 100).
    """
    if not 0 <= rad < 100:
        raise ExitprintError(f"RAD is a relative accuracy drop in per cent, from 0 to 100, and not {rad}.")
    wanted = (1 - rad / 100) * correct[:, -1].double().mean()
    candidates = torch.linspace(0, 1, 1001, dtype=torch.float64)
    lowest = CLOSED
    for T_c in reversed(candidates.tolist()):
        exits = ExitPolicy(T_c, *rule).exits_of_certainty(certainty)
        if correct.gather(1, exits[:, None]).double().mean() < wanted:
            break
        lowest = T_c
    return ExitPolicy(lowest, *rule)


LEAST = 1e-4
"""Certainties are compared in log-odds, cut off this far from 0 and 1; one that is nearer has no gradient."""


def in_log_odds(certainty: Tensor) -> Tensor:
    """log(c / (1 − c)) of certainties from 0 to 1, finite at both ends; of the same shape."""
    return certainty.clamp(LEAST, 1 - LEAST).logit()
