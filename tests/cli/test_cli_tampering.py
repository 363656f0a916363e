"""`exitprint tamper`: everything that the paper's thief does, as a user types it, on digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exitprint.errors import Interrupted
from exitprint.networks import load_network
from exitprint.networks.integer import IntegerLayer

QUICK = '--set=heads={"epochs": 1, "learning_rate": 0.005, "batch": 128}'


@pytest.fixture
def tamper(run: Callable[..., Any], target_file: Path, tmp_path: Path) -> Callable[..., Any]:
    """Tamper with the target, writing copy.safetensors."""

    def call(kind: str, *words: str, network: Path = target_file) -> Any:
        limit = ("--limit", "400")
        done = run("tamper", network, kind, "--data", "digits", *limit, "--out", tmp_path / "copy.safetensors", *words)
        assert done.code == 0, done.err
        return load_network(tmp_path / "copy.safetensors")

    return call


def last(network: Any, step: str) -> dict[str, Any]:
    return next(entry for entry in reversed(network.history) if entry["step"] == step)


def test_changes_of_exits(tamper: Callable[..., Any], tmp_path: Path) -> None:
    whole = tamper("retrain-exits", "--set", "share=0.5", "--seed", "3", QUICK)
    assert last(whole, "exits retrained")["share"] == 0.5 and last(whole, "exits retrained")["seed"] == 3
    assert tamper("remove-exits", "--set", "which=2").num_exits == whole.num_exits - 1
    assert tamper("remove-exits", "--set", "which=0,1").num_exits == whole.num_exits - 2
    sparse = tamper("remove-exits", "--set", "every=2")
    assert sparse.num_exits == whole.num_exits - (whole.num_exits - 1) // 2
    (tmp_path / "copy.safetensors").rename(tmp_path / "sparse.safetensors")
    one = tamper("add-exits", "--set", "stages=1", QUICK, network=tmp_path / "sparse.safetensors")
    assert one.num_exits == sparse.num_exits + 1
    assert tamper("add-exits", QUICK, network=tmp_path / "sparse.safetensors").num_exits == whole.num_exits


@pytest.mark.parametrize(
    ("words", "criterion"),
    [
        (["--set", "rad=15"], "confidence"),
        (["--set", "threshold=0.7"], "confidence"),
        (["--set", "rad=5", "--set", "criterion=entropy"], "entropy"),
    ],
)
def test_changes_of_the_criterion(words: list[str], criterion: str, tamper: Callable[..., Any]) -> None:
    copy = tamper("change-criterion", *words)
    assert copy.policy.criterion == criterion
    if "threshold=0.7" in words:
        assert copy.policy.thresholds == (0.7,)


def test_changes_of_the_backbone_and_combinations(tamper: Callable[..., Any], tmp_path: Path) -> None:
    pruned = tamper("prune", "--set", "rate=0.4", QUICK)
    assert {"pruned", "exits retrained", "calibrated"} <= {entry["step"] for entry in pruned.history}
    (tmp_path / "copy.safetensors").rename(tmp_path / "pruned.safetensors")
    both = tamper("quantise", QUICK, network=tmp_path / "pruned.safetensors")
    assert any(isinstance(module, IntegerLayer) for module in both.modules())
    assert last(both, "pruned")["rate"] == 0.4 and last(both, "quantised")["bits"] == 8


@pytest.mark.parametrize("kind", ["finetune", "adversarial"])
def test_a_series_is_saved_every_so_many_epochs(
    kind: str, run: Callable[..., Any], tamper: Callable[..., Any], target_file: Path, tmp_path: Path
) -> None:
    words = ("tamper", target_file, kind, "--data", "digits", "--limit", "400", "--set", "share=0.3", QUICK)
    out = ("--out", tmp_path / "copy.safetensors")
    done = run(*words, *out, "--set", "epochs=4", "--save-every", "2", "--seed", "1")
    assert done.code == 0 and done.out.count("\n") == 2
    step = {"finetune": "finetuned", "adversarial": "adversarially trained"}[kind]
    for epochs in (2, 4):
        network = load_network(tmp_path / f"copy-{epochs}.safetensors")
        assert sum(entry["epochs"] for entry in network.history if entry["step"] == step) == epochs
    again = ("--set", "epochs=2", "--set", "share=0.3", QUICK, "--seed", "1")
    tamper(kind, *again, network=tmp_path / "copy-2.safetensors")
    assert (tmp_path / "copy.safetensors").read_bytes() == (tmp_path / "copy-4.safetensors").read_bytes()


def test_a_stopped_series_says_where_it_goes_on(
    run: Callable[..., Any], target: Any, target_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_then_stop(*args: Any) -> Any:
        yield 2, target
        raise Interrupted("stopped.")

    monkeypatch.setattr("exitprint.tampering.tamper_in_steps", one_then_stop)
    out = tmp_path / "copy.safetensors"
    done = run("tamper", target_file, "finetune", "--data", "digits", "--out", out, "--save-every", "2")
    assert done.code == 130 and "copy-2.safetensors by the same seed" in done.err


@pytest.mark.parametrize(
    ("kind", "words", "sentence"),
    [
        ("prune", ["--set", "rate=0.2", "--save-every", "2"], "trains no backbone"),
        ("finetune", ["--set", "epochs=5", "--save-every", "2"], "use a multiple"),
        ("finetune", ["--set", "heads={1"], "no JSON"),
        ("finetune", ["--set", "epochs"], "NAME=VALUE"),
        ("remove-exits", ["--set", "which=a"], "which"),
        ("melt", [], "unknown kind"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    kind: str, words: list[str], sentence: str, run: Callable[..., Any], target_file: Path, tmp_path: Path
) -> None:
    done = run("tamper", target_file, kind, "--data", "digits", "--out", tmp_path / "copy.safetensors", *words)
    assert done.code == 2 and sentence in done.err and done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
