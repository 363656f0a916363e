"""ResNets that somebody else trained on CIFAR-10, independently of each other: targets, copies, victims of studies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.fingerprints import ContrastMethod, Fingerprint, contrast_fingerprint, load_fingerprint, save_fingerprint
from exitprint.fingerprints.score import FloatArray, auc
from exitprint.networks import Architecture, MultiExitNetwork, architecture, load_network, save_network
from exitprint.suspects import CostModel
from exitprint.tampering import tamper
from exitprint.threads import single_thread
from exitprint.training import (
    BackboneRecipe,
    HeadRecipe,
    Recipe,
    calibrated_policy,
    policy_accuracy,
    train_heads,
)
from exitprint_studies.population.declare import Declared, Source, Spec, Trained, realise
from exitprint_studies.population.store import Store
from exitprint_studies.study import Run
from exitprint_studies.tables import Row

Depth = Literal[20, 32, 44, 56]
DIGESTS: dict[Depth, str] = {20: "12fca82f", 32: "d509ac18", 44: "014dd654", 56: "4bfd9763"}
"""How the SHA-256 of each file of weights begins."""
ORIGINALS = "cifar10-original"
"""Folder of data sets, inside the folder of data sets, whose CIFAR-10 has its original pixels."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OWNERS_DATA = Source(name="cifar10", limit=20_000)
HEADS = HeadRecipe(epochs=6, learning_rate=1e-2, batch=256, standardise=True)
RADS = (5.0, 15.0)
TESTED = 2000
SAMPLES = 100
MARGINS = (0.5, 1.0, 1.5)
VERSION = 3
"""Raised whenever the fingerprint is crafted otherwise than before by the same parameters."""
COPIES: dict[str, tuple[str, dict[str, Any], int]] = {
    "ICs retrained 1": ("retrain-exits", {}, 1),
    "ICs retrained 2": ("retrain-exits", {}, 2),
    "fine-tuned 2 epochs, new ICs": ("finetune", {"epochs": 2, "share": 0.5}, 3),
    "pruned 0.2, new ICs": ("prune", {"rate": 0.2}, 4),
    "pruned 0.4, new ICs": ("prune", {"rate": 0.4}, 5),
    "8-bit, new ICs": ("quantise", {}, 6),
}
INDEPENDENTS = {
    "independent ResNet-20, 1": ("resnet20", 1, 24, 256),
    "independent ResNet-20, 2": ("resnet20", 2, 24, 256),
    "independent ResNet-20, 3": ("resnet20", 3, 24, 256),
    "independent ResNet-32": ("resnet32", 4, 20, 256),
    "independent ResNet-56": ("resnet56", 5, 18, 512),
}


def independent(name: str) -> Trained:
    """An independent network's declaration: all of CIFAR-10, (architecture, seed, epochs, batch) as declared."""
    arch, seed, epochs, batch = INDEPENDENTS[name]
    backbone = BackboneRecipe(epochs=epochs, learning_rate=0.1, batch=batch, weight_decay=5e-4)
    return Trained(
        architecture=architecture(arch, (3, 32, 32), 10),
        data=Source(name="cifar10"),
        recipe=Recipe(backbone=backbone, heads=HEADS),
        seed=seed,
    )


def third_party_networks() -> list[Spec]:
    """The independents; the third party's network is not trained but read."""
    return [independent(name) for name in INDEPENDENTS]


def weights_file(depth: Depth) -> str:
    """How the file with the weights of the ResNet of so many layers is called."""
    return f"resnet{depth}-cifar10-thirdparty.th"


def some_exits(depth: Depth, wanted: int) -> tuple[int, ...]:
    """So many of the stages of a ResNet, evenly spread, and none after its last block."""
    blocks = (depth - 2) // 2
    return tuple(round(blocks * number / (wanted + 1)) - 1 for number in range(1, wanted + 1))


def third_party_backbone(path: Path, depth: Depth = 20, exits: tuple[int, ...] | None = None) -> MultiExitNetwork:
    """The third party's weights as a network of ours, with fresh internal classifiers.

    Parameters
    ----------
    path
        The file with the weights.
    depth
        Layers of the ResNet.
    exits
        The stages, counted from 0, to put an internal classifier after; by default all.

    Raises
    ------
    ExitprintError
        If the file is missing or holds something else.
    """
    if not path.is_file():
        raise ExitprintError(f"there is no file {str(path)!r}: put the third party's weights there.")
    weights: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    network = MultiExitNetwork.build(_architecture(depth, exits), 0, mean=MEAN, std=STD)
    state = network.state_dict()
    for name, tensor in weights.items():
        ours = _our_name(name.removeprefix("module."), (depth - 2) // 6, network.num_exits - 1)
        if ours not in state or state[ours].shape != tensor.shape:
            raise ExitprintError(
                f"{path.name!r} is no CIFAR ResNet-{depth}: it has a tensor {name!r} {tuple(tensor.shape)}."
            )
        state[ours].copy_(tensor)
    return network.eval()


def _architecture(depth: Depth, exits: tuple[int, ...] | None) -> Architecture:
    return architecture(f"resnet{depth}", (3, 32, 32), 10).model_copy(update={"exits": exits})


def _our_name(name: str, blocks: int, last_exit: int) -> str:
    if name.startswith(("conv1.", "bn1.")):
        return f"stages.0.0.{0 if name[0] == 'c' else 1}.{name.split('.')[1]}"
    if name.startswith("linear."):
        return f"heads.{last_exit}.{name}"
    layer, block, part, what = name.split(".")
    place = blocks * (int(layer.removeprefix("layer")) - 1) + int(block)
    inside = {"conv1": "first.0", "bn1": "first.1", "conv2": "second", "bn2": "norm"}[part]
    return f"stages.{place}.{'1.' if place == 0 else ''}{inside}.{what}"


class Adopted(Declared):
    """A third party's network with internal classifiers that its owner trained, calibrated for RAD=5.

    Attributes
    ----------
    depth
        Layers of the ResNet.
    exits
        The stages, counted from 0, with an internal classifier; by default all.
    folder
        Where its images are, inside the folder of data sets; by default in that itself.
    data
        What the internal classifiers are trained on.
    heads
        How.
    seed
        Of that training.
    """

    spec: Literal["adopted"] = "adopted"
    depth: Depth = 20
    exits: tuple[int, ...] | None = None
    folder: str = ""
    data: Source = OWNERS_DATA
    heads: HeadRecipe = HEADS
    seed: int = 0

    @property
    def architecture(self) -> Architecture:
        """The third party's, with the owner's exits."""
        return _architecture(self.depth, self.exits)

    @property
    def key(self) -> dict[str, Any]:
        """Everything that the network depends on."""
        return {**self.model_dump(mode="json"), "weights": DIGESTS[self.depth]}

    def images(self, data_dir: Path | None) -> ImageData:
        """What its owner has."""
        return self.data.load(data_dir / self.folder if data_dir and self.folder else data_dir)

    def realise(self, store: Store, data_dir: Path | None) -> MultiExitNetwork:
        """The network, from the store or made now.

        Raises
        ------
        ExitprintError
            If the folder of data sets does not have the weights, or has others.
        """

        def make(to: Path) -> None:
            network = third_party_backbone(_weights(data_dir, self.depth), self.depth, self.exits)
            data = self.images(data_dir)
            with single_thread():
                train_heads(network, data, self.heads, self.seed)
                network.policy = calibrated_policy(network, data.calibration, RADS[0])
            save_network(network, to)

        return load_network(store.get(self.key, make))


def has_weights(data_dir: Path | None, depth: Depth = 20) -> bool:
    """Whether the third party's weights are in this folder of data sets."""
    return data_dir is not None and (data_dir / weights_file(depth)).is_file()


def _weights(data_dir: Path | None, depth: Depth) -> Path:
    if data_dir is None or not has_weights(data_dir, depth):
        raise ExitprintError(f"{weights_file(depth)} is not in the folder of data sets.")
    path = data_dir / weights_file(depth)
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(DIGESTS[depth]):
        raise ExitprintError(f"{str(path)!r} holds other weights than the third party's: get its file anew.")
    return path


def third_party_rows(run: Run) -> list[Row]:
    """Contrast on the third party's network, its copies and independents, at RAD=5 and 15.

    Raises
    ------
    ExitprintError
        If the folder of data sets has no such weights.
    """
    adopted, store = Adopted(), run.store
    _weights(run.data_dir, adopted.depth)
    about, data = adopted.key, adopted.images(run.data_dir)
    target = adopted.realise(store, run.data_dir)

    def copy(kind: str, parameters: dict[str, Any], seed: int, to: Path) -> None:
        wanted = {**parameters, "heads": HEADS}
        save_network(tamper(target, data, kind, wanted, seed), to)

    def fingerprint(margin: float, to: Path) -> None:
        save_fingerprint(_fingerprint(target, data, margin), to)

    networks = {"target": target}
    for name, (kind, parameters, seed) in COPIES.items():
        made_by = {**about, "kind": kind, "parameters": parameters, "seed": seed}
        networks[name] = load_network(store.get(made_by, partial(copy, kind, parameters, seed)))
    for name in INDEPENDENTS:
        networks[name] = realise(independent(name), store, run.data_dir)
    key = {**about, "fingerprint": "contrast", "version": VERSION, "samples": SAMPLES}
    made = {
        margin: load_fingerprint(store.get({**key, "margin": margin}, partial(fingerprint, margin)))
        for margin in MARGINS
    }
    change = {f"margin {margin}": float(each.l2.mean()) for margin, each in made.items()}
    rows = [_row(name, network, made, data, rad) for name, network in networks.items() for rad in RADS]
    empty: dict[str, Any] = dict.fromkeys(rows[0])
    return [*rows, empty | {"network": "mean L2 of the change", "truth": ""} | change]


def _fingerprint(target: MultiExitNetwork, data: ImageData, margin: float) -> Fingerprint:
    policies = [calibrated_policy(target, data.calibration, rad) for rad in (0.0, *RADS)]
    return contrast_fingerprint(
        target, data.test, policies, SAMPLES, method=ContrastMethod(margin_log_odds=margin), check=False
    )


def _row(name: str, network: MultiExitNetwork, made: Mapping[float, Fingerprint], data: ImageData, rad: float) -> Row:
    network.policy = calibrated_policy(network, data.calibration, rad)
    suspect = CostModel(network)
    first = made[MARGINS[0]]
    return {
        "network": name,
        "truth": "target" if name == "target" else "stolen" if name in COPIES else "independent",
        "RAD": int(rad),
        "T_c": network.policy.thresholds[0],
        "accuracy": policy_accuracy(network, data.test[:TESTED]),
        "AUC of the originals": _auc(first, suspect.ask(first.benign).seconds),
        **{f"margin {margin}": _auc(each, suspect.ask(each.x).seconds) for margin, each in made.items()},
    }


def _auc(fingerprint: Fingerprint, seconds: FloatArray) -> float:
    late = fingerprint.late.numpy()
    return auc(seconds[late], seconds[~late])
