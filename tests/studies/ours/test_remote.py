"""`study remote`: what is kept of what was measured, and its tables, on a made-up fingerprint."""

from __future__ import annotations

import pytest

from behaviour import Sleeper, behaviour, crafted
from exitprint_studies.hostile import misbehaving_here
from exitprint_studies.hostile.operators import TROUBLES
from exitprint_studies.ours import remote
from exitprint_studies.ours.remote import Bench, Jitter, remote_members, remote_page, remote_references
from exitprint_studies.population.declare import Source
from exitprint_studies.population.store import Store

FINGERPRINT = crafted("contrast", samples=100)
MEMBERS = [m for m in remote_members(Source(name="digits")) if m.name in ("target", "retrained 1", "independent 5")]


def seconds_of(role: str) -> dict[bytes, float]:
    return behaviour(FINGERPRINT, copy=role != "independent")


@pytest.fixture
def bench(tmp_path):
    return Bench(FINGERPRINT, {m.name: m.role for m in MEMBERS}, Store(tmp_path))


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(remote, "misbehaving", _misbehaving)
    monkeypatch.setattr(remote, "SERVED", ((Jitter("jitter", 1), 2),))
    monkeypatch.setattr(remote, "TROUBLES", {name: TROUBLES[name] for name in ("none", "nan")})


def _misbehaving(role, trouble="none", amount=None, seed=0):
    return misbehaving_here(Sleeper(seconds_of(role)), trouble, amount, seed=seed)


def test_the_networks_are_a_target_three_copies_and_three_independents():
    assert sorted(m.role for m in remote_members()) == ["independent"] * 3 + ["stolen"] * 3 + ["target"]
    assert remote_members()[0].role == "target"
    known = {repr(m.network) for m in remote_references()}
    assert known and not known & {repr(m.network) for m in remote_members()}


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


def test_tables_count_what_came_out(bench):
    served = remote.served_rows(MEMBERS, bench)
    assert [(r["network"], r["verdicts"], r["right"], r["wrong"]) for r in served] == [
        (name, 2, 2, 0) for name in ("target", "retrained 1", "independent 5")
    ]
    operators = remote.operator_rows(MEMBERS, bench)
    assert [r["verdict"] for r in operators] == ["derived", "independent", "error", "error"]
    assert not any(r["wrong"] for r in operators) and "NaN" in operators[2]["why"]
    page = remote_page({"served": served, "operators": operators})
    assert "independent 5" in page and "answers NaN" in page
