"""What a substitute is trained for: to answer as the victim does, and to stop where it stops."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.networks.policy import in_log_odds


def damped(answers: Tensor, ceilings: Tensor) -> Tensor:
    """Answers made so uncertain that none is more confident than allowed, their ranking kept.

    Parameters
    ----------
    answers
        Probabilities, shape (batch, classes).
    ceilings
        The largest confidence at each exit, shape (K,).

    Returns
    -------
    Tensor
        λ p + (1 − λ) / classes with the largest λ ≤ 1 that the ceiling allows, shape (batch, K, classes).
    """
    even = 1 / answers.shape[-1]
    confidence = answers.amax(-1, keepdim=True)
    share = ((ceilings.clamp_min(even) - even) / (confidence - even).clamp_min(1e-6)).clamp(0, 1)[..., None]
    return share * answers[:, None] + (1 - share) * even


def performance_loss(
    logits: Tensor,
    answers: Tensor,
    victim_exits: Tensor | None = None,
    ceilings: Tensor | None = None,
    early: float = 1.0,
) -> Tensor:
    """Divergence of the substitute's answers from the victim's, at the victim's exit and deeper.

    Parameters
    ----------
    logits
        The substitute's at every exit, shape (batch, K, classes).
    answers
        The victim's probabilities, or one-hot labels, shape (batch, classes).
    victim_exits
        Where the victim left, 0 the earliest, shape (batch,); None counts every exit alike.
    ceilings
        Confidence that the answer is damped to at exits before the victim's, shape (K,); None leaves it as it is.
    early
        What an exit before the victim's counts, from 0 to 1.

    Returns
    -------
    Tensor
        Mean over the batch of Σ_i w_i KL(p_i ‖ softmax(logits_i)) / Σ_i w_i; w_i is 1 from the victim's exit on and
        `early` before it, p_i the victim's answer, damped before its exit. For one-hot answers that is cross-entropy.
    """
    weight, targets = logits.new_ones(logits.shape[:2]), answers[:, None]
    if victim_exits is not None:
        before = torch.arange(logits.shape[1], device=logits.device) < victim_exits[:, None]
        weight = torch.where(before, early, weight)
        if ceilings is not None:
            targets = torch.where(before[..., None], damped(answers, ceilings), targets)
    divergence = -(targets * logits.log_softmax(-1)).sum(-1) - torch.special.entr(targets).sum(-1)
    return ((weight * divergence).sum(1) / weight.sum(1)).mean()


def strategy_loss(confidences: Tensor, thresholds: Tensor, victim_exits: Tensor, margin: float) -> Tensor:
    """How unlikely it is to leave at the victim's exit and at none before it.

    Exits are the times of a discrete survival model (Cox 1972): an input that has come to exit i leaves there with
    the probability σ(z_i), z_i being the log-odds of its confidence over those of the threshold.

    Parameters
    ----------
    confidences
        The substitute's at every exit, shape (batch, K).
    thresholds
        T_i of the exits but the last, shape (K − 1,).
    victim_exits
        Where the victim left, shape (batch,).
    margin
        m, in log-odds: how far below T_i a confidence should be before the victim's exit, and how far above it there.

    Returns
    -------
    Tensor
        Mean over the batch of Σ_{i<e} log(1 + exp(m + z_i)) + log(1 + exp(m − z_e)); the last exit, where everybody
        leaves, has no such term.
    """
    z = in_log_odds(confidences[:, :-1]) - in_log_odds(thresholds)
    exits = torch.arange(z.shape[1], device=z.device)
    before, at = exits < victim_exits[:, None], exits == victim_exits[:, None]
    return (F.softplus(margin + z) * before + F.softplus(margin - z) * at).sum(1).mean()
