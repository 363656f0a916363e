"""What every table rests on: one row for each network, method and RAD, kept in the store as it is measured.

Runtimes are a cost model's, never measured: FLOPs up to the exit that an image takes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exitprint.data import Images
from exitprint.files import write_bytes
from exitprint.fingerprints import load_fingerprint
from exitprint.fingerprints.score import auc, t_n
from exitprint.fingerprints.threshold import CAUTIOUS
from exitprint.suspects import CostModel
from exitprint.training.backbone import final_logits
from exitprint.training.compute import on_best_device
from exitprint_studies.conferrable import load_labels, share_of_labels
from exitprint_studies.metrics import decision_of
from exitprint_studies.paper.cells import Cell, amount
from exitprint_studies.paper.crafted import Method, crafted_images, digest_of
from exitprint_studies.population.declare import Calibrated, Member, Spec, realise, source
from exitprint_studies.population.store import Store
from exitprint_studies.tables import Row

CLOCK = "cost-model"
KEPT_AS = "cost model"
"""The clock in the keys of the store, as it was first called: a new name does not make a file a new one."""
SUFFIX = ".scores"
TESTED = 1000
BATCH = 250
GROUPS = 10


@dataclass(frozen=True)
class Measurement:
    """One network at one RAD, to be asked the images of all of its cell's fingerprints.

    Attributes
    ----------
    member
        The network, its policy calibrated.
    fingerprints
        Files of fingerprints, by method.
    """

    member: Member
    fingerprints: Mapping[Method, Path]


@dataclass(frozen=True)
class Scores:
    """What was measured: of ordinary images, and by each method."""

    ordinary: dict[str, float]
    methods: dict[Method, dict[str, float]]


def ordinary_images(images: Images) -> Images:
    """Test images, a seeded choice of at most 1,000: in ten groups they are the paper's benign samples."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order[:TESTED]]


def scores(measurement: Measurement, store: Store, data_dir: Path | None = None) -> Scores:
    """Everything about one network at one RAD; what is in the store is not measured again."""
    network = measurement.member.network

    def kept(key: Mapping[str, Any], measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        path = store.get(key, lambda path: write_bytes(path, json.dumps(measure(), sort_keys=True).encode()), SUFFIX)
        return dict(json.loads(path.read_bytes()))

    @cache
    def suspect() -> CostModel:
        return CostModel(on_best_device(realise(network, store, data_dir)))

    backbone = kept(_backbone_key(network), lambda: _backbone(network, store, data_dir))
    ordinary = kept(_ordinary_key(network), lambda: _ordinary(suspect(), source(network).load(data_dir).test))
    methods = {
        method: kept(
            _method_key(network, method, file),
            partial(_by, suspect, method, file, ordinary["longest"]),
        )
        for method, file in measurement.fingerprints.items()
    }
    return Scores(backbone | ordinary, methods)


def measuring_seconds(measurements: Sequence[Measurement], store: Store) -> float:
    """CPU seconds that measuring took in all."""
    keys: dict[str, dict[str, Any]] = {}
    for each in measurements:
        network = each.member.network
        for key in (
            _backbone_key(network),
            _ordinary_key(network),
            *(_method_key(network, method, file) for method, file in each.fingerprints.items()),
        ):
            keys[json.dumps(key, sort_keys=True)] = key
    return sum(store.seconds(key) or 0.0 for key in keys.values())


def _backbone_key(network: Spec) -> dict[str, Any]:
    return {"backbone of": _weights(network).key, "images": TESTED}


def _ordinary_key(network: Spec) -> dict[str, Any]:
    return {"clock": KEPT_AS, "network": network.key, "images": TESTED}


def _method_key(network: Spec, method: Method, file: Path) -> dict[str, Any]:
    return {
        "clock": KEPT_AS,
        "network": network.key,
        "method": method,
        "fingerprint": digest_of(file),
        "images": TESTED,
    }


def _weights(network: Spec) -> Spec:
    return network.parent if isinstance(network, Calibrated) else network


def rows(cell: Cell, rad: float, measurement: Measurement, measured: Scores, pool: str) -> list[Row]:
    """Rows of one network at one RAD, one for each method; `verified` is added when thresholds are known."""
    member = measurement.member
    return [
        {
            "architecture": cell.family,
            "data": cell.data.name,
            "network": member.name,
            "truth": member.role,
            "group": member.group,
            "amount": amount(member.network),
            "pool": pool,
            "RAD": rad,
            "method": method,
            "clock": CLOCK,
            "T_N": found.get("T_N"),
            "contrast AUC": found.get("AUC"),
            "label share": found.get("share"),
            "score": _score(method, found),
            "derived": found.get("derived"),
            "own threshold": found.get("threshold"),
            "benign T_N": measured.ordinary["benign T_N"],
            "accuracy": measured.ordinary["accuracy"],
            "backbone accuracy": measured.ordinary["backbone accuracy"],
        }
        for method, found in measured.methods.items()
    ]


def distances(file: Path, method: Method) -> tuple[float, float]:
    """Mean over samples of ‖x − x′‖₂ and of the mean square of x − x′ over pixels, pixels in [0, 1]."""
    change = crafted_images(file, method).change
    return float(change.norm(dim=1).mean()), float(change.square().mean())


def _score(method: Method, found: Mapping[str, float]) -> float:
    """A number that is higher for stolen networks."""
    if method == "contrast":
        return found["AUC"]
    return found["share"] if method == "baseline" else -found["T_N"]


def _backbone(network: Spec, store: Store, data_dir: Path | None) -> dict[str, float]:
    images = ordinary_images(source(network).load(data_dir).test)
    last = on_best_device(realise(_weights(network), store, data_dir))
    device = last.mean.device
    with torch.inference_mode():
        labels = torch.cat([final_logits(last, part.to(device)).argmax(1).cpu() for part in images.x.split(BATCH)])
    return {"backbone accuracy": float((labels == images.labels).double().mean())}


def _ordinary(suspect: CostModel, test: Images) -> dict[str, float]:
    images = ordinary_images(test)
    answer = suspect.ask(images.x)
    assert answer.labels is not None
    longest = float(answer.seconds.max())
    return {
        "accuracy": float((answer.labels == images.labels.numpy()).mean()),
        "longest": longest,
        "benign T_N": float(np.mean([t_n(group, longest) for group in np.array_split(answer.seconds, GROUPS)])),
    }


def _by(open_suspect: Callable[[], CostModel], method: Method, file: Path, longest: float) -> dict[str, float]:
    suspect = open_suspect()
    if method == "baseline":
        return {"share": share_of_labels(load_labels(file), suspect)}
    fingerprint = load_fingerprint(file, inf)
    if method == "contrast":
        seconds, late = suspect.ask(fingerprint.x).seconds, fingerprint.late.numpy()
        return {
            "AUC": auc(seconds[late], seconds[~late]),
            "T_N": t_n(seconds[late], longest),
            "derived": float(decision_of(fingerprint, suspect) == "derived"),
            "threshold": CAUTIOUS[0],
        }
    return {"T_N": t_n(suspect.ask(fingerprint.x).seconds, longest)}
