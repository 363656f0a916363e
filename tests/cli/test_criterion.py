"""The rule by which inputs leave is the owner's choice, and what follows keeps to it."""

from __future__ import annotations

import pytest

import user_modules as user
from exitprint.networks import load_network
from exitprint.networks.policy import patience_threshold

LITTLE = ("--data", "digits", "--limit", 300)
NETWORK = ("--arch", "resnet8", "--width", 8, "--epochs", 3, "--data", "digits")


@pytest.mark.parametrize(
    ("criterion", "threshold"),
    [("confidence", 0.9), ("entropy", 0.7), ("margin", 0.8), ("patience", patience_threshold(2))],
)
def test_a_network_leaves_and_is_fingerprinted_by_the_criterion_it_was_trained_for(run, tmp_path, criterion, threshold):
    path, made = tmp_path / "n.safetensors", tmp_path / "f.safetensors"
    words = ("--criterion", criterion, "--threshold", threshold)
    done = run("train", *NETWORK, *words, "--out", path)
    assert done.code == 0, done.err
    facts = run("info", path, "--json").json
    assert facts["criterion"] == criterion and set(facts["thresholds"]) == {threshold}
    assert facts["history"][-1] == {"step": "threshold given", "threshold": threshold, "criterion": criterion}
    done = run(
        "fingerprint",
        path,
        "--quick",
        "--data",
        "digits",
        "--kind",
        "contrast",
        "--samples",
        8,
        "--rad",
        5,
        "--margin",
        0.5,
        "--out",
        made,
    )
    assert done.code == 0 or "change these images" in done.err, done.err
    done = run("fingerprint", path, "--quick", "--data", "digits", "--kind", "paper", "--samples", 8, "--out", made)
    assert done.code == 0, done.err
    assert run("info", made, "--json").json["record"]["policy"]["criterion"] == criterion


def test_without_a_threshold_one_is_calibrated_for_the_criterion(run, tmp_path):
    module = f"{user.__file__}:residual"
    path = tmp_path / "n.safetensors"
    done = run("wrap", module, "--exits", 2, *LITTLE, "--criterion", "margin", "--rad", 1, "--out", path)
    assert done.code == 0 and "(margin)" in done.out, done.err
    network = load_network(path)
    assert network.policy.criterion == "margin"
    assert network.history[-1] == {"step": "calibrated", "rad": 1, "criterion": "margin"}


def test_a_wrapped_module_leaves_at_the_threshold_given(run, tmp_path):
    path = tmp_path / "n.safetensors"
    words = ("--exits", 2, *LITTLE, "--criterion", "entropy", "--threshold", 0.4)
    assert run("wrap", f"{user.__file__}:residual", *words, "--out", path).code == 0
    assert (load_network(path).policy.criterion, load_network(path).policy.thresholds) == ("entropy", (0.4,))


@pytest.mark.parametrize("verb", [("train",), ("wrap", f"{user.__file__}:residual")])
def test_an_unknown_criterion_is_said(run, tmp_path, verb):
    done = run(*verb, *LITTLE, "--criterion", "mood", "--out", tmp_path / "n.safetensors")
    assert done.code == 2 and "mood" in done.err and "entropy" in done.err
    assert list(tmp_path.iterdir()) == []
