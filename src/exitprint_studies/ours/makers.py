"""Well trained networks of one maker, on the pixels they were trained on, and what a thief makes of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from exitprint.data import ImageData
from exitprint.files import write_bytes
from exitprint.networks import ExitPolicy, MultiExitNetwork, load_network, save_network
from exitprint.tampering import tamper
from exitprint.threads import single_thread
from exitprint.training import all_logits, calibrated_policy
from exitprint_studies.ours.third_party import ORIGINALS, Adopted, Depth, some_exits
from exitprint_studies.population.declare import Source
from exitprint_studies.population.store import Store

DEPTHS: tuple[Depth, ...] = (20, 32, 44)
RADS = (0.0, 5.0, 15.0)
"""Relative accuracy drops, in per cent, that every network's policies are calibrated for."""
EXITS = 8
"""Internal classifiers of each network, as `wrap` puts them."""
TESTED = 1000
THEFTS: Mapping[str, tuple[str, Mapping[str, Any], int]] = {
    "ICs retrained": ("retrain-exits", {}, 1),
    "fine-tuned 2 epochs, new ICs": ("finetune", {"epochs": 2}, 2),
    "pruned 0.2, new ICs": ("prune", {"rate": 0.2}, 3),
    "pruned 0.4, new ICs": ("prune", {"rate": 0.4}, 4),
    "8-bit, new ICs": ("quantise", {}, 5),
}
"""What a thief does: kind of tampering, its parameters, seed."""
FURTHER: Mapping[str, tuple[str, Mapping[str, Any], int]] = {
    "every 2nd IC removed": ("remove-exits", {"every": 2}, 0),
    "every 2nd IC trained anew": ("add-exits", {}, 6),
    "pruned 0.2, own ICs": ("prune", {"rate": 0.2, "retrain_heads": False}, 0),
    "pruned 0.4, own ICs": ("prune", {"rate": 0.4, "retrain_heads": False}, 0),
    "8-bit, own ICs": ("quantise", {"retrain_heads": False}, 0),
    "adversarially trained, own ICs": (
        "adversarial",
        {"epochs": 1, "share": 0.5, "learning_rate": 1e-4, "epsilon": 2 / 256, "steps": 5, "retrain_heads": False},
        7,
    ),
    "adversarially trained, new ICs": ("retrain-exits", {}, 9),
    "adversarially trained hard, own ICs": ("adversarial", {"epochs": 2, "retrain_heads": False}, 7),
    "adversarially trained hard, new ICs": ("retrain-exits", {}, 8),
}
"""What the paper's tables have besides: changes of exits or of the backbone alone, and adversarial training."""
ON_TOP: Mapping[str, str] = {
    "every 2nd IC trained anew": "every 2nd IC removed",
    "adversarially trained, new ICs": "adversarially trained, own ICs",
    "adversarially trained hard, new ICs": "adversarially trained hard, own ICs",
}
"""What is done to a copy that was changed before, and how."""


def of_the_maker(depth: Depth, original: bool = True, exits: int = EXITS) -> Adopted:
    """The maker's network of so many layers, its exits trained on CIFAR-10's original pixels or on its JPEG images."""
    data = Source(name="cifar10") if original else Source(name="cifar10", limit=5_000)
    return Adopted(depth=depth, exits=some_exits(depth, exits), folder=ORIGINALS if original else "", data=data)


@dataclass(frozen=True)
class Workshop:
    """Where networks are found or made.

    Attributes
    ----------
    store
        Keeps what was made.
    data_dir
        Folder of data sets, with the third party's weights.
    """

    store: Store
    data_dir: Path | None

    def images(self, adopted: Adopted) -> ImageData:
        """What the network's owner has."""
        return adopted.images(self.data_dir)

    def network(self, adopted: Adopted, theft: str | None = None) -> MultiExitNetwork:
        """The owner's network, or what a thief made of it.

        Raises
        ------
        ExitprintError
            If the folder of data sets does not have the weights, or has others.
        """
        owned = adopted.realise(self.store, self.data_dir)
        if theft is None:
            return owned
        kind, parameters, seed = _theft(theft)
        key = {**adopted.key, "kind": kind, "parameters": parameters, "seed": seed, **_stands_on(theft)}
        if theft in ON_TOP:
            owned = self.network(adopted, ON_TOP[theft])
        return load_network(self.store.get(key, partial(self._steal, adopted, owned, theft)))

    def policies(self, adopted: Adopted, theft: str | None = None) -> tuple[list[ExitPolicy], list[float]]:
        """For each of `RADS` the policy of the network, or of what a thief made of it, and its test accuracy."""

        def measure(to: Path) -> None:
            network, data = self.network(adopted, theft), self.images(adopted)
            tested = data.test[:TESTED]
            logits = all_logits(network, tested)
            policies = [calibrated_policy(network, data.calibration, rad) for rad in RADS]
            right = [float((policy.answered(logits) == tested.labels).double().mean()) for policy in policies]
            write_bytes(to, json.dumps([[policy.thresholds[0] for policy in policies], right]).encode())

        key: dict[str, Any] = {"policies": adopted.key, "theft": None}
        if theft:
            key |= {"theft": _theft(theft), **_stands_on(theft)}
        thresholds, accuracies = json.loads(self.store.get(key, measure, ".policies").read_bytes())
        return [ExitPolicy(T_c) for T_c in thresholds], accuracies

    def _steal(self, adopted: Adopted, owned: MultiExitNetwork, theft: str, to: Path) -> None:
        kind, parameters, seed = _theft(theft)
        with single_thread():
            save_network(tamper(owned, self.images(adopted), kind, parameters, seed), to)


def _stands_on(theft: str) -> dict[str, Any]:
    """What the result depends on besides where a copy was changed before: nothing where it was not."""
    return {"on": _theft(ON_TOP[theft])} if theft in ON_TOP else {}


def _theft(name: str) -> tuple[str, Mapping[str, Any], int]:
    return {**THEFTS, **FURTHER}[name]
