"""What making a network will cost: passes over the images, and this machine's speed as earlier networks showed it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import torch

from exitprint.networks import Architecture, MultiExitNetwork, exit_flops
from exitprint.tampering import parameter_model
from exitprint.training import best_device
from exitprint_studies.population.declare import Spec, Tampered, Trained, architecture_of, source
from exitprint_studies.population.store import Store

USUAL_IMAGES = 50_000
CALIBRATION_SHARE = 0.1
FORWARD_AND_BACKWARD = 3.0
PGD_STEP = 2.0
GUESSED_FLOPS_PER_SECOND = {"cpu": 2e10, "cuda": 2e12}
"""Of one core, and of a GPU whose time goes into starting kernels."""
POLICY_BYTES = 100


def passes(spec: Spec) -> float:
    """Forward passes over the training images that making this network costs; a backward pass counts as two."""
    if isinstance(spec, Trained):
        return spec.recipe.backbone.epochs * FORWARD_AND_BACKWARD + spec.recipe.heads.views + CALIBRATION_SHARE
    if not isinstance(spec, Tampered):
        return CALIBRATION_SHARE
    given = parameter_model(spec.kind).model_validate(spec.parameters).model_dump()
    share, epochs = given.get("share", 1.0), given.get("epochs", 0)
    training = epochs * share * (FORWARD_AND_BACKWARD + PGD_STEP * given.get("steps", 0))
    new_heads = share if spec.kind in ("retrain-exits", "add-exits") or given.get("retrain_heads") else 0.0
    return training + new_heads + CALIBRATION_SHARE


def estimated_seconds(missing: Iterable[Spec], known: Iterable[Spec], store: Store) -> tuple[float, bool]:
    """CPU seconds to make `missing`, and whether that rests on `known` networks of this store or on a guess."""
    measured: dict[str, list[tuple[float, float]]] = {}
    for spec in known:
        seconds = store.seconds(spec.key)
        if seconds is not None:
            measured.setdefault(_label(spec), []).append((_flops(spec), seconds))
    everything = [pair for pairs in measured.values() for pair in pairs]
    guess = GUESSED_FLOPS_PER_SECOND[best_device().type]
    total = 0.0
    for spec in missing:
        pairs = measured.get(_label(spec)) or everything
        speed = sum(f for f, _ in pairs) / sum(s for _, s in pairs) if pairs else guess
        total += _flops(spec) / speed
    return total, bool(everything)


def estimated_bytes(spec: Spec) -> int:
    """Size of the network's file."""
    if not isinstance(spec, Trained | Tampered):
        return POLICY_BYTES
    weights = _parameters(architecture_of(spec))
    return weights if isinstance(spec, Tampered) and spec.kind == "quantise" else 4 * weights


def _label(spec: Spec) -> str:
    kind = spec.kind if isinstance(spec, Tampered) else spec.spec
    return f"{architecture_of(spec).family} {kind}"


def _flops(spec: Spec) -> float:
    return passes(spec) * (source(spec).limit or USUAL_IMAGES) * _network_flops(architecture_of(spec))


@cache
def _network_flops(arch: Architecture) -> int:
    return exit_flops(_skeleton(arch))[-1]


@cache
def _parameters(arch: Architecture) -> int:
    return sum(parameter.numel() for parameter in _skeleton(arch).parameters())


def _skeleton(arch: Architecture) -> MultiExitNetwork:
    with torch.device("meta"):
        return MultiExitNetwork.build(arch)
