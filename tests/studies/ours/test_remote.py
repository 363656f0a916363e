"""`study remote`: what is computed, what is kept of what was measured, and its tables, on a made-up fingerprint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from behaviour import OverAPath, Sleeper, behaviour, crafted, key
from exitprint.fingerprints import verify_sequentially
from exitprint.fingerprints.fingerprint import TENSORS
from exitprint.serving.hostile import PARETO_DEVIATION, PARETO_SHAPE, TROUBLES, misbehaving_here
from exitprint.timing.sequential import SignTest
from exitprint_studies.ours import recorded, remote
from exitprint_studies.ours.recorded import LEVELS, Jitter, amplified, jitter_rows, null_rows
from exitprint_studies.ours.remote import Bench, remote_members, remote_page, remote_references
from exitprint_studies.population.declare import Source
from exitprint_studies.population.store import Store

FINGERPRINT = crafted("contrast", samples=100)
SMALL = replace(FINGERPRINT, **{part: getattr(FINGERPRINT, part)[46:54] for part in TENSORS})
MEMBERS = [m for m in remote_members(Source(name="digits")) if m.name in ("target", "retrained 1", "independent 5")]


def seconds_of(role: str) -> dict[bytes, float]:
    return behaviour(FINGERPRINT, copy=role != "independent")


def times_of(role: str) -> dict[str, np.ndarray]:
    """Three times of each image, which depend on nothing but the image."""
    seconds, x, late = seconds_of(role), FINGERPRINT.x, FINGERPRINT.late
    kinds = {"late": x[late], "early": x[~late], "benign": FINGERPRINT.benign}
    return {kind: np.array([[seconds[key(image)]] * 3 for image in images]) for kind, images in kinds.items()}


RECORDED = {m.name: times_of(m.role) for m in MEMBERS}


@pytest.fixture
def bench(tmp_path):
    return Bench(FINGERPRINT, {m.name: m.role for m in MEMBERS}, Store(tmp_path))


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for module in (recorded, remote):
        monkeypatch.setattr(module, "misbehaving", _misbehaving)
    monkeypatch.setattr(remote, "SERVED", ((Jitter("jitter", 1), 2),))
    monkeypatch.setattr(remote, "TROUBLES", {name: TROUBLES[name] for name in ("none", "nan")})


def _misbehaving(role, trouble="none", amount=None, seed=0):
    return misbehaving_here(Sleeper(seconds_of(role)), trouble, amount, seed=seed)


def test_the_networks_are_a_target_three_copies_and_three_independents():
    assert sorted(m.role for m in remote_members()) == ["independent"] * 3 + ["stolen"] * 3 + ["target"]
    assert remote_members()[0].role == "target"
    known = {repr(m.network) for m in remote_references()}
    assert known and not known & {repr(m.network) for m in remote_members()}


def test_jitter_is_what_the_hostile_server_adds():
    rng = np.random.default_rng(0)
    gaussian = Jitter("jitter", 5).draw(rng, (100_000,))
    assert gaussian.std() == pytest.approx(0.005, rel=0.02) and gaussian.min() >= 0
    middle = (2 ** (1 / PARETO_SHAPE) - 1) * 0.005 / PARETO_DEVIATION
    assert np.median(Jitter("heavy-tail", 5).draw(rng, (100_000,))) == pytest.approx(middle, rel=0.05)
    assert not Jitter("jitter", 0).draw(rng, (10,)).any()


def test_computed_verdicts_are_those_of_a_verification():
    """Without noise: decision and requests agree but for metadata and the cheapest request, which no path has here."""
    rows = jitter_rows(MEMBERS, RECORDED, SignTest(), verdicts=200)
    for row, role, decision in zip(rows, ("stolen", "independent"), ("derived", "independent"), strict=False):
        requests = []
        for seed in range(20):
            verdict = verify_sequentially(FINGERPRINT, OverAPath(seconds_of(role)), seed=seed)
            assert verdict.decision == decision
            requests.append(verdict.requests + recorded.BEFORE - 10)
        assert row["right, %"] == 100 and min(requests) <= row["requests, median"] <= max(requests)


def test_what_was_measured_is_found_again(bench, monkeypatch):
    def never(*args, **options):
        raise AssertionError("measured again")

    first = bench.verdicts(MEMBERS[0], "none", count=2)
    assert [row["verdict"] for row in first] == ["derived"] * 2
    monkeypatch.setattr(remote, "misbehaving", never)
    assert bench.verdicts(MEMBERS[0], "none", count=2) == first
    for other in ({"count": 3}, {"amplification": 2}, {"amount": 1.0}):
        with pytest.raises(AssertionError):
            bench.verdicts(MEMBERS[0], "none", **other)


def test_recorded_times_follow_the_exits_and_are_found_again(bench, monkeypatch):
    """The server sleeps twice as long as an image's exit says."""
    monkeypatch.setattr(remote, "RECORDED", 2)
    few = Bench(SMALL, bench.files, bench.store)
    times = few.times(MEMBERS[0])
    seconds = seconds_of("target")
    late = np.array([seconds[key(image)] for image in SMALL.x[SMALL.late]])
    assert times["late"].shape == times["early"].shape == (4, 2)
    assert (times["late"] >= 2 * late[:, None]).all()
    assert recorded.network_row(MEMBERS[0], times)["AUC"] > 0.9
    assert few.benign_times(MEMBERS[0]).shape == (8, 2)
    monkeypatch.setattr(recorded, "misbehaving", None)
    assert np.array_equal(few.times(MEMBERS[0])["early"], times["early"])


def test_an_amplified_request_takes_the_sum_of_its_images():
    times = np.array([[1.0, 1.0], [2.0, 4.0]])
    assert amplified(times, Jitter("jitter", 20), seed=0) is times
    sums = amplified(times, Jitter("jitter", 20, amplification=8), seed=0)
    assert (sums[0] == 8).all() and sums[1].min() >= 16 and sums[1].max() <= 32 and np.ptp(sums[1]) > 0


def test_tables_count_what_came_out(bench):
    served = remote.served_rows(MEMBERS, bench)
    assert [(r["network"], r["verdicts"], r["right"], r["wrong"]) for r in served] == [
        (name, 2, 2, 0) for name in ("target", "retrained 1", "independent 5")
    ]
    operators = remote.operator_rows(MEMBERS, bench)
    assert [r["verdict"] for r in operators] == ["derived", "independent", "error", "error"]
    assert not any(r["wrong"] for r in operators) and "NaN" in operators[2]["why"]
    tables = {
        "networks": [recorded.network_row(m, RECORDED[m.name]) for m in MEMBERS],
        "jitter": jitter_rows(MEMBERS, RECORDED, SignTest(), verdicts=20),
        "null": null_rows([times_of("independent")], times_of("independent")["benign"], runs=100),
        "served": served,
        "operators": operators,
    }
    assert [(r["truth"], r["verdicts"], r["wrong"]) for r in tables["jitter"][:2]] == [
        ("target and stolen", 40, 0),
        ("independent", 20, 0),
    ]
    page = remote_page(tables)
    assert "independent 5" in page and "answers NaN" in page and "heavy-tailed 5 ms" in page


def test_false_claims_stay_below_alpha():
    rows = null_rows([times_of("independent")], times_of("independent")["benign"], runs=1000)
    assert {r["alpha"] for r in rows} == set(LEVELS) and len(rows) == 9 * len(LEVELS)
    for row in rows:
        assert row["derived"] <= row["alpha"] + 4 * (row["alpha"] / 1000) ** 0.5
