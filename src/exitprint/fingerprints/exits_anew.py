"""Exits trained anew on one backbone: what a sample has to do on all of them at once.

Where exits are trained with their backbone, much of what decides when an image leaves lives in the exits, and a thief
who trains new ones keeps none of it. A sample that does what it is for on several sets of exits rests on what they
share: the backbone, which the thief keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import get_args

import torch
from torch import Tensor

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.fingerprints.thefts import for_exits
from exitprint.networks import MultiExitNetwork
from exitprint.tampering import retrain_exits
from exitprint.tampering.rebuild import HeadKind


def all_exits(network: MultiExitNetwork, copies: Sequence[MultiExitNetwork]) -> Callable[[Tensor], Tensor]:
    """Logits of the internal exits of a network and of its copies, one after another, and of its last exit.

    Parameters
    ----------
    network
        The owner's network; its backbone is run once.
    copies
        The same backbone with other exits; see `check_copies`.

    Returns
    -------
    Callable[[Tensor], Tensor]
        From images in [0, 1], (batch, channels, height, width), to (batch, networks × (exits − 1) + 1, classes).
    """
    networks = [network, *copies]

    def look(x: Tensor) -> Tensor:
        rows: list[list[Tensor]] = [[] for _ in networks]
        for place in network.walk(x):
            for row, each in zip(rows, networks, strict=True):
                head = each.heads[place.exit]
                row.append(head(place.shown_to(head)))
        return torch.stack([*(logits for row in rows for logits in row[:-1]), rows[0][-1]], 1)

    return look


def check_copies(network: MultiExitNetwork, copies: Sequence[MultiExitNetwork]) -> None:
    """Refuse what is not this network's backbone with other exits at the same places.

    Raises `ExitprintError` if a copy has exits at other places or another backbone, or images leave by patience, which
    counts exits.
    """
    if not copies:
        return
    if network.policy.criterion == "patience":
        raise ExitprintError("where images leave by patience, samples are not crafted on several sets of exits.")
    own = network.stages.state_dict()
    for copy in copies:
        other = copy.stages.state_dict()
        same = other.keys() == own.keys() and all(torch.equal(other[name].cpu(), own[name].cpu()) for name in own)
        if copy.exit_stages != network.exit_stages or not same:
            raise ExitprintError(
                "samples are crafted on several sets of exits of one backbone: give copies whose exits alone were "
                "trained anew, at the same places."
            )


def sets_of_exits(network: MultiExitNetwork, data: ImageData, count: int, seed: int) -> list[MultiExitNetwork]:
    """`count` copies of a network with exits trained anew, of its own kind and SDN heads by turns.

    They are trained on as many of the owner's labelled images as a thief has, from the seeds after this one. Raises
    `ExitprintError` if the count is below zero, the images have no labels, or exits cannot be trained again.
    """
    if count < 0:
        raise ExitprintError(f"the number of sets of new exits is not below zero, and {count} is.")
    if not count:
        return []
    data.check_labelled()
    seen = for_exits(network, data, seed)
    return [
        retrain_exits(network, seen, kind=kind, rad=None, seed=each)
        for each, kind in zip(range(seed + 1, seed + 1 + count), cycle(get_args(HeadKind)), strict=False)
    ]
