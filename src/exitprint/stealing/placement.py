"""Where a substitute's exits sit: after the stages whose relative cost is nearest to the victim's relative depths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from exitprint.errors import ExitprintError
from exitprint.networks import Architecture, MultiExitNetwork, exit_costs
from exitprint.networks.architectures.architecture import NAMED


def place_exits(arch: Architecture, relative_depths: ArrayLike) -> Architecture:
    """The architecture with one exit for each relative depth, the last one its own.

    Parameters
    ----------
    arch
        Any of ours; internal classifiers may sit after each of its stages but the last, or where it has its own.
    relative_depths
        Of the victim's K exits, ascending, the last 1, shape (K,).

    Returns
    -------
    Architecture
        With the K − 1 stages, in order, whose cost relative to the whole network (FLOPs, all internal classifiers
        included) has the least sum of squared distances from the first K − 1 depths.

    Raises
    ------
    ExitprintError
        If it has fewer stages than that.
    """
    depths = np.asarray(relative_depths, dtype=np.float64)[:-1]
    with torch.device("meta"):
        full = MultiExitNetwork.build(arch.model_copy(update={"exits": None}))
    costs = np.array(exit_costs(full))[:-1]
    if len(depths) > len(costs):
        raise ExitprintError(
            f"{len(depths) + 1} exits do not fit into this architecture, which has room for {len(costs) + 1}: "
            "use a deeper one (--arch, --depth)."
        )
    return arch.model_copy(update={"exits": tuple(full.exit_stages[index] for index in _nearest(costs, depths))})


def _nearest(costs: NDArray[np.float64], depths: NDArray[np.float64]) -> Sequence[int]:
    """Increasing indices into `costs`, one for each of `depths`, of the least sum of squared distances."""
    best = np.full((len(costs) + 1, len(depths) + 1), np.inf)
    best[:, 0] = 0
    for i, cost in enumerate(costs):
        taken = best[i, :-1] + (cost - depths) ** 2
        best[i + 1, 1:] = np.minimum(best[i, 1:], taken)
    chosen, j = [], len(depths)
    for i in range(len(costs), 0, -1):
        if j and best[i, j] < best[i - 1, j]:
            chosen.append(i - 1)
            j -= 1
    return chosen[::-1]


def smallest_with_room(family: str, exits: int) -> str:
    """The shallowest named architecture of a family with room for so many exits.

    Raises `ExitprintError` if there is none.
    """
    for name, (its_family, depth, width) in NAMED.items():
        if its_family == family:
            arch = Architecture(family=its_family, depth=depth, width=width, input_shape=(3, 32, 32), classes=2)
            with torch.device("meta"):
                if MultiExitNetwork.build(arch).num_exits >= exits:
                    return name
    raise ExitprintError(f"no {family} of ours has room for {exits} exits: take another family (--arch).")
