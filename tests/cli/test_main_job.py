"""The issue's commands, one after the other, on embedded data."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

import pytest
import torch

from exitprint.data import eight_bit
from exitprint.fingerprints import crafting, thefts
from exitprint.fingerprints.optimise import Crafted
from exitprint.networks import ExitPolicy, save_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory, target, independent):
    folder = tmp_path_factory.mktemp("job")
    save_network(target, folder / "target.safetensors")
    save_network(independent, folder / "independent.safetensors")
    return folder


@pytest.fixture
def paper_file(folder, run):
    path = folder / "owner.fingerprint.safetensors"
    if not path.exists():
        done = run(
            "fingerprint",
            folder / "target.safetensors",
            "--quick",
            "--data",
            "digits",
            "--kind",
            "paper",
            "--out",
            path,
            "--samples",
            40,
        )
        assert done.code == 0 and "of 40 samples" in done.out
    return path


def test_train_writes_a_network_and_the_same_seed_the_same_bytes(run, tmp_path):
    words = ("--arch", "resnet8", "--width", 4, "--data", "digits", "--epochs", 2, "--limit", 400, "--seed", 5)
    for name in ("a", "b"):
        assert run("train", *words, "--out", tmp_path / f"{name}.safetensors").code == 0
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_info_of_a_network(run, folder, target):
    facts = run("info", folder / "target.safetensors", "--json").json
    assert facts["exits"] == 7 and facts["classes"] == 10 and facts["input"] == [1, 8, 8]
    assert facts["thresholds"] == [0.9] * 6
    assert facts["cost"][-1] == 1 and facts["cost"] == sorted(facts["cost"])
    assert facts["architecture"]["family"] == "resnet"
    assert run("info", folder / "target.safetensors").code == 0


def test_info_of_a_fingerprint(run, paper_file):
    facts = run("info", paper_file, "--json").json
    assert facts["kind"] == "paper" and 38 <= facts["samples"] <= 40 and facts["record"]["data"]["name"] == "digits"


@pytest.fixture(scope="module")
def contrast_file(folder, trained, kept_away_file):
    """What it is kept away from are the verifier's references too."""
    for seed in (3, 4):
        save_network(trained(seed), folder / f"reference-{seed}.safetensors")
    return Path(shutil.copy(kept_away_file, folder / "contrast.safetensors"))


@pytest.fixture
def verified(run, folder, contrast_file):
    """`verify` on the cost model's clock."""

    def call(suspect, *words):
        return run("verify", contrast_file, suspect, "--clock", "cost-model", *references(folder), *words)

    return call


def references(folder):
    """The two networks that the verifier knows to be independent."""
    return [word for seed in (3, 4) for word in ("--reference", folder / f"reference-{seed}.safetensors")]


def test_verify_says_derived_with_0_and_independent_with_1(verified, folder):
    own = verified(folder / "target.safetensors", "--json")
    other = verified(folder / "reference-3.safetensors", "--json")
    assert (own.code, own.json["decision"]) == (0, "derived")
    assert (other.code, other.json["decision"]) == (1, "independent")
    for verdict in (own.json, other.json):
        assert {"decision", "share", "p0", "nature", "requests", "seconds", "reason"} <= set(verdict)
    assert other.json["share"] < 0.5 < own.json["p0"] < own.json["share"]
    assert own.json["journal"] is None


def test_verify_says_inconclusive_with_3(verified, target, tmp_path):
    shut = target.copy()
    shut.policy = ExitPolicy(2.0)
    save_network(shut, tmp_path / "shut.safetensors")
    done = verified(tmp_path / "shut.safetensors")
    assert done.code == 3 and "same time for every input" in " ".join(done.out.split())


def test_verify_writes_a_report(verified, folder, tmp_path):
    page = tmp_path / "report.html"
    done = verified(folder / "target.safetensors", "--report", page)
    assert done.code == 0 and "of the pairs" in done.out and "This rests on:" in done.out
    assert "derived" in page.read_text()


def test_tamper_makes_a_copy_that_is_never_independent(run, verified, folder, tmp_path):
    copy = tmp_path / "copy.safetensors"
    done = run(
        "tamper",
        folder / "target.safetensors",
        "prune",
        "--set",
        "rate=0.2",
        "--data",
        "digits",
        "--keep-policy",
        "--out",
        copy,
    )
    assert done.code == 0 and "test accuracy" in done.out
    assert verified(copy).code in (0, 3)
    facts = run("info", copy, "--json").json
    assert 0.2 in [record.get("rate") for record in facts["history"]] and facts["thresholds"] == [0.9] * 6


def test_references_are_said_and_kept(run, folder, tmp_path):
    path = tmp_path / "f.safetensors"
    words = ("--quick", "--data", "digits", "--samples", 20, "--kind", "paper", "--out", path)
    done = run("fingerprint", folder / "target.safetensors", *words, "--reference", folder / "independent.safetensors")
    assert done.code == 0 and "On independent, which is independent" in done.out
    assert "With so few samples no outcome could decide" in done.out
    (reference,) = run("info", path, "--json").json["references"]
    assert reference["name"] == "independent" and reference["recipe"] == "same" and len(reference["share"]) == 1


def test_references_are_trained_by_the_network_s_own_recipe(run, folder, tmp_path):
    little = ("--data", "digits", "--limit", 600)
    network, path = tmp_path / "n.safetensors", tmp_path / "f.safetensors"
    words = ("--arch", "resnet14", "--width", 8, "--epochs", 6, "--seed", 4, "--threshold", 0.9)
    assert run("train", *little, *words, "--out", network).code == 0
    words = (*little, "--samples", 30, "--margin", 0.2, "--threshold", 0.93, "--train-references", 2, "--out", path)
    done = run("fingerprint", network, "--quick", *words)
    files = ["n-reference-5.safetensors", "n-reference-6.safetensors"]
    assert done.code == 0, done.err
    assert done.out.startswith(f"Training {', '.join(files)} by the network's own recipe takes about ")
    assert {each.name for each in tmp_path.iterdir()} == {"f.safetensors", "n.safetensors", *files}
    references = run("info", path, "--json").json["references"]
    assert [(each["name"], each["recipe"]) for each in references] == [
        ("n-reference-5", "same"),
        ("n-reference-6", "same"),
    ]
    assert max(share for each in references for share in each["share"]) < 0.6
    again = run("fingerprint", network, "--quick", *words)
    assert again.code == 0 and "Training" not in again.out
    done = run("fingerprint", folder / "target.safetensors", *words[:-2], "--out", tmp_path / "g.safetensors")
    assert done.code == 2 and "was trained on" in done.err


def test_policies_by_threshold_and_by_share_of_images(run, folder, tmp_path):
    path = tmp_path / "f.safetensors"
    words = ("--quick", "--data", "digits", "--samples", 20, "--threshold", 0.93, "--leave", 0.3, "--out", path)
    assert run("fingerprint", folder / "target.safetensors", *words).code == 0
    policies = run("info", path, "--json").json["record"]["policies"]
    assert [policy["thresholds"] for policy in policies][:2] == [[0.9], [0.93]] and len(policies) == 3


def test_simulated_thefts_are_said_and_kept(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(thefts, "BACKBONES", {"": None})
    monkeypatch.setattr(import_module("exitprint.fingerprints.strength"), "SEEDS", 1)
    path = tmp_path / "f.safetensors"
    words = ("--data", "digits", "--limit", 300, "--samples", 20, "--threshold", 0.93, "--out", path)
    done = run("fingerprint", folder / "target.safetensors", *words)
    assert done.code == 0 and "SDN exits" in done.out and "T_c = 0.900: nothing is promised" in done.out
    table = run("info", path, "--json").json["strength"]
    assert table["samples"] == 20 and table["sizes"] == [20, 100, 200, 400] and len(table["policies"]) == 2
    assert "T_c = 0.900: nothing is promised" in run("info", path).out


def test_a_fingerprint_that_does_not_tell_its_own_network_is_not_written(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(crafting, "optimise", hardly_changed)
    path = tmp_path / "f.safetensors"
    done = run("fingerprint", folder / "target.safetensors", "--data", "digits", "--samples", 20, "--out", path)
    assert done.code == 2 and "does not tell even the network itself" in done.err and not path.exists()


def hardly_changed(network, variable, *rest, **more):
    """Crafting that changes one pixel of each image by one and takes that for enough."""
    samples = eight_bit(variable.images())
    samples[:, 0, 0, 0] ^= 1
    nothing = torch.zeros(len(samples), dtype=torch.long)
    return Crafted(samples, nothing == 0, nothing, 0)
