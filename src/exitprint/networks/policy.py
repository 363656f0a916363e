"""How an input decides to leave: a criterion of certainty and one threshold per internal classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from exitprint.errors import ExitprintError

Criterion = Literal["confidence", "entropy", "margin"]
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


CERTAINTY: dict[str, Callable[[Tensor], Tensor]] = {
    "confidence": confidence,
    "entropy": negentropy,
    "margin": margin,
}


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
        entropy) or ``margin`` (difference of the two largest probabilities). Each grows with certainty.
    """

    thresholds: tuple[float, ...]
    criterion: Criterion = "confidence"

    def __init__(self, thresholds: float | Sequence[float], criterion: Criterion = "confidence") -> None:
        if criterion not in get_args(Criterion):
            raise ExitprintError(f"unknown exit criterion {criterion!r}: use one of {', '.join(get_args(Criterion))}.")
        values = (thresholds,) if isinstance(thresholds, int | float) else tuple(thresholds)
        if not values or not all(isinstance(t, int | float) and t == t for t in values):
            raise ExitprintError("an exit policy needs one number as its threshold, or one for each exit.")
        object.__setattr__(self, "thresholds", tuple(float(t) for t in values))
        object.__setattr__(self, "criterion", criterion)

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

    def certainty(self, logits: Tensor) -> Tensor:
        """Certainty by this policy's criterion, shape (...,) from logits (..., classes)."""
        return CERTAINTY[self.criterion](logits)

    def certainty_of_one(self, logits: Tensor) -> float:
        """`certainty` of a single input from its logits (classes,)."""
        if self.criterion == "confidence":
            return logits.softmax(-1).max().item()
        return self.certainty(logits).item()

    def leaves(self, exit: int, logits: Tensor) -> Tensor:
        """Which inputs, shape (batch,), leave at internal classifier `exit` with these logits (batch, classes)."""
        return self.certainty(logits) >= self.threshold(exit)

    def exits(self, logits: Tensor) -> Tensor:
        """Exit of each input, shape (batch,), from every exit's logits, shape (batch, exits, classes)."""
        return self.exits_of_certainty(self.certainty(logits))

    def exits_of_certainty(self, certainty: Tensor) -> Tensor:
        """Exit of each input, shape (batch,), from its certainty at every exit, shape (batch, exits)."""
        leaves = certainty >= torch.tensor([*self.for_exits(certainty.shape[1] - 1), -torch.inf]).to(certainty)
        leaves[:, -1] = True
        return leaves.int().argmax(1)


def lowest(policies: Sequence[ExitPolicy], internal: int) -> ExitPolicy:
    """The policy with the lowest of these policies' thresholds at each of the `internal` classifiers.

    Raises
    ------
    ExitprintError
        If they do not share one criterion.
    """
    if len({policy.criterion for policy in policies}) != 1:
        raise ExitprintError("policies of different criteria have no common lowest thresholds.")
    limits = zip(*(policy.for_exits(internal) for policy in policies), strict=True)
    return ExitPolicy([min(values) for values in limits], policies[0].criterion)


def calibrate(certainty: Tensor, correct: Tensor, rad: float, criterion: Criterion = "confidence") -> ExitPolicy:
    """Lowest common threshold T_c at which the accuracy dropped by at most `rad` (relative accuracy drop).

    Parameters
    ----------
    certainty
        Certainty of held-out inputs at every exit, shape (inputs, exits).
    correct
        Whether each exit's label is right, bool, shape (inputs, exits).
    rad
        Allowed drop relative to the accuracy of the last exit, in per cent: 5 and 15 in the paper (section 4.1).
    criterion
        The criterion that `certainty` was computed with.

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
        exits = ExitPolicy(T_c, criterion).exits_of_certainty(certainty)
        if correct.gather(1, exits[:, None]).double().mean() < wanted:
            break
        lowest = T_c
    return ExitPolicy(lowest, criterion)
