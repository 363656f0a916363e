"""Thresholds that spread inputs over the exits."""

from __future__ import annotations

import numpy as np

from exitprint.data import Images
from exitprint.networks import ExitPolicy, MultiExitNetwork, exit_costs
from exitprint.networks.policy import CLOSED
from exitprint.training.evaluate import all_logits

AS_DEEP = 0.99
"""Cost, as a share of the last exit's, from which an exit saves nothing and is closed."""


def spread_policy(network: MultiExitNetwork, images: Images, keep: float) -> ExitPolicy:
    """Thresholds, one per exit, under which each exit takes `keep` times as many inputs as the one before.

    That is how Huang et al. (2018, section 5.2) set the thresholds of MSDNet for a budget. An exit as deep as the last
    one is closed.

    Parameters
    ----------
    network
        Its policy is not changed.
    images
        Held-out images that the shares are met on.
    keep
        Above 0.
    """
    certainty = ExitPolicy(CLOSED).certainty(all_logits(network, images)).numpy()
    used = np.array(exit_costs(network)) < AS_DEEP
    used[-1] = True
    shares = np.where(used, keep ** (np.cumsum(used) - 1.0), 0)
    shares /= shares.sum()
    waiting, thresholds = np.ones(len(images), dtype=bool), []
    for exit in range(network.num_exits - 1):
        threshold = CLOSED
        if used[exit]:
            here = np.sort(certainty[waiting, exit])[::-1]
            threshold = float(here[min(round(shares[exit] * len(images)), len(here)) - 1])
        thresholds.append(threshold)
        waiting &= certainty[:, exit] < threshold
    return ExitPolicy(thresholds)
