from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from behaviour import crafted
from exitprint.errors import ExitprintError
from exitprint.fingerprints import Reference, samples_needed
from exitprint.fingerprints.threshold import CAUTIOUS, HIGHEST, check_change, lowest_claim, pool_needed, threshold

MADE = crafted("contrast", references=())


def references(*shares: float) -> tuple[Reference, ...]:
    return tuple(Reference(f"r{number}", (share,), "other") for number, share in enumerate(shares))


@pytest.mark.parametrize(
    ("shares", "p0"),
    [((), 0.8), ((0.1,), 0.7), ((0.1, 0.2), 0.65), ((0.1,) * 5, 0.65), ((0.1, 0.5), 0.75), ((0.7,), 0.85)],
)
def test_the_threshold_comes_from_references(shares, p0):
    assert threshold(replace(MADE, references=references(*shares))).p0 == pytest.approx(p0)
    assert threshold(MADE, references(*shares)).p0 == pytest.approx(p0)


@given(st.lists(st.floats(0, 1), max_size=4), st.floats(0, 1))
def test_a_reference_that_follows_more_never_lowers_it(shares, more):
    claim = lowest_claim(references(*shares))
    assert 0.5 < claim <= 1 and claim >= (1 + max(shares, default=0)) / 2
    if shares:
        assert lowest_claim(references(*shares[1:], max(shares[0], more))) >= claim


def test_a_large_part_of_the_pool_raises_it_and_more_than_half_is_refused():
    parts = [threshold(replace(MADE, pool=pool)).p0 for pool in (1000, 500, 499, 200)]
    assert parts == pytest.approx([0.8, 0.8, 0.85, 0.85])
    with pytest.raises(ExitprintError, match="from a pool of at least 500 images"):
        threshold(replace(MADE, pool=199))
    assert pool_needed(100) == 500 and pool_needed(101) == 505


def test_a_reference_that_leaves_nothing_is_refused():
    with pytest.raises(ExitprintError, match=r"comes to 0.95 of the pairs"):
        threshold(MADE, references(0.95))
    assert threshold(MADE, references(0.89)).p0 <= HIGHEST


def test_what_it_rests_on_is_said():
    assert "No network known to be independent" in threshold(MADE).assumptions[0]
    stated = threshold(replace(MADE, references=references(0.1)), references(0.2)).assumptions
    assert "owner states" in stated[0] and "r0 (0.10)" in stated[0] and "of his own: r0 (0.20)" in stated[0]
    assert "100 images were chosen from 1,000" in stated[1]


def test_fewer_samples_cannot_decide():
    assert [samples_needed(p0, 1e-3) for p0 in CAUTIOUS] == [80, 50, 42]


def test_beyond_a_small_change_the_owners_word_does_not_suffice():
    generator = torch.Generator().manual_seed(1)
    noise = torch.randint(-130, 131, MADE.samples.shape, generator=generator)
    large = replace(
        MADE,
        samples=(MADE.originals.int() + noise).clamp(0, 255).to(torch.uint8),
        references=references(0.1, 0.1),
    )
    assert 0.2 < large.change < 0.8
    with pytest.raises(ExitprintError, match=r"networks that you know to be independent as well \(--reference\)"):
        check_change(large)
    check_change(large, references(0.2))
    check_change(MADE)
