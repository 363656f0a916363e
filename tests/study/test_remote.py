"""`study remote`: resampling, what is kept of what was measured, and its tables, on a made-up fingerprint."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest

from behaviour import Sleeper, behaviour, crafted, key
from exitprint.fingerprints import verify_sequentially
from exitprint.serving.hostile import PARETO_SHAPE, TROUBLES, misbehaving_here
from exitprint.study import remote
from exitprint.study.population import Source
from exitprint.study.remote import Heard, Jitter, Measured, Resampled, remote_members, remote_page
from exitprint.study.store import Store

FINGERPRINT = crafted("contrast", samples=100)
MEMBERS = [m for m in remote_members(Source(name="digits")) if m.name in ("target", "retrained 1", "independent 0")]


def seconds_of(role: str) -> dict[bytes, float]:
    return behaviour(FINGERPRINT, copy=role != "independent")


def heard_of(role: str) -> Heard:
    seconds = seconds_of(role)
    rng = np.random.default_rng(0)
    late, early, benign = (
        np.array([seconds[key(image)] for image in images])[:, None] + rng.exponential(1e-5, (len(images), 5))
        for images in (FINGERPRINT.x[FINGERPRINT.late], FINGERPRINT.x[~FINGERPRINT.late], FINGERPRINT.benign)
    )
    return Heard(dict.fromkeys(remote.ASKED, late), dict.fromkeys(remote.ASKED, early), benign)


@pytest.fixture
def measured(tmp_path):
    return Measured(Store(tmp_path), "made-up")


@pytest.fixture(autouse=True)
def one_copy(monkeypatch):
    monkeypatch.setattr(remote, "COPIES", 1)


def test_the_networks_are_a_target_three_copies_and_three_independents():
    assert sorted(m.role for m in remote_members()) == ["independent"] * 3 + ["stolen"] * 3 + ["target"]
    assert remote_members()[0].role == "target"


def test_jitter_is_what_the_hostile_server_adds():
    rng = np.random.default_rng(0)
    gaussian = Jitter("jitter", 5).draw(rng, (100_000,))
    assert gaussian.std() == pytest.approx(0.005, rel=0.02) and gaussian.min() >= 0
    heavy = Jitter("heavy-tail", 5).draw(rng, (100_000,))
    assert np.quantile(heavy, 0.5) == pytest.approx(
        (2 ** (1 / PARETO_SHAPE) - 1) * 0.005 / remote.PARETO_DEVIATION, rel=0.05
    )
    assert not Jitter("jitter", 0).draw(rng, (10,)).any()


@pytest.mark.parametrize("role", ["stolen", "independent"])
def test_resampled_times_are_those_that_were_measured(role):
    heard = heard_of(role)
    suspect = Resampled(FINGERPRINT, heard, Jitter("jitter", 0), seed=0)
    first = FINGERPRINT.x[FINGERPRINT.late][:1]
    assert {suspect.ask(first).seconds[0] for _ in range(50)} == set(heard.late[1][0])
    verdict = verify_sequentially(FINGERPRINT, suspect)
    assert verdict.decision == ("derived" if role == "stolen" else "independent") and verdict.requests < 200


def test_what_was_measured_is_found_again(measured, monkeypatch):
    with misbehaving_here(Sleeper(dict.fromkeys(seconds_of("stolen"), 0.0))) as url:
        monkeypatch.setattr(remote, "running", lambda file: nullcontext(url))
        monkeypatch.setattr(remote, "ASKED", {1: 2, 8: 1})
        made = measured.heard(MEMBERS[0], partial(remote.measure_served, "a file", FINGERPRINT))
    again = measured.heard(MEMBERS[0], _never)
    assert made.late[1].shape == made.early[1].shape == (50, 2) and made.late[8].shape == (50, 1)
    assert made.benign.shape == (100, remote.BENIGN_ASKED) and 0 < made.full_run < 1
    assert np.array_equal(again.benign, made.benign) and np.array_equal(again.late[8], made.late[8])
    assert measured.row(MEMBERS[0], lambda: {"decision": "derived"}, seed=0) == {"decision": "derived"}
    assert measured.row(MEMBERS[0], _never, seed=0) == {"decision": "derived"}


def test_tables_count_what_came_out(measured, monkeypatch):
    monkeypatch.setattr(remote, "JITTERS", (Jitter("jitter", 0), Jitter("jitter", 20, measured=False)))
    monkeypatch.setattr(remote, "_served", lambda *words: {"decision": "inconclusive", "requests": 7})
    monkeypatch.setattr(remote, "misbehaving", _misbehaving)
    monkeypatch.setattr(remote, "TROUBLES", {name: TROUBLES[name] for name in ("none", "nan")})
    heard = {m.name: heard_of(m.role) for m in MEMBERS}
    files = {m.name: m.role for m in MEMBERS}
    served = remote.served_verdicts(MEMBERS, files, FINGERPRINT, measured)
    jitter = remote.jitter_rows(MEMBERS, heard, served, FINGERPRINT, verdicts=3)
    assert [(r["how"], r["truth"], r["milliseconds"], r["verdicts"], r["wrong"]) for r in jitter] == [
        ("resampled from measured", "target and stolen", 0, 6, 0),
        ("resampled from measured", "independent", 0, 3, 0),
        ("measured", "target and stolen", 0, 2, 0),
        ("measured", "independent", 0, 1, 0),
        ("resampled from measured", "target and stolen", 20, 6, 0),
        ("resampled from measured", "independent", 20, 3, 0),
    ]
    assert [r["right"] for r in jitter[:4]] == [6, 3, 0, 0] and jitter[2]["requests, median"] == 7
    operators = remote.operator_rows(MEMBERS, files, FINGERPRINT, measured)
    assert [r["verdict"] for r in operators] == ["derived", "independent", "error", "error"]
    assert not any(r["wrong"] for r in operators) and "NaN" in operators[2]["why"]
    null = remote.null_rows(MEMBERS, heard, runs=400)
    tables = {
        "networks": [remote.network_row(m, heard[m.name]) for m in MEMBERS],
        "jitter": jitter,
        "null": null,
        "operators": operators,
    }
    page = remote_page(tables)
    assert "independent 0" in page and "answers NaN" in page and page.count("| resampled from measured |") >= 4


def test_false_claims_stay_below_alpha():
    rows = remote.null_rows(MEMBERS, {m.name: heard_of(m.role) for m in MEMBERS}, runs=1000)
    assert {r["alpha"] for r in rows} == set(remote.LEVELS) and len(rows) == 9 * len(remote.LEVELS)
    for row in rows:
        assert row["derived"] <= row["alpha"] + 4 * (row["alpha"] / 1000) ** 0.5


def _misbehaving(role, trouble, seed=0):
    return misbehaving_here(Sleeper(seconds_of(role)), trouble, seed=seed)


def _never():
    raise AssertionError("measured again")
