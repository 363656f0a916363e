"""Conferrable adversarial examples: copies give the expected labels, independent networks do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.files import save_tensors
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.suspects import Answer, CallableSuspect, CostModel
from exitprint.tampering import tamper
from exitprint_studies.conferrable import (
    LabelFingerprint,
    conferrability,
    conferrable_fingerprint,
    craft_conferrable,
    load_labels,
    save_labels,
    share_of_labels,
)

STEPS = 60


@pytest.fixture(scope="module")
def surrogate(target: MultiExitNetwork, digits: ImageData) -> MultiExitNetwork:
    return tamper(target, digits, "finetune", {"epochs": 1, "share": 0.5, "retrain_heads": False}, seed=1)


@pytest.fixture(scope="module")
def fingerprint(
    target: MultiExitNetwork,
    surrogate: MultiExitNetwork,
    trained: Callable[[int], MultiExitNetwork],
    digits: ImageData,
) -> LabelFingerprint:
    return conferrable_fingerprint(target, [surrogate], [trained(2)], digits.test, 30, steps=STEPS, epsilon=0.2)


def final(network: MultiExitNetwork) -> CostModel:
    """A suspect that always answers at its last exit."""
    copy = network.copy()
    copy.policy = ExitPolicy(2.0)
    return CostModel(copy)


def test_copies_give_the_expected_labels_and_others_do_not(
    fingerprint: LabelFingerprint, target: MultiExitNetwork, independent: MultiExitNetwork, digits: ImageData
) -> None:
    stolen = tamper(target, digits, "finetune", {"epochs": 1, "share": 0.5, "retrain_heads": False}, seed=7)
    assert share_of_labels(fingerprint, final(target)) == 1
    assert share_of_labels(fingerprint, final(stolen)) > 0.8
    assert share_of_labels(fingerprint, final(independent)) < 0.6


def test_the_most_conferrable_are_kept_within_the_bound(
    fingerprint: LabelFingerprint,
    target: MultiExitNetwork,
    surrogate: MultiExitNetwork,
    trained: Callable[[int], MultiExitNetwork],
    digits: ImageData,
) -> None:
    everything = conferrable_fingerprint(target, [surrogate], [trained(2)], digits.test, 60, steps=5, epsilon=0.2)
    fewer = conferrable_fingerprint(target, [surrogate], [trained(2)], digits.test, 20, steps=5, epsilon=0.2)
    assert len(everything.samples) == 60 and len(fewer.samples) == 20
    change = (fingerprint.samples.int() - fingerprint.originals.int()).abs()
    assert change.amax() <= 0.2 * 255 + 1 and (fingerprint.l2 > 0).all()
    assert fingerprint.conferrability.mean() > 0.5


def test_the_same_seed_gives_the_same_images(
    target: MultiExitNetwork, surrogate: MultiExitNetwork, independent: MultiExitNetwork, digits: ImageData
) -> None:
    x = digits.test[:4].x
    first, again, other = (
        craft_conferrable(target, [surrogate, target], [independent], x, steps=8, seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    unchanged = craft_conferrable(target, [surrogate], [independent], x, steps=1, epsilon=1e-9)
    assert torch.equal(unchanged, digits.test.pixels[:4])


@given(st.integers(0, 1000))
def test_conferrability_lies_between_nothing_and_what_surrogates_say(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    surrogates, references = (torch.randn(5, 3, generator=generator).softmax(1) for _ in range(2))
    score = conferrability(surrogates, references)
    assert score.shape == (5, 3) and (score >= 0).all() and (score <= surrogates).all()
    assert torch.equal(conferrability(surrogates, torch.zeros(5, 3)), surrogates)


def test_a_file_keeps_everything(fingerprint: LabelFingerprint, tmp_path: Path) -> None:
    paths = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_labels(fingerprint, paths[0])
    again = load_labels(paths[0])
    assert all(
        torch.equal(getattr(fingerprint, part), getattr(again, part))
        for part in ("samples", "originals", "labels", "conferrability")
    )
    assert again.record == fingerprint.record
    save_labels(again, paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("damage", ["missing", "shape"])
def test_an_incomplete_file_is_refused(fingerprint: LabelFingerprint, tmp_path: Path, damage: str) -> None:
    parts = {part: getattr(fingerprint, part) for part in ("samples", "originals", "labels", "conferrability")}
    if damage == "missing":
        del parts["labels"]
    else:
        parts["labels"] = parts["labels"][1:]
    save_tensors(tmp_path / "bad.safetensors", "label fingerprint", {"record": {}}, parts)
    with pytest.raises(ExitprintError, match="get a whole copy"):
        load_labels(tmp_path / "bad.safetensors")


def test_bad_input_is_refused(
    fingerprint: LabelFingerprint, target: MultiExitNetwork, independent: MultiExitNetwork, digits: ImageData
) -> None:
    with pytest.raises(ExitprintError, match="at least one surrogate"):
        conferrable_fingerprint(target, [], [independent], digits.test)
    with pytest.raises(ExitprintError, match="ask for fewer"):
        conferrable_fingerprint(target, [target], [independent], digits.test, 10_000)
    with pytest.raises(ExitprintError, match="gives none"):
        share_of_labels(fingerprint, CallableSuspect(lambda x: None))


def test_the_share_counts_expected_labels(fingerprint: LabelFingerprint) -> None:
    class Half:
        def ask(self, x: torch.Tensor) -> Answer:
            labels = fingerprint.labels.numpy().copy()
            labels[: len(labels) // 2] += 1
            return Answer(np.zeros(len(x)), "cost-model", labels)

    assert share_of_labels(fingerprint, Half()) == 0.5
