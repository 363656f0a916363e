"""`verify` at an address: a real server in another process, hostile operators, kills and Ctrl-C in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from exitprint.errors import ExitprintError
from exitprint.fingerprints import contrast_fingerprint, save_fingerprint, verify_sequentially
from exitprint.networks import save_network
from exitprint.serving import running
from exitprint.serving.hostile import misbehaving_here
from exitprint.suspects import KServeSuspect

STEP = 0.002


@pytest.fixture(scope="module")
def contrast(target, digits):
    return contrast_fingerprint(target, digits.test, [target.policy], samples=60, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, target, independent, contrast):
    folder = tmp_path_factory.mktemp("remote")
    save_network(target, folder / "stolen.safetensors")
    save_network(independent, folder / "other.safetensors")
    save_fingerprint(contrast, folder / "f.safetensors")
    return folder


class Slow:
    """A network that sleeps two milliseconds at each exit before it answers, however busy the machine is.

    It remembers every image that it was asked.
    """

    def __init__(self, network):
        self.input_shape, self.classes = network.input_shape, network.classes
        self._network = network
        self.asked: list[bytes] = []

    def predict(self, x):
        self.asked += [image.numpy().tobytes() for image in x]
        prediction = self._network.predict(x)
        time.sleep(STEP * float((prediction.exits + 1).sum()))
        return prediction


@pytest.mark.parametrize(("name", "decision", "code"), [("stolen", "derived", 0), ("other", "independent", 1)])
def test_a_real_server_in_another_process(run, folder, name, decision, code):
    page = folder / f"{name}.html"
    with running(folder / f"{name}.safetensors") as url:
        done = run("verify", folder / "f.safetensors", url, "--json", "--report", page, "--amplification", 4)
    assert (done.code, done.json["decision"]) == (code, decision), done.json["reason"]
    assert {"decision", "t_n", "threshold", "requests", "seconds", "reason", "e_value", "p_value"} <= set(done.json)
    assert done.json["requests"] <= 2000 and done.json["bytes"] > 0 and 0 < done.json["floor"] < 1
    text = page.read_text()
    assert "How the evidence grew" in text and "at most 0.001 for a false claim" in text
    assert not list(folder.glob(".*.journal"))


def test_error_rates_budget_and_rate_are_kept(run, folder, target):
    with misbehaving_here(Slow(target), "constant-time", 5) as url:
        start = time.monotonic()
        done = run("verify", folder / "f.safetensors", url, "--alpha", 0.01, "--budget", 90, "--rate", 60)
        assert time.monotonic() - start > 89 / 60
    assert done.code == 3 and "90 requests" in done.out
    assert len(list(folder.glob(".f.safetensors.*.journal"))) == 1


def test_in_process_when_asked_for(run, folder):
    words = (folder / "f.safetensors", folder / "stolen.safetensors", "--clock", "cost-model", "--json")
    asked = run("verify", *words, "--alpha", 0.01).json
    assert asked["decision"] == "derived" and asked["e_value"] >= 100 and asked["requests"] < 100
    assert run("verify", *words).json["e_value"] is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--repeats", 3), "leave out --repeats"),
        (("--budget", 10), "allow at least 50"),
        (("--alpha", 2), "alpha must lie strictly between 0 and 1"),
        (("--rate", -1), "must be positive"),
    ],
)
def test_what_does_not_go_together_is_said(run, folder, target, words, why):
    with misbehaving_here(target) as url:
        done = run("verify", folder / "f.safetensors", url, *words)
    assert done.code == 2 and why in done.err and done.err.count("\n") == 1


def test_a_rate_needs_an_address(run, folder):
    done = run("verify", folder / "f.safetensors", folder / "stolen.safetensors", "--rate", 5)
    assert done.code == 2 and "leave out --rate" in done.err


@contextmanager
def started(*words: object) -> Iterator[subprocess.Popen[str]]:
    """`exitprint verify` in a process of its own, which does not outlive the block."""
    command = [sys.executable, "-m", "exitprint", "verify", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_lines(process: subprocess.Popen[str], journal: Path, lines: int) -> None:
    while not journal.exists() or journal.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def answered(journal: Path) -> list[tuple[str, int]]:
    """Inputs in a journal, in the order of asking, without the cheapest requests."""
    lines = [json.loads(line) for line in journal.read_bytes().splitlines()[1:]]
    return [(line["kind"], line["index"]) for line in lines if line["kind"] != "floor"]


def test_kill_9_and_resume_gives_the_same_verdict_and_asks_nothing_again(folder, contrast, target, tmp_path):
    rng = np.random.default_rng(0)
    late = contrast.late
    images = {"late": contrast.x[late], "early": contrast.x[~late], "benign": contrast.benign}
    network = Slow(target)
    with misbehaving_here(network) as url:
        whole = verify_sequentially(contrast, KServeSuspect(url), journal=tmp_path / "whole")
        journal, network.asked = tmp_path / "j", []
        words = (folder / "f.safetensors", url, "--journal", journal, "--resume", "--json")
        for lines in sorted(rng.choice(np.arange(1, 38), size=3, replace=False)):
            with started(*words) as process:
                wait_for_lines(process, journal, lines)
                process.send_signal(signal.SIGKILL)
        with started(*words) as process:
            verdict = json.loads(process.communicate()[0])
    assert verdict["decision"] == whole.decision == "derived"
    inputs = answered(journal)
    assert inputs[: len(answered(tmp_path / "whole"))] == answered(tmp_path / "whole")[: len(inputs)]
    seen = list(network.asked)
    for kind, index in inputs:
        seen.remove(images[kind][index].numpy().tobytes())
    assert len(seen) <= 3  # at most one in flight at each kill


def test_ctrl_c_says_how_to_go_on_and_going_on_works(folder, target):
    with misbehaving_here(Slow(target)) as url:
        words = (folder / "f.safetensors", url, "--seed", 7)
        with started(*words) as process:
            while not (journals := list(folder.glob(".f.safetensors.*.journal"))):
                assert process.poll() is None
                time.sleep(0.001)
            wait_for_lines(process, journals[0], 12)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
        assert process.returncode == 2 and out == ""
        assert "--resume" in err and err.count("\n") == 1 and "Traceback" not in err
        with started(*words, "--resume", "--json") as process:
            verdict = json.loads(process.communicate()[0])
    assert verdict["decision"] == "derived" and not journals[0].exists()


@pytest.fixture(autouse=True)
def no_journals_left(folder):
    """Tests share the folder, and not what an undecided verification keeps there."""
    yield
    for left in folder.glob(".*.journal"):
        left.unlink()


RIGHT, ANY, ERROR = "right", "right or inconclusive", "error"
OPERATORS = {
    "none": (None, RIGHT),
    "constant-time": (25, "inconclusive: answers in constant time"),
    "uniform-delay": (20, ANY),
    "jitter": (2, RIGHT),
    "heavy-tail": (2, RIGHT),
    "cache": (None, ANY),
    "load": (50, ANY),
    "slow-start": (3, RIGHT),
    "rate-limit": (80, RIGHT),
    "cut": (10, RIGHT),
    "restart": (30, RIGHT),
    "jpeg": (75, "no false claim"),
    "resize": (75, "no false claim"),
    "wrong-shape": (None, "error: shape"),
    "nan": (None, "error: NaN"),
    "redirect": (None, "error: redirects to"),
    "huge": (None, "error: more than 64 MiB"),
    "endless": (None, "error: more than 64 MiB"),
    "drip": (100, "error: did not answer within"),
    "silent": (None, "error: did not answer within"),
}


@pytest.mark.parametrize("truth", ["derived", "independent"])
@pytest.mark.parametrize("trouble", OPERATORS)
def test_no_operator_brings_about_a_wrong_verdict(contrast, target, independent, trouble, truth):
    amount, expected = OPERATORS[trouble]
    network = Slow(target if truth == "derived" else independent)
    patient = 0.3 if expected.startswith("error: did not") else 20
    try:
        with misbehaving_here(network, trouble, amount) as url:
            suspect = KServeSuspect(url, timeout=patient, patience=patient)
            verdict = verify_sequentially(contrast, suspect, budget=160)
    except ExitprintError as error:
        assert expected.startswith("error: ") and expected.removeprefix("error: ") in str(error)
        return
    assert verdict.requests == suspect.requests <= 160
    if expected == RIGHT:
        assert verdict.decision == truth
    elif expected == ANY:
        assert verdict.decision in (truth, "inconclusive")
    elif expected == "no false claim":
        assert verdict.decision != "derived" or truth == "derived"
    else:
        assert verdict.decision == "inconclusive" and expected.removeprefix("inconclusive: ") in verdict.reason
