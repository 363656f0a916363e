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
"""Images for fine-tuning a backbone, and for new exits, at most where an image costs what a ResNet-20 takes for it. The
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
    return _at_most(data, min(TRAINED_ON, _affordable(network, TRAINED_ON)))


def for_exits(network: MultiExitNetwork, data: ImageData, seed: int) -> ImageData:
    """`data` with the images that a simulated thief trains new exits on: all that the owner has, if time allows it."""
    return _some(data, number_for_exits(network, data), seed)


def number_for_exits(network: MultiExitNetwork, data: ImageData) -> int:
    """How many images that is."""
    return _at_most(data, _affordable(network, EXITS_TRAINED_ON))


def few_for_exits(network: MultiExitNetwork, data: ImageData, seed: int) -> ImageData:
    """`data` with those that a thief with few images trains new exits on."""
    return _some(data, min(len(data.train) // PART, number_for_exits(network, data)), seed)


def _affordable(network: MultiExitNetwork, images: int) -> int:
    """How many images take as long as so many do in a ResNet-20."""
    return int(max(FEWEST, images * RESNET20 / exit_flops(network)[-1]))


def _at_most(data: ImageData, images: int) -> int:
    """So many of the training images, or all, where not one of each class would be left over."""
    return len(data.train) if len(data.train) < images + data.classes else images


def _some(data: ImageData, images: int, seed: int) -> ImageData:
    return data if images == len(data.train) else replace(data, train=split(data.train, images, seed)[1])


def new_exits(network: MultiExitNetwork) -> dict[str, dict[str, Any]]:
    """What a copy gets in place of its exits, with the parameters of `retrain_exits`."""
    own = any(not isinstance(head, ExitHead) for head in list(network.heads)[:-1])
    return {SDN: {"kind": "sdn"}} | ({OWN: {"kind": "own"}} if own else {})


def steps(network: MultiExitNetwork) -> int:
    """How many copies a thief makes at most."""
    return len(BACKBONES) * (1 + len(new_exits(network))) + len(new_exits(network)) + 1


PARTS = (*BACKBONES, "exits alone")
"""What a thief does, in parts that need nothing of each other."""


@dataclass(frozen=True)
class Thief:
    """A simulated thief.

    Attributes
    ----------
    network
        The owner's; it is not changed.
    seed
        Of everything random.
    for_backbones, for_exits, few
        The owner's images that he fine-tunes a backbone on, that he trains new exits on and adversarially, and that he
        has where he has few.
    """

    network: MultiExitNetwork
    seed: int
    for_backbones: ImageData
    for_exits: ImageData
    few: ImageData

    @classmethod
    def of(cls, network: MultiExitNetwork, data: ImageData, seed: int) -> Thief:
        """One of this seed: each has other images, where there are more than he is given."""
        images = (take(network, data, seed) for take in (for_backbones, for_exits, few_for_exits))
        return cls(network, seed, *images)

    def copies(self, part: str) -> Iterator[Copy | str]:
        """The copies of one of `PARTS`; in place of one that does not fit the network, a sentence that says so."""
        return self._of_backbone(part) if part in BACKBONES else self._of_exits()

    def _of_backbone(self, name: str) -> Iterator[Copy | str]:
        backbone, change = self.network, BACKBONES[name]
        if change:
            kind, parameters = change
            try:
                backbone = self._tampered(kind, {**parameters, "retrain_heads": False})
            except ExitprintError as unfit:
                yield f"Not simulated: {name} ({_clause(unfit)})."
                return
            yield Copy(f"{name}, exits kept", backbone)
        for exits in new_exits(self.network):
            yield self._anew(f"{name}, {exits}" if name else exits, backbone, exits, self.for_exits)

    def _of_exits(self) -> Iterator[Copy | str]:
        for exits in new_exits(self.network):
            yield self._anew(f"{exits}, {FEW_IMAGES}", self.network, exits, self.few)
        if self.network.num_exits > 2:
            yield Copy(FEWER, self._tampered("remove-exits", {"every": 2}))
        if len(self.network.stages) > self.network.num_exits:
            yield Copy(MORE, self._tampered("add-exits", {}))

    def _tampered(self, kind: str, parameters: dict[str, Any]) -> MultiExitNetwork:
        images = self.for_exits if kind in ON_ALL else self.for_backbones
        return tamper(self.network, images, kind, {**parameters, "rad": None}, self.seed)

    def _anew(self, theft: str, backbone: MultiExitNetwork, exits: str, images: ImageData) -> Copy | str:
        parameters = {**new_exits(self.network)[exits], "rad": None}
        try:
            copy = tamper(backbone, images, "retrain-exits", parameters, self.seed)
        except ExitprintError as unfit:
            return f"Not simulated: {theft} ({_clause(unfit)})."
        return Copy(theft, copy, new_exits=theft == exits)


def _clause(error: ExitprintError) -> str:
    return str(error).rstrip(".")[:120]
