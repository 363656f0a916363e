"""Measuring a suspect: groups of inputs in random order, repeated, after a warm-up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.progress import progress
from exitprint.suspects.limited import FAULTS_IN_A_ROW
from exitprint.suspects.suspect import Answer, Suspect
from exitprint.timing.timings import Timings

WARM_UP = 20

FLOORS = 5
"""How often the cheapest request is timed, where the suspect has one."""


def timed(suspect: Suspect, x: Tensor) -> Answer:
    """Ask until the time is usable: it is not where a request had to be repeated after a fault.

    Raises
    ------
    ExitprintError
        If that happens ten times in a row.
    """
    for _ in range(FAULTS_IN_A_ROW):
        answer = suspect.ask(x)
        if np.isfinite(answer.seconds).all():
            return answer
    raise ExitprintError(
        f"none of {FAULTS_IN_A_ROW} requests in a row was answered without a fault, so nothing can be timed: "
        "ask at a lower rate, or later."
    )


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
    inputs = torch.cat(list(groups.values()))
    if not len(inputs):
        raise ExitprintError("there are no inputs to time.")
    clock = suspect.ask(inputs[:1]).clock
    if clock == "cost model":
        seconds = suspect.ask(inputs).seconds[:, None]
    else:
        seconds = _measured(suspect, inputs, repeats, seed)
    ends = np.cumsum([len(x) for x in groups.values()])
    parts = np.split(seconds, ends[:-1])
    return {name: Timings(part, clock) for name, part in zip(groups, parts, strict=True)}


def _measured(suspect: Suspect, inputs: Tensor, repeats: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    seconds = np.empty((len(inputs), repeats))
    for index in rng.integers(len(inputs), size=WARM_UP):
        suspect.ask(inputs[index : index + 1])
    with progress("asking the suspect (requests)", seconds.size) as advance:
        for repeat in range(repeats):
            for index in rng.permutation(len(inputs)):
                seconds[index, repeat] = timed(suspect, inputs[index : index + 1]).seconds[0]
            advance(len(inputs))
    return seconds
