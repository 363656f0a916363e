"""Script and library agree on every history: of random answers, cut off anywhere, with panels and a judge's asking."""

import io
import math
import runpy
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from acting import lines_of
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from exitprint.claims import commit, pack
from exitprint.claims.committing import Place, committed_fingerprint, load_opening
from exitprint.claims.images import image_digests
from exitprint.claims.register import Asking, Brought, Register
from exitprint.claims.signing import load_claim
from exitprint.files import file_digest
from exitprint.fingerprints import Fingerprint, Reference, save_fingerprint, verify
from exitprint.fingerprints.verify import inputs
from exitprint.networks import MultiExitNetwork, architecture, save_network
from exitprint.suspects import Answer

SAMPLES = 170
SLOW, MIDDLING, QUICK = 3e-3, 2e-3, 1e-3
share = st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.85, 1.0])


class Drawn:
    """A suspect whose times are drawn: by kind of input slow with a given probability, and as long as its partner's."""

    amplification = 1
    requests = bytes_sent = bytes_received = 0

    def __init__(self, made: Fingerprint, way: "Way") -> None:
        self._kinds = {
            image.numpy().tobytes(): (kind, number)
            for kind, images in inputs(made).items()
            for number, image in enumerate(images)
        }
        self._made, self._way, self._rng = made, way, np.random.default_rng(way.seed)

    def limit(self, requests: int) -> None:
        pass

    def ask(self, x: torch.Tensor) -> Answer:
        self.requests += 1
        asked = [self._kinds[image.numpy().tobytes()] for image in x]
        seconds = np.array([self._seconds(kind) for kind, _ in asked])
        labels = None if self._way.labels == "none" else np.array([self._label(*each) for each in asked])
        return Answer(seconds, self._way.clock, labels)

    def _seconds(self, kind: str) -> float:
        slow = {"late": self._way.crafted, "sample": self._way.crafted, "late original": 1 - self._way.natural}
        if self._rng.random() < self._way.ties or kind not in slow:
            return MIDDLING
        return SLOW if self._rng.random() < slow[kind] else QUICK

    def _label(self, kind: str, number: int) -> int:
        right = int(self._made.answers[number]) if kind == "original" else number % 10
        return right if self._way.labels == "right" else int(self._rng.integers(10))


class Floored(Drawn):
    """The same at an address, whose cheapest request is timed as well."""

    def floor(self) -> float:
        self.requests += 1
        return QUICK


@dataclass(frozen=True)
class Way:
    """How somebody answers, and after how many lines his journal was cut off."""

    seed: int
    clock: str
    crafted: float
    natural: float
    ties: float
    labels: str
    cut: int | None


@dataclass(frozen=True)
class History:
    """What happened under a claim."""

    kind: str
    pool: int
    change: int
    budget: int
    stated: list[float]
    brought: list[float]
    floored: bool
    ours: list[Way]
    others: list[Way]
    panel: list[Way]
    again: list[Way]


@st.composite
def histories(draw: st.DrawFn) -> History:
    clock = draw(st.sampled_from(["cost-model", "measured"]))
    way = st.builds(
        Way,
        seed=st.integers(0, 99),
        clock=st.just(clock),
        crafted=share,
        natural=share,
        ties=st.sampled_from([0.0, 0.3, 1.0]),
        labels=st.sampled_from(["none", "right", "wrong"]),
        cut=st.none() | st.integers(0, 60),
    )
    telling = st.builds(
        Way,
        st.integers(0, 99),
        st.just(clock),
        st.sampled_from([0.9, 1.0]),
        st.just(1.0),
        st.just(0.0),
        st.just("none"),
        st.none(),
    )
    pool, change = draw(st.sampled_from([(400, 1), (1000, 1), (1000, 24), (1000, 64)]))
    return History(
        kind=draw(st.sampled_from(["contrast", "paper"])),
        pool=pool,
        change=change,
        budget=draw(st.sampled_from([60, 200])),
        stated=draw(st.lists(st.sampled_from([0.1, 0.5, 0.6]), max_size=2)),
        brought=draw(st.lists(st.sampled_from([0.1, 0.5, 0.6]), min_size=int(change == 64), max_size=2)),
        floored=draw(st.booleans()),
        ours=draw(st.lists(way | telling, min_size=1, max_size=2)),
        others=draw(st.lists(way, max_size=1)),
        panel=draw(st.lists(way, max_size=2)),
        again=draw(st.lists(way | telling, max_size=1)),
    )


def crafted(digits, history: History) -> Fingerprint:
    originals = digits.test.pixels[:SAMPLES]
    samples = originals.clone()
    samples[:, 0, 0, 0] ^= history.change
    return Fingerprint(
        kind=history.kind,
        samples=samples,
        originals=originals,
        late=torch.arange(SAMPLES) < (SAMPLES // 2 if history.kind == "contrast" else SAMPLES),
        reached=torch.ones(SAMPLES, dtype=torch.bool),
        steps=torch.ones(SAMPLES, dtype=torch.int64),
        chosen=torch.arange(SAMPLES),
        pool=history.pool,
        answers=torch.arange(SAMPLES) % 10,
        references=tuple(Reference(f"stated {n}", (each,), "other") for n, each in enumerate(history.stated)),
        record={"data": {"name": "digits"}},
    )


def begin(register: Register, name: str, committed: str, made: Fingerprint, way: Way, history: History, seed: int):
    brought = tuple(Brought(f"brought {n}", f"{n:064d}", each) for n, each in enumerate(history.brought))
    begun = register.begin(name, Asking(committed, way.clock, 1, False, brought))
    journal = register.journal(begun.number)
    floored = history.floored and way.clock == "measured"
    verify(
        made,
        (Floored if floored else Drawn)(made, way),
        budget=history.budget,
        seed=seed,
        journal=journal,
        subject=register.subject(begun),
        references=begun.seen,
    )
    if way.cut is not None:
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join(lines[: way.cut + 1]))


@pytest.fixture(scope="module")
def network_file(digits, tmp_path_factory):
    """A network to commit to; nobody asks it."""
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    save_network(MultiExitNetwork.build(architecture("resnet8", digits.input_shape, 10, width=4), seed=0), path)
    return path


FIRST_ROUND = sum(2 * (1, 1, 3, 9)[place * 4 // (SAMPLES // 2)] for place in range(SAMPLES // 2))
"""Requests of the first round about a kind of inputs, on a measured clock."""
UNASKED = History(
    kind="contrast",
    pool=1000,
    change=1,
    budget=10 + FIRST_ROUND,
    stated=[],
    brought=[],
    floored=False,
    ours=[Way(0, "measured", crafted=0.5, natural=0.5, ties=1.0, labels="none", cut=None)],
    others=[],
    panel=[],
    again=[],
)
"""The budget ends with the first round, so the second is begun and nothing is asked in it."""


@pytest.mark.timeout(120)
@example(UNASKED)
@settings(
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories())
def test_script_and_library_agree_on_every_history(digits, network_file, tmp_path_factory, monkeypatch, history):
    folder = tmp_path_factory.mktemp("history")
    made, claim = crafted(digits, history), folder / "claim.json"
    save_fingerprint(made, folder / "f.safetensors")
    commit(network_file, [folder / "f.safetensors"], claim, folder / "key.pem", digits, budget=history.budget)
    seed, digest, place = load_claim(claim).seed, file_digest(claim), Place(claim)
    committed = committed_fingerprint(load_claim(claim), load_opening(place.opening), folder / "f.safetensors")
    networks = {f"network {n}": f"{n:064d}" for n in range(len(history.panel))}
    asked = [
        (Register(place.runs, digest), [("suspect", way) for way in history.ours]),
        (Register(place.runs, digest), [("stranger", way) for way in history.others]),
        (Register(place.panel, digest, "panel", networks), list(zip(networks, history.panel, strict=True))),
        (Register(place.again, digest, "again"), [("suspect", way) for way in history.again]),
    ]
    for register, ways in asked:
        for name, way in ways:
            begin(register, name, committed, made, way, history, seed)
    case = pack(
        claim, [folder / "f.safetensors"], image_digests(digits.test.pixels), folder / "pack", suspect="suspect"
    )
    monkeypatch.setattr(sys, "argv", ["check.py"])
    with redirect_stdout(io.StringIO()) as said:
        found = runpy.run_path(str(folder / "pack" / "check.py"))
    assert f"Verdict: {case.decision}." in said.getvalue()
    assert f"the e-value is {math.exp(case.log_e):.4g}" in said.getvalue()
    assert found["said"] == [case.by_journals] + ([] if case.again is None else [case.again.decision])
    assert found["p_value"] == (None if case.panel is None else case.panel.p_value)
    followers = [line["suspect"] for line in found["panel"] if line["found"][2]]
    assert followers == ([] if case.panel is None else list(case.panel.followers))
    assert len(lines_of(place.runs / "register.jsonl")) == 1 + len(case.runs)
