"""`study remote`: what is computed, what is kept of what was measured, and its tables, on a made-up fingerprint."""

from __future__ import annotations

import numpy as np
import pytest

from behaviour import OverAPath, Sleeper, behaviour, crafted, key
from exitprint.fingerprints import verify_sequentially
from exitprint.networks import MultiExitNetwork, architecture, exit_flops
from exitprint.serving.hostile import PARETO_DEVIATION, PARETO_SHAPE, TROUBLES, misbehaving_here
from exitprint.study import remote
from exitprint.study.population import Source
from exitprint.study.remote import Heard, Jitter, Measured, hear, remote_members, remote_page
from exitprint.study.store import Store
from exitprint.timing.sequential import SignTest

FINGERPRINT = crafted("contrast", samples=100)
MEMBERS = [m for m in remote_members(Source(name="digits")) if m.name in ("target", "retrained 1", "independent 0")]


def seconds_of(role: str) -> dict[bytes, float]:
    return behaviour(FINGERPRINT, copy=role != "independent")


def heard_of(role: str) -> Heard:
    seconds = seconds_of(role)
    halves = (FINGERPRINT.x[FINGERPRINT.late], FINGERPRINT.x[~FINGERPRINT.late], FINGERPRINT.benign)
    return Heard(*(np.array([seconds[key(image)] for image in images]) for images in halves))


HEARD = {m.name: heard_of(m.role) for m in MEMBERS}


@pytest.fixture
def measured(tmp_path):
    return Measured(Store(tmp_path), "made-up")


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(remote, "COPIES", 1)
    monkeypatch.setattr(remote, "misbehaving", _misbehaving)
    monkeypatch.setattr(remote, "TROUBLES", {name: TROUBLES[name] for name in ("none", "nan")})


def _misbehaving(role, trouble, amount=None, seed=0):
    return misbehaving_here(Sleeper(seconds_of(role)), trouble, amount, seed=seed)


def test_the_networks_are_a_target_three_copies_and_three_independents():
    assert sorted(m.role for m in remote_members()) == ["independent"] * 3 + ["stolen"] * 3 + ["target"]
    assert remote_members()[0].role == "target"


def test_jitter_is_what_the_hostile_server_adds():
    rng = np.random.default_rng(0)
    gaussian = Jitter("jitter", 5).draw(rng, (100_000,))
    assert gaussian.std() == pytest.approx(0.005, rel=0.02) and gaussian.min() >= 0
    middle = (2 ** (1 / PARETO_SHAPE) - 1) * 0.005 / PARETO_DEVIATION
    assert np.median(Jitter("heavy-tail", 5).draw(rng, (100_000,))) == pytest.approx(middle, rel=0.05)
    assert not Jitter("jitter", 0).draw(rng, (10,)).any()


def test_a_full_run_takes_what_it_is_scaled_to():
    network = MultiExitNetwork.build(architecture("resnet", (1, 8, 8), 10, depth=8, width=2), seed=0).eval()
    heard = hear(network, FINGERPRINT, 0.01 * 1e9 / exit_flops(network)[-1])
    assert heard.late.shape == heard.early.shape == (50,) and heard.benign.shape == (100,)
    assert heard.benign.max() == pytest.approx(0.01)


def test_computed_verdicts_are_those_of_a_verification():
    """Without noise: decision and requests agree but for metadata and the cheapest request, which no path has here."""
    rows = remote.jitter_rows(MEMBERS, HEARD, SignTest(), verdicts=200)
    for row, role, decision in zip(rows, ("stolen", "independent"), ("derived", "independent"), strict=False):
        requests = []
        for seed in range(20):
            verdict = verify_sequentially(FINGERPRINT, OverAPath(seconds_of(role)), seed=seed)
            assert verdict.decision == decision
            requests.append(verdict.requests + remote.BEFORE - 10)
        assert row["right, %"] == 100 and min(requests) <= row["requests, median"] <= max(requests)


def test_what_was_measured_is_found_again(measured):
    def never():
        raise AssertionError("measured again")

    assert measured.row(MEMBERS[0], lambda: {"verdict": "derived"}, seed=0) == {"verdict": "derived"}
    assert measured.row(MEMBERS[0], never, seed=0) == {"verdict": "derived"}
    with pytest.raises(AssertionError):
        measured.row(MEMBERS[0], never, seed=1)


def test_tables_count_what_came_out(measured):
    files = {m.name: m.role for m in MEMBERS}
    served = remote.served_rows(MEMBERS, files, FINGERPRINT, measured)
    assert [(r["network"], r["verdict"]) for r in served] == [
        ("target", "derived"),
        ("retrained 1", "derived"),
        ("independent 0", "independent"),
    ]
    operators = remote.operator_rows(MEMBERS, files, FINGERPRINT, measured)
    assert [r["verdict"] for r in operators] == ["derived", "independent", "error", "error"]
    assert not any(r["wrong"] for r in operators) and "NaN" in operators[2]["why"]
    tables = {
        "networks": [remote.network_row(m, HEARD[m.name]) for m in MEMBERS],
        "jitter": remote.jitter_rows(MEMBERS, HEARD, SignTest(), verdicts=20),
        "null": remote.null_rows(MEMBERS, HEARD, runs=100),
        "served": served,
        "operators": operators,
    }
    assert [(r["truth"], r["verdicts"], r["wrong"]) for r in tables["jitter"][:2]] == [
        ("target and stolen", 40, 0),
        ("independent", 20, 0),
    ]
    page = remote_page(tables)
    assert "independent 0" in page and "answers NaN" in page and "heavy-tailed 5 ms" in page


def test_false_claims_stay_below_alpha():
    rows = remote.null_rows(MEMBERS, HEARD, runs=1000)
    assert {r["alpha"] for r in rows} == set(remote.LEVELS) and len(rows) == 9 * len(remote.LEVELS)
    for row in rows:
        assert row["derived"] <= row["alpha"] + 4 * (row["alpha"] / 1000) ** 0.5
