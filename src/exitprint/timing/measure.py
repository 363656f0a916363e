"""Measuring a suspect by the paper's protocol: groups of inputs in random order, each repeated, after a warm-up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.suspects.journal import Work
from exitprint.suspects.suspect import Suspect
from exitprint.timing.session import Asked, session
from exitprint.timing.timings import Timings

WARM_UP = 20
"""Requests before the first that counts."""


def measure(suspect: Suspect, groups: Mapping[str, Tensor], repeats: int = 10, seed: int = 0) -> dict[str, Timings]:
    """Time every input of every group, one at a time.

    All inputs of all groups are asked once, in a random order, then all again in another order, and so on: drift
    of the machine hits all groups alike. A suspect on a cost model is asked once, since it would repeat itself.

    Parameters
    ----------
    suspect
        What to ask.
    groups
        Images in [0, 1] by name, each (inputs, channels, height, width).
    repeats
        How often each input is timed; the paper takes 10.
    seed
        Of the order.

    Returns
    -------
    dict
        `Timings` of each group.

    Raises
    ------
    ExitprintError
        If there is nothing to ask or `repeats` is not positive.
    """
    if repeats < 1:
        raise ExitprintError(f"the number of repeats must be positive, and not {repeats}.")
    inputs = [(name, index) for name, x in groups.items() for index in range(len(x))]
    if not inputs:
        raise ExitprintError("there are no inputs to time.")
    rng = np.random.default_rng(seed)
    work = Work("measurement", "", Asked, "inputs")
    with session(suspect, groups, work, expected=len(inputs) * repeats) as asking:
        for at in rng.integers(len(inputs), size=WARM_UP):
            kind, index = inputs[at]
            asking.ask(kind, index, warm_up=True)
            if asking.clock == "cost-model":
                break
        for _ in range(1 if asking.clock == "cost-model" else repeats):
            for at in rng.permutation(len(inputs)):
                asking.ask(*inputs[at])
        return asking.timings()
