"""The thefts that are simulated at crafting: what is done to the backbone, and which exits the copy gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from exitprint.data import ImageData, split
from exitprint.errors import ExitprintError
from exitprint.networks import ExitHead, MultiExitNetwork, exit_flops
from exitprint.tampering import tamper

BACKBONES: dict[str, tuple[str, dict[str, Any]] | None] = {
    "": None,
    "fine-tuned 2 epochs": ("finetune", {"epochs": 2}),
    "pruned by 20 %": ("prune", {"rate": 0.2}),
    "pruned by 40 %": ("prune", {"rate": 0.4}),
    "in 8 bits": ("quantise", {}),
    "adversarially trained": (
        "adversarial",
        {"epochs": 1, "learning_rate": 1e-4, "epsilon": 2 / 256, "steps": 1},
    ),
}
"""What is done to the backbone: the kind of tampering and its parameters. The paper's adversarial training, on few
images, leaves a copy of no use; so it is gentler here. It has one step from a random start, which costs a third of five
and does as much (Wong et al. 2020, "Fast is better than free"), and as many images as new exits: how far it takes a
copy goes by how many there are (docs/results/strength.md)."""
ON_ALL = ("adversarial", "add-exits")
"""Kinds of tampering that have as many images as new exits; the others have fewer."""
SDN, OWN = "SDN exits trained again", "exits of its own kind trained again"
FEWER, MORE = "every second exit removed", "exits added after the other stages"
PART = 5
"""The thief with few images has one of so many."""
FEW_IMAGES = "a fifth of the images"
RESNET20 = 85e6
"""FLOPs of a ResNet-20 for one image."""
FEWEST = 500
TRAINED_ON, EXITS_TRAINED_ON = 4000, 12_000
"""Images that a backbone is fine-tuned on, and new exits, at most where an image costs what a ResNet-20 takes for it. The
fewer images new exits see, the less they do as the owner's do; so they get all that there are, if time allows it."""


@dataclass(frozen=True)
class Copy:
    """A simulated copy.

    Attributes
    ----------
    theft
        What was done.
    network
        The copy; its thresholds are the owner's.
    new_exits
        Whether the backbone is the owner's and every exit was trained again.
    """

    theft: str
    network: MultiExitNetwork
    new_exits: bool = False


def for_backbones(network: MultiExitNetwork, data: ImageData, seed: int) -> ImageData:
    """`data` with the images that a simulated thief fine-tunes a backbone on."""
    return _some(data, number_for_backbones(network, data), seed)


def number_for_backbones(network: MultiExitNetwork, data: ImageData) -> int:
    """How many images that is."""
    return min(len(data.train), TRAINED_ON, _affordable(network, TRAINED_ON))


def for_exits(network: MultiExitNetwork, data: ImageData, seed: int) -> ImageData:
    """`data` with the images that a simulated thief trains new exits on: all that the owner has, if time allows it."""
    return _some(data, number_for_exits(network, data), seed)


def number_for_exits(network: MultiExitNetwork, data: ImageData) -> int:
    """How many images that is."""
    return min(len(data.train), _affordable(network, EXITS_TRAINED_ON))


def few_for_exits(network: MultiExitNetwork, data: ImageData, seed: int) -> ImageData:
    """`data` with those that a thief with few images trains new exits on."""
    return _some(data, min(len(data.train) // PART, number_for_exits(network, data)), seed)


def _affordable(network: MultiExitNetwork, images: int) -> int:
    """How many images take as long as so many do in a ResNet-20."""
    return int(max(FEWEST, images * RESNET20 / exit_flops(network)[-1]))


def _some(data: ImageData, most: int, seed: int) -> ImageData:
    return data if len(data.train) <= most else replace(data, train=split(data.train, most, seed)[1])


def new_exits(network: MultiExitNetwork) -> dict[str, dict[str, Any]]:
    """What a copy gets in place of its exits, with the parameters of `retrain_exits`."""
    own = any(not isinstance(head, ExitHead) for head in list(network.heads)[:-1])
    return {SDN: {"kind": "sdn"}} | ({OWN: {"kind": "own"}} if own else {})


def steps(network: MultiExitNetwork) -> int:
    """How many copies `simulated` makes at most."""
    return len(BACKBONES) * (1 + len(new_exits(network))) + len(new_exits(network)) + 1


def simulated(network: MultiExitNetwork, data: ImageData, seed: int) -> Iterator[Copy | str]:
    """Copies of a network, each theft in turn; in place of one that does not fit the network, a sentence that says so.

    Parameters
    ----------
    network
        The owner's network; it is not changed.
    data
        The owner's images, with labels.
    seed
        Of everything random: each thief has other images, where there are more than he is given.
    """
    for_a_backbone, for_new_exits = for_backbones(network, data, seed), for_exits(network, data, seed)

    def tampered(victim: MultiExitNetwork, kind: str, parameters: dict[str, Any]) -> MultiExitNetwork:
        images = for_new_exits if kind in ON_ALL else for_a_backbone
        return tamper(victim, images, kind, {**parameters, "rad": None}, seed)

    def anew(theft: str, backbone: MultiExitNetwork, exits: str, images: ImageData) -> Copy | str:
        parameters = {**new_exits(network)[exits], "rad": None}
        try:
            copy = tamper(backbone, images, "retrain-exits", parameters, seed)
        except ExitprintError as unfit:
            return f"Not simulated: {theft} ({_clause(unfit)})."
        return Copy(theft, copy, new_exits=theft == exits)

    for name, change in BACKBONES.items():
        backbone = network
        if change:
            kind, parameters = change
            try:
                backbone = tampered(network, kind, {**parameters, "retrain_heads": False})
            except ExitprintError as unfit:
                yield f"Not simulated: {name} ({_clause(unfit)})."
                continue
            yield Copy(f"{name}, exits kept", backbone)
        for exits in new_exits(network):
            yield anew(f"{name}, {exits}" if name else exits, backbone, exits, for_new_exits)
    for exits in new_exits(network):
        yield anew(f"{exits}, {FEW_IMAGES}", network, exits, few_for_exits(network, data, seed))
    if network.num_exits > 2:
        yield Copy(FEWER, tampered(network, "remove-exits", {"every": 2}))
    if len(network.stages) > network.num_exits:
        yield Copy(MORE, tampered(network, "add-exits", {}))


def _clause(error: ExitprintError) -> str:
    return str(error).rstrip(".")[:120]
