"""The product's test replayed on samples that are drawn: laws of the chance that so many decide, and what is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from behaviour import crafted
from exitprint.fingerprints import ContrastMethod, Reference, contrast_fingerprint, replay
from exitprint.fingerprints.replay import chances, needed
from exitprint.fingerprints.threshold import threshold


@pytest.fixture(scope="module")
def made(target, digits):
    return contrast_fingerprint(target, digits.test, [target.policy], 100, 1, ContrastMethod(margin_log_odds=0.1))


def copies(made, share):
    """Exits of a copy on which such a share of the late samples leaves late, the others with the early ones."""
    late = made.late.nonzero()[:, 0]
    exits = torch.zeros(len(made), dtype=torch.long)
    exits[~made.late] = 1
    exits[late[: round(share * len(late))]] = 2
    return [(exits, (~made.late).long())]


@settings(max_examples=8)
@given(share=st.floats(0, 1))
def test_a_larger_share_is_claimed_no_less_and_cleared_no_more(made, share):
    claimed, cleared = chances(made, copies(made, share), 100)
    assert claimed + cleared <= 1
    if share == 1 or share > 0.99:
        assert claimed == 1
    if share < 0.7:
        assert claimed == 0
    if share > 0.75:
        assert cleared < 0.05


def test_more_samples_find_more(made):
    found = [chances(replace(made, pool=10_000), copies(made, 0.92), size)[0] for size in (100, 200, 400)]
    assert found == sorted(found) and found[0] < 0.5 < found[-1]


def test_too_few_samples_decide_nothing_and_too_many_cannot_be_had(made):
    assert chances(made, copies(made, 1.0), 20) == (0.0, 0.0)
    assert chances(made, copies(made, 1.0), 400) is None


def test_from_what_is_needed_on_samples_claim_and_below_they_do_not(made):
    large = replace(made, pool=10_000, references=(Reference("stranger", (0.1,), "other"),))
    enough, too_little = needed(large, 200, 0.9)
    assert 0.7 < too_little < enough < 1
    at, below, above = (
        chances(large, copies(made, share), 200)[0] for share in (enough, enough - 0.02, too_little + 0.02)
    )
    assert at >= 0.9 > below and above > 0.1


def test_where_no_outcome_decides_all_is_too_little_and_where_there_are_no_samples_nothing_is_said(made):
    assert needed(made, 20, 0.9) == (None, 1.0)
    assert needed(made, 400, 0.9) == (None, None)


def test_it_is_the_chance_of_a_verifier_who_asks_the_owners_references_himself(made):
    stated = tuple(Reference(name, (0.1,), "other") for name in ("one", "another"))
    nearer = (made.originals + (made.samples.float() - made.originals) / 10).round().to(torch.uint8)
    alone, known = (replace(made, pool=10_000, samples=nearer, references=each) for each in ((), stated))
    assert needed(known, 100, 0.9)[0] < needed(alone, 100, 0.9)[0]
    assert chances(known, copies(made, 0.92), 100)[0] > chances(alone, copies(made, 0.92), 100)[0] + 0.3


@pytest.mark.parametrize(("kind", "late"), [("contrast", 51), ("paper", 101)])
def test_so_many_samples_are_drawn_and_half_of_a_contrasts_are_late(monkeypatch, kind, late):
    sizes = []

    def seen(resized, references):
        sizes.append((len(resized), int(resized.late.sum())))
        return threshold(resized, references)

    monkeypatch.setattr(replay, "threshold", seen)
    made = crafted(kind)
    originals = torch.ones(len(made), dtype=torch.long) if kind == "paper" else (~made.late).long()
    for won, claimed in ((2, 1.0), (0, 0.0)):
        exits = torch.where(made.late, won, 1)
        assert chances(made, [(exits, originals)], 101) == (claimed, 1 - claimed)
    assert sizes == [(101, late)] * 2
