from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, Prediction, load_network, save_network
from exitprint.suspects import Answer
from exitprint.suspects.suspect import Closing
from exitprint.training import spread_policy
from exitprint_studies.hostile import misbehaving_here

SMALL = ("--data", "digits", "--width", 4, "--epochs", 2)
URL = "http://127.0.0.1:9/v2/models/victim"


class Sleeper:
    """A victim for a server: two exits 25 ms apart, which one depends on the image alone."""

    input_shape = (1, 8, 8)
    classes = 10

    def predict(self, x):
        exits = exit_of(x)
        time.sleep(0.025 * float((1 + exits).sum()))
        return Prediction(exits, probabilities_of(exits), exits)


class Scripted(Closing):
    """A victim without a server: three exits on a clock that is quiet, made up; it can fail."""

    def __init__(self, labels_only=False):
        self.asked, self.labels_only, self.fails_after = 0, labels_only, None
        self.rng = np.random.default_rng(0)

    def ask(self, x):
        if self.asked == self.fails_after:
            raise ExitprintError("the server is gone.")
        self.asked += 1
        exits = exit_of(x, 3)
        seconds = 1 + exits.double().numpy() + 0.02 * self.rng.standard_normal(len(x))
        return Answer(seconds, "measured", exits.numpy(), None if self.labels_only else probabilities_of(exits).numpy())


def exit_of(x, exits=2):
    return (x * 255).round().sum((1, 2, 3)).long() % exits


def probabilities_of(labels):
    return torch.nn.functional.one_hot(labels, 10).float() * 0.9 + 0.01


@pytest.fixture
def scripted(monkeypatch):
    """`open_suspect` opens this victim, whatever the address."""

    def put(victim):
        monkeypatch.setattr("exitprint.suspects.open_suspect", lambda argument, **options: victim)
        return victim

    return put


@pytest.fixture
def victim_file(tmp_path, target, digits):
    victim = target.copy()
    victim.policy = spread_policy(target, digits.calibration, 0.85)
    save_network(victim, tmp_path / "victim.safetensors")
    return tmp_path / "victim.safetensors"


def test_a_substitute_out_of_a_file(run, victim_file, tmp_path):
    out = tmp_path / "substitute.safetensors"
    done = run("steal", victim_file, *SMALL, "--queries", 300, "--clock", "cost-model", "--out", out, "--json")
    assert done.code == 0
    said = done.json
    network = load_network(out)
    assert network.num_exits == said["exits"] == said["estimate"]["exits"] > 4
    assert list(network.policy.thresholds) == pytest.approx(said["thresholds"])
    assert network.architecture.family == "resnet" and network.architecture.width == 4
    assert 0 < said["exit_agreement"] <= 1 and 0 < said["fidelity"] <= 1
    assert network.history[0]["data"] == "digits"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["substitute.safetensors", "victim.safetensors"]


def test_without_a_number_all_images_are_asked_where_there_are_fewer_than_usual(run, victim_file, tmp_path):
    out = tmp_path / "substitute.safetensors"
    words = ("steal", victim_file, *SMALL, "--epochs", 1, "--clock", "cost-model", "--out", out)
    done = run(*words)
    assert done.code == 0 and "1297 images asked" in done.out and load_network(out).num_exits > 4
    refused = run(*words, "--queries", 2000)
    assert refused.code == 2 and "there are 1297 images to ask with, and not 2000" in refused.err


def test_a_substitute_out_of_a_served_network_with_jitter(run, tmp_path):
    out = tmp_path / "substitute.safetensors"
    with misbehaving_here(Sleeper(), "jitter", 3) as url:
        done = run("steal", url, *SMALL, "--queries", 50, "--repeats", 6, "--out", out)
    assert done.code == 0 and "2 exits" in done.out
    assert load_network(out).num_exits == 2
    assert [p.name for p in tmp_path.iterdir()] == ["substitute.safetensors"]


def test_what_was_paid_for_is_kept_when_nothing_can_be_made_of_it(run, tmp_path, scripted):
    out, victim = tmp_path / "substitute.safetensors", scripted(Scripted())
    words = ("steal", URL, *SMALL, "--queries", 60, "--out", out)
    refused = run(*words, "--arch", "msdnet", "--depth", 2, "--width", 4)
    assert refused.code == 2 and "do not fit" in refused.err and "--resume asks nothing of it again" in refused.err
    asked = victim.asked
    assert run(*words, "--resume").code == 0 and victim.asked == asked


@pytest.mark.parametrize("after", [1, 40, 110])
def test_a_server_that_fails_midway_is_not_paid_twice(run, tmp_path, scripted, after):
    out, victim = tmp_path / "substitute.safetensors", scripted(Scripted())
    victim.fails_after = after
    words = ("steal", URL, *SMALL, "--queries", 60, "--out", out)
    cut = run(*words)
    assert cut.code == 2 and f"{after} answers are kept" in cut.err and "--resume" in cut.err
    assert "Traceback" not in cut.err and not out.exists()
    assert "--resume" in run(*words).err and victim.asked == after
    victim.fails_after = None
    assert run(*words, "--resume").code == 0
    assert victim.asked == 20 + 2 * 60 and load_network(out).num_exits == 3
    assert [p.name for p in tmp_path.iterdir()] == ["substitute.safetensors"]


def test_labels_only_and_a_journal_that_is_used_again(run, tmp_path, scripted):
    out, journal, victim = tmp_path / "substitute.safetensors", tmp_path / "answers", scripted(Scripted(True))
    words = ("steal", URL, *SMALL, "--queries", 60, "--journal", journal, "--out", out)
    assert run("probe", URL, "--data", "digits", "--queries", 60, "--journal", journal).code == 0
    asked = victim.asked
    assert run(*words, "--resume").code == 0
    assert victim.asked == asked and journal.exists() and load_network(out).num_exits == 3
    assert "another inquiry" in run(*words, "--resume", "--seed", 1).err


def test_constant_time_is_told_and_the_function_alone_can_be_stolen(run, target, tmp_path):
    shut = target.copy()
    shut.policy = ExitPolicy(2.0)
    save_network(shut, tmp_path / "shut.safetensors")
    words = ("steal", tmp_path / "shut.safetensors", *SMALL, "--queries", 100, "--clock", "cost-model",
             "--out", tmp_path / "s.safetensors")  # fmt: skip
    refused = run(*words)
    assert refused.code == 2 and "--function-only" in refused.err and not (tmp_path / "s.safetensors").exists()
    done = run(*words, "--function-only")
    assert done.code == 0 and "one exit" in done.out
    assert load_network(tmp_path / "s.safetensors").num_exits == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--queries", 30), "too few to learn from"),
        (("--queries", 100, "--arch", "resnet8"), "do not fit"),
        (("--queries", 100, "--arch", "lenet"), "unknown architecture"),
        (("--queries", 100, "--epochs", 0), "epochs"),
    ],
)
def test_bad_input_is_one_sentence(run, victim_file, tmp_path, words, says):
    done = run("steal", victim_file, *SMALL, *words, "--clock", "cost-model", "--out", tmp_path / "s.safetensors")
    assert done.code == 2 and says in done.err and "Traceback" not in done.err
    assert not (tmp_path / "s.safetensors").exists()
