"""A module of the user's own, from its weights to verdicts, by the command line."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import exitprint as ep
import user_modules as user
from exitprint.networks import load_network

MODULE = f"{user.__file__}:residual"


def train(digits, seed, path):
    """What the user did long ago: a loop of his own, weights of DataParallel under state_dict."""
    torch.manual_seed(seed)
    module = user.Residual()
    optimiser = torch.optim.Adam(module.parameters())
    pixels, labels = digits.train.x, digits.train.labels
    for epoch in range(10):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - epoch / 10)
        for batch in torch.randperm(len(labels)).split(64):
            loss = F.cross_entropy(module((pixels[batch] - 0.3) / 0.4), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    torch.save({"state_dict": {f"module.{k}": v for k, v in module.state_dict().items()}}, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("own")
    for seed in (0, 1):
        train(digits, seed, folder / f"{seed}.th")
    return folder


def test_wrapped_fingerprinted_and_told_from_an_independent(folder, run):
    given = ("--data", "digits", "--mean", "0.3", "--std", "0.4", "--confidence", "0.9")
    for seed in (0, 1):
        out = folder / f"{seed}.safetensors"
        done = run("wrap", MODULE, "--weights", folder / f"{seed}.th", "--exits", 3, *given, "--out", out)
        assert done.code == 0, done.err
        assert "exits after" in done.out and "blocks.1" in done.out
        without = float(done.out.split("early exits, ")[1].split(" without")[0])
        assert without > 0.85
    target, other = folder / "0.safetensors", folder / "1.safetensors"
    facts = run("info", target, "--json").json
    assert [record["step"] for record in facts["history"]] == ["wrapped", "exits trained", "threshold given"]
    assert facts["architecture"]["stages"][-1]["ends after"] == "head" and facts["exits"] == 4
    for kind in ("retrain-exits", "finetune", "prune"):
        more = {"finetune": ("--set", "epochs=2"), "prune": ("--set", "rate=0.2")}.get(kind, ())
        copy = folder / f"{kind}.safetensors"
        done = run("tamper", target, kind, *more, "--data", "digits", "--keep-policy", "--out", copy)
        assert done.code == 0, done.err
    made = folder / "f.safetensors"
    done = run("fingerprint", target, "--quick", "--data", "digits", "--kind", "paper", "--samples", 40, "--out", made)
    assert done.code == 0, done.err

    def T_N(suspect):
        return ep.measure_t_n(ep.load_fingerprint(made), ep.CostModel(ep.load_network(suspect))).T_N

    retrained, tuned, pruned = (T_N(folder / f"{kind}.safetensors") for kind in ("retrain-exits", "finetune", "prune"))
    assert max(T_N(target), retrained, pruned) < 0.1 and tuned < T_N(other) / 2


def test_a_module_with_exits_keeps_them_and_trains_only_new_ones(tmp_path, digits, run):
    torch.manual_seed(0)
    module = user.several().eval()
    torch.save({"epoch": 12, "model_state_dict": module.state_dict()}, tmp_path / "n.pt")
    given = (f"{user.__file__}:several", "--weights", tmp_path / "n.pt", "--data", "digits", "--limit", 300)
    for exits, printed, steps in (
        ("auto", "exits after stem, middle", ["wrapped", "calibrated"]),
        ("top.0", "exits after stem, middle, top.0", ["wrapped", "exits trained", "calibrated"]),
    ):
        done = run("wrap", *given, "--exits", exits, "--out", tmp_path / "n.safetensors")
        assert done.code == 0, done.err
        assert "3 exits of its own: they are kept" in done.out and printed in done.out
        network = load_network(tmp_path / "n.safetensors")
        own = network.history[0]["exits of its own"]
        assert [record["step"] for record in network.history] == steps and len(own) == 3
        x = digits.test[:5].x
        assert torch.equal(network(x)[:, own], torch.stack(module(x), 1))
    more = ("prune", "--set", "rate=0.2", "--set", "retrain_heads=false", "--data", "digits", "--limit", 300)
    assert run("tamper", tmp_path / "n.safetensors", *more, "--out", tmp_path / "p.safetensors").code == 0
    assert run("info", tmp_path / "p.safetensors").code == 0


@pytest.mark.parametrize(
    ("factory", "more", "leaves"),
    [
        ("several", ("--rule", "confidence > 0.9, 0.5"), {"criterion": "confidence"}),
        ("several", ("--rule", "entropy < 0.5", "--most-confident"), {"criterion": "entropy"}),
        ("Hurried", ("--method", "forward_all", "--threshold", "0.4"), {"thresholds": [0.4]}),
        ("Hurried", ("--set", "fast_inference_mode=False", "--rule", "margin >= 0.25"), {"thresholds": [0.25]}),
        ("InTraining", ("--set", "training=True", "--rule", "patience >= 1"), {"criterion": "patience"}),
        (
            "Catching",
            ("--set", "training=True", "--set", "encoder.training=True", "--threshold", "0.5"),
            {"thresholds": [0.5]},
        ),
        ("several", ("--rule", "confidence > 0.5", "--temperature", "2.5"), {"temperature": 2.5}),
        ("several", ("--rad", "20", "--temperature", "0.5"), {"temperature": 0.5}),
    ],
)
def test_the_owners_rule_and_form_come_along(tmp_path, run, factory, more, leaves):
    given = ("--data", "digits", "--limit", 300, "--out", tmp_path / "n.safetensors")
    done = run("wrap", f"{user.__file__}:{factory}", *more, *given)
    assert done.code == 0, done.err
    policy = load_network(tmp_path / "n.safetensors").policy
    assert "3 exits of its own" in done.out and policy.answer == (
        "most confident" if "--most-confident" in more else "exit"
    )
    assert all(policy.described()[name] == value for name, value in leaves.items())


def test_own_exits_with_thresholds_need_no_labels(tmp_path, digits, run):
    np.save(tmp_path / "own.npy", digits.train.pixels[:200].numpy())
    given = (f"{user.__file__}:several", "--data", tmp_path / "own.npy", "--out", tmp_path / "n.safetensors")
    for more in (("--threshold", 0.1), ("--rule", "entropy < 2")):
        done = run("wrap", *given, *more, "--force")
        assert done.code == 0 and "3 exits of its own" in done.out and "accuracy" not in done.out, done.err
    (tmp_path / "n.safetensors").unlink()
    for more in ((), ("--threshold", 0.1, "--exits", "top.0")):
        done = run("wrap", *given, *more)
        assert done.code == 2 and "labels" in done.err and not (tmp_path / "n.safetensors").exists()


def test_exits_that_only_training_sees_are_pointed_to(tmp_path, run):
    given = ("--data", "digits", "--limit", 300, "--out", tmp_path / "n.safetensors")
    done = run("wrap", f"{user.__file__}:InTraining", "--exits", 1, *given)
    assert "in training the module answers 3 logits: --set training=True keeps those exits" in done.out


def test_a_users_module_does_not_hide_a_package_of_its_name(tmp_path, run, monkeypatch):
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "wave.py").write_text("from user_modules import several\n")
    (tmp_path / "own.py").write_text(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom wave import several\n")
    given = ("--data", "digits", "--limit", 100, "--threshold", 0.9, "--out", tmp_path / "n.safetensors")
    done = run("wrap", f"{tmp_path / 'own.py'}:several", *given)
    assert done.code == 0, done.err
    assert "several" not in vars(importlib.import_module("wave")) and sys.path[-1] == str(tmp_path)


def test_the_same_seed_gives_the_same_file(folder, run):
    for name in ("a", "b"):
        given = ("--weights", folder / "0.th", "--exits", "blocks.0,blocks.2", "--data", "digits", "--limit", 200)
        assert run("wrap", MODULE, *given, "--out", folder / f"{name}.safetensors").code == 0
    assert (folder / "a.safetensors").read_bytes() == (folder / "b.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("factory", "more", "said"),
    [
        ("user_modules", (), "package.module:function"),
        ("user_modules:nothing", (), "no function 'nothing'"),
        ("user_modules:TwoInputs", (), "2 inputs"),
        ("user_modules:EXAMPLES", (), "no function"),
        ("no_such_module:make", (), "No module named"),
        ("missing.py:make", (), "no file"),
        ("torch:rand", (), "cannot be run"),
        ("builtins:dict", (), "gives a dict"),
        ("user_modules:residual", ("--mean", "a,b"), "--mean is numbers"),
        ("user_modules:residual", ("--mean", "1,2"), "1 channels"),
        ("user_modules:residual", ("--exits", "nowhere"), "no submodule"),
        ("user_modules:residual", ("--weights", "missing.pt"), "no file"),
        ("user_modules:Hurried", (), "--set fast_inference_mode=False, --method forward_all"),
        ("user_modules:Catching", (), "--set training=True --set encoder.training=True"),
        ("user_modules:several", ("--temperature", "0"), "temperature above 0"),
        ("user_modules:several", ("--set", "training"), "--set is NAME=VALUE"),
        ("user_modules:several", ("--rule", "confidence < 1"), "inputs leave above"),
        ("user_modules:several", ("--rule", "confidence > 0.9, 0.8, 0.7"), "3 thresholds but the network has 2"),
        ("user_modules:several", ("--rule", "confidence > 0.9", "--threshold", "1"), "--rule says it all"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(run, tmp_path, factory, more, said):
    done = run("wrap", factory, *more, "--data", "digits", "--limit", 100, "--out", tmp_path / "n.safetensors")
    assert done.code == 2 and said in done.err and done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
