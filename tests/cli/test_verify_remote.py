"""`verify` at an address: a real server in another process, hostile operators, kills and Ctrl-C in the middle."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from behaviour import EXIT, EXITS, KNOWN, Sleeper, behaviour, crafted, key
from commands import Started
from exitprint.errors import ExitprintError
from exitprint.fingerprints import load_fingerprint, save_fingerprint, verify
from exitprint.fingerprints.verify import inputs
from exitprint.networks import save_network
from exitprint.serving import running
from exitprint.suspects import CostModel, KServeSuspect
from exitprint_studies.hostile import misbehaving_here

MADE_UP = crafted("contrast")
"""A fingerprint of noise, for servers that are slow and quick on it as networks are, however busy the machine is."""


def asleep(truth: str) -> Sleeper:
    """A copy's or an independent network's times on the made-up fingerprint."""
    return Sleeper(behaviour(MADE_UP, copy=truth == "derived"))


@pytest.fixture(scope="module")
def contrast(kept_away_file):
    return load_fingerprint(kept_away_file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, target, trained, contrast):
    """The independent network is one that the fingerprint was kept away from: its verdict is clear on any processor."""
    folder = tmp_path_factory.mktemp("remote")
    save_network(target, folder / "stolen.safetensors")
    save_network(trained(3), folder / "other.safetensors")
    save_network(trained(4), folder / "another.safetensors")
    save_fingerprint(contrast, folder / "f.safetensors")
    save_fingerprint(MADE_UP, folder / "made-up.safetensors")
    return folder


def known(folder: Path) -> list[object]:
    """The two networks that the verifier knows to be independent."""
    return [word for name in ("other", "another") for word in ("--reference", folder / f"{name}.safetensors")]


class Slow:
    """A network that sleeps at each exit before it answers, so that its exits are apart on a busy machine too."""

    def __init__(self, network):
        self.input_shape, self.classes = network.input_shape, network.classes
        self._network = network

    def predict(self, x):
        prediction = self._network.predict(x)
        time.sleep(2 * EXIT * float((prediction.exits + 1).sum()))
        return prediction


@pytest.mark.parametrize(("name", "decision", "code"), [("stolen", "derived", 0), ("other", "independent", 1)])
def test_a_real_server_in_another_process(run, folder, name, decision, code):
    page = folder / f"{name}.html"
    with running(folder / f"{name}.safetensors") as url:
        words = ("--json", "--report", page, "--amplification", 256, *known(folder))
        done = run("verify", folder / "f.safetensors", url, *words)
    assert (done.code, done.json["decision"]) == (code, decision), done.json["reason"]
    assert {"decision", "share", "p0", "nature", "requests", "seconds", "reason", "e_value"} <= set(done.json)
    assert done.json["bytes"] > 0 and 0 < done.json["floor"] < 1
    text = page.read_text()
    assert "How the evidence grew" in text and "at most 0.001 for a false claim" in text
    assert Path(done.json["journal"]).exists() and done.json["journal"] in text


def test_in_onnx_runtime(run, folder):
    assert run("export", folder / "stolen.safetensors", "--out", folder / "stolen.onnx").code == 0
    done = run("verify", folder / "f.safetensors", folder / "stolen.onnx", "--json", *known(folder))
    assert done.json["decision"] in ("derived", "inconclusive") and done.json["clock"] == "measured", done.json[
        "reason"
    ]


def test_error_rates_budget_and_rate_are_kept(run, folder):
    with misbehaving_here(Sleeper({})) as url:
        words = (folder / "made-up.safetensors", url, "--alpha", 0.01, "--beta", 1e-6)
        start = time.monotonic()
        done = run("verify", *words, "--budget", 70, "--rate", 50)
        assert time.monotonic() - start > 69 / 50
    assert done.code == 3 and "70 requests" in done.out
    assert len(list(folder.glob("made-up-*-1.journal"))) == 1


def test_in_process_and_on_the_cost_model_it_is_the_same_test(run, folder):
    words = (folder / "f.safetensors", folder / "stolen.safetensors", "--json", "--alpha", 0.01, *known(folder))
    computed = run("verify", *words, "--clock", "cost-model").json
    assert computed["decision"] == "derived" and computed["e_value"] >= 100 and computed["requests"] < 200
    assert computed["journal"] is None
    measured = run("verify", *words).json
    assert measured["decision"] in ("derived", "inconclusive") and Path(measured["journal"]).exists()


def test_every_try_keeps_a_journal_of_its_own(run, folder):
    with misbehaving_here(asleep("derived")) as url:
        words = (folder / "made-up.safetensors", url, "--json", "--seed", 5, "--alpha", 0.02)
        first, again = (run("verify", *words).json["journal"] for _ in range(2))
        assert first.endswith("-1.journal") and again.endswith("-2.journal")
        assert run("verify", *words, "--resume").json["journal"] == again


@pytest.mark.parametrize(
    ("words", "why"),
    [
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


def killed(words: tuple[object, ...], journal: Path, lines: int, seconds: float) -> bool:
    """Run `exitprint` in a process of its own, and kill it so long after its journal holds so many lines.

    Says whether it was still running then: on a busy machine it may need fewer requests than it did before.
    """
    process = Started(*words)
    while not journal.exists() or journal.read_bytes().count(b"\n") < lines:
        if not process.runs():
            assert process.ended().code in (0, 1)  # derived, independent
            return False
        time.sleep(0.0005)
    time.sleep(seconds)
    process.send(signal.SIGKILL)
    return process.ended().code == -signal.SIGKILL


def answered(journal: Path) -> list[tuple[str, int]]:
    """Inputs in a journal, in the order of asking, without the cheapest requests."""
    lines = [json.loads(line) for line in journal.read_bytes().splitlines()[1:]]
    return [(line["kind"], line["index"]) for line in lines if line["kind"] != "floor"]


@pytest.mark.parametrize("truth", ["derived", "independent"])
def test_kill_9_at_two_moments_and_resume_gives_the_same_verdict_and_asks_nothing_again(run, folder, truth, tmp_path):
    rng = np.random.default_rng(0)
    images = inputs(MADE_UP)
    network = asleep(truth)
    with misbehaving_here(network) as url:
        whole = verify(MADE_UP, KServeSuspect(url), journal=tmp_path / "whole", alpha=0.02)
        journal, network.asked = tmp_path / "j", []
        words = (folder / "made-up.safetensors", url, "--journal", journal, "--alpha", 0.02, "--resume", "--json")
        lines = len(answered(tmp_path / "whole"))
        moments = sorted(rng.choice(np.arange(lines // 4), size=2, replace=False))
        kills = [killed(("verify", *words), journal, int(at), rng.uniform(0, 2 * EXIT * EXITS)) for at in moments]
        verdict = run("verify", *words).json
    assert any(kills) and verdict["decision"] == whole.decision == truth
    seen = list(network.asked)
    for kind, index in answered(journal):
        seen.remove(key(images[kind][index]))
    assert len(seen) <= 2  # one in flight at each kill


def test_ctrl_c_says_how_to_go_on_and_going_on_works(run, folder):
    with misbehaving_here(asleep("derived")) as url:
        words = (folder / "made-up.safetensors", url, "--seed", 7, "--alpha", 0.02)
        process = Started("verify", *words)
        while sum(each.read_bytes().count(b"\n") for each in folder.glob("made-up-*.journal")) < 12:
            assert process.runs()
            time.sleep(0.001)
        process.send(signal.SIGINT)
        done = process.ended()
        assert done.code == 130 and done.out == ""
        assert "--resume" in done.err and done.err.count("\n") == 1 and "Traceback" not in done.err
        assert run("verify", *words, "--resume", "--json").json["decision"] == "derived"


@pytest.fixture(autouse=True)
def no_journals_left(folder):
    """Tests share the folder, and not what an undecided verification keeps there."""
    yield
    for left in folder.glob("*.journal"):
        left.unlink()


RIGHT, ANY = "right", "right or inconclusive"
OPERATORS = {
    "none": (None, RIGHT),
    "constant-time": (50, "inconclusive"),
    "uniform-delay": (20, ANY),
    "jitter": (3, RIGHT),
    "heavy-tail": (3, RIGHT),
    "cache": (None, ANY),
    "load": (5, ANY),
    "slow-start": (2, RIGHT),
    "rate-limit": (80, RIGHT),
    "cut": (10, RIGHT),
    "restart": (30, RIGHT),
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
def test_no_operator_brings_about_a_wrong_verdict(trouble, truth):
    amount, expected = OPERATORS[trouble]
    patient = 0.3 if expected.startswith("error: did not") else 20
    budget = 1000 if expected == RIGHT else 110
    try:
        with misbehaving_here(asleep(truth), trouble, amount) as url:
            suspect = KServeSuspect(url, timeout=patient, patience=patient)
            verdict = verify(MADE_UP, suspect, budget=budget, references=KNOWN)
    except ExitprintError as error:
        assert expected.startswith("error: ") and expected.removeprefix("error: ") in str(error)
        return
    assert verdict.requests == suspect.requests <= budget
    if expected == RIGHT:
        assert verdict.decision == truth
    elif expected == ANY:
        assert verdict.decision in (truth, "inconclusive")
    else:
        assert verdict.decision == "inconclusive"
        assert "constant time" in verdict.reason or "noise hides most" in verdict.reason  # on a busy machine


@pytest.mark.parametrize(("trouble", "amount"), [("jpeg", 75), ("resize", 75)])
def test_images_altered_on_the_way_are_never_a_false_claim(contrast, target, independent, trained, trouble, amount):
    references = {str(seed): CostModel(trained(seed)) for seed in (3, 4)}
    decisions = []
    for network in (target, independent):
        with misbehaving_here(Slow(network), trouble, amount) as url:
            decisions.append(verify(contrast, KServeSuspect(url), budget=160, references=references).decision)
    assert decisions[0] in ("derived", "inconclusive") and decisions[1] in ("independent", "inconclusive")
