from __future__ import annotations

from dataclasses import fields as dataclass_fields
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from behaviour import crafted
from exitprint.errors import ExitprintError
from exitprint.evidence.eprocess import least_observations
from exitprint.fingerprints import Fingerprint, Reference
from exitprint.fingerprints.threshold import (
    BEYOND_HUGE,
    BEYOND_SMALL,
    CAUTIOUS,
    CHANGE_ON_OWNERS_WORD,
    HIGHEST,
    HUGE_CHANGE,
    LARGE_CHANGE,
    SMALL_CHANGE,
    check_change,
    check_front_door,
    check_size,
    foreseen,
    pool_needed,
    threshold,
)
from exitprint.suspects.through import Through

MADE = crafted("contrast", references=())


def references(*shares: float) -> tuple[Reference, ...]:
    return tuple(Reference(f"r{number}", (share,), "other") for number, share in enumerate(shares))


@pytest.mark.parametrize(
    ("shares", "p0"),
    [((), 0.8), ((0.1,), 0.7), ((0.1, 0.2), 0.65), ((0.1,) * 5, 0.65), ((0.1, 0.5), 0.75), ((0.7,), 0.85)],
)
def test_the_threshold_comes_from_references_that_the_verifier_asked(shares, p0):
    assert threshold(MADE, references(*shares)).p0 == pytest.approx(p0)


@given(st.sampled_from([0.01, 0.045, 0.046, 0.1]), st.lists(st.floats(0, 0.9), max_size=4))
def test_what_the_owner_states_never_makes_a_claim_easier_than_a_small_change_without_references(change, shares):
    assert threshold(changed_by(change, references=references(*shares))).p0 >= CAUTIOUS[0]


@given(st.lists(st.floats(0, 0.9), max_size=3), st.lists(st.floats(0, 0.9), max_size=3))
def test_up_to_a_small_change_the_owners_word_only_raises_it(stated, brought):
    seen = tuple(Reference(f"mine {number}", (share,), "other") for number, share in enumerate(brought))
    alone = threshold(MADE, seen).p0
    assert threshold(replace(MADE, references=references(*stated)), seen).p0 >= alone


@given(st.lists(st.floats(0, 0.9), max_size=4), st.floats(0, 0.9))
def test_a_reference_that_follows_more_never_lowers_it(shares, more):
    p0 = threshold(MADE, references(*shares)).p0
    assert 0.5 < p0 <= HIGHEST and p0 >= (1 + max(shares, default=0)) / 2 - 1e-4
    if shares:
        assert threshold(MADE, references(*shares[1:], max(shares[0], more))).p0 >= p0


def test_a_large_part_of_the_pool_raises_it_and_more_than_half_is_refused():
    parts = [threshold(replace(MADE, pool=pool)).p0 for pool in (1000, 500, 499, 250, 249, 200)]
    assert parts == [0.8, 0.8, 0.85, 0.85, 0.9, 0.9]
    with pytest.raises(ExitprintError, match="from a pool of at least 500 images"):
        threshold(replace(MADE, pool=199))
    assert pool_needed(100) == 500 and pool_needed(101) == 505


def test_a_reference_that_leaves_nothing_is_refused():
    with pytest.raises(ExitprintError, match=r"comes to 0.95 of the pairs"):
        threshold(MADE, references(0.95))
    with pytest.raises(ExitprintError, match=r"comes to 1.00 of the pairs"):
        threshold(MADE, references(1.0))
    assert threshold(MADE, references(0.89)).p0 <= HIGHEST


def test_at_the_highest_threshold_a_claim_is_still_possible():
    assert threshold(MADE, references(0.9)).p0 == HIGHEST
    with pytest.raises(ExitprintError, match=r"comes to 0.85 of the pairs"):
        threshold(replace(MADE, pool=300), references(0.85))
    assert threshold(replace(MADE, pool=300), references(0.79)).p0 == 0.945


def changed_by(change: float, **fields) -> Fingerprint:
    """A fingerprint whose change is this share of the distance between images."""

    class Changed(Fingerprint):
        pass

    Changed.change = change  # type: ignore[assignment, misc]
    return Changed(**{each.name: getattr(MADE, each.name) for each in dataclass_fields(MADE)} | fields)


def test_a_change_that_carries_over_raises_it_where_the_verifier_brings_no_reference():
    found = [threshold(changed_by(change)).p0 for change in (SMALL_CHANGE, 0.046, CHANGE_ON_OWNERS_WORD, 0.101)]
    assert found == [CAUTIOUS[0], BEYOND_SMALL[0], BEYOND_SMALL[0], CAUTIOUS[0]]
    assert threshold(changed_by(0.06, pool=400)).p0 == threshold(changed_by(0.06, pool=200)).p0 == HIGHEST
    for stated in (references(0.1), references(0.1, 0.1), references(0.7)):
        assert threshold(changed_by(0.06, references=stated)).p0 == BEYOND_SMALL[1]
    assert threshold(changed_by(0.06, references=references(0.8))).p0 == pytest.approx(0.9)
    for stated in ((), references(0.1)):
        brought = (Reference("mine", (0.1,), "other"),)
        assert threshold(changed_by(0.06, references=stated), brought).p0 == CAUTIOUS[1]
    large = [threshold(changed_by(change), references(*[0.1] * n)).p0 for change in (0.1, 0.101) for n in (1, 2, 3)]
    assert large == [*CAUTIOUS[1:], CAUTIOUS[2], *LARGE_CHANGE[1:], LARGE_CHANGE[2]]


def test_beyond_a_large_change_those_that_the_verifier_asked_count_and_before_he_did_those_that_the_owner_states():
    made = changed_by(0.25, references=references(0.1, 0.1))
    assert threshold(made).p0 == threshold(made, references(0.1, 0.1)).p0 == LARGE_CHANGE[2]
    assert threshold(made, references(0.1)).p0 == LARGE_CHANGE[1]


def test_beyond_a_huge_change_two_references_lower_it_by_less():
    made = changed_by(HUGE_CHANGE + 0.01)
    found = [threshold(made, references(*[0.1] * n)).p0 for n in range(4)]
    assert found == [*BEYOND_HUGE, BEYOND_HUGE[2]] and BEYOND_HUGE[2] > LARGE_CHANGE[2]
    assert threshold(made, references(0.1, 0.7)).p0 == 0.85


def test_of_the_papers_kind_no_change_is_asked_for():
    assert threshold(changed_by(0.3, references=references(0.9))).p0 == HIGHEST
    assert threshold(changed_by(0.3, kind="paper", late=torch.ones(100, dtype=torch.bool))).p0 == CAUTIOUS[0]
    assert threshold(changed_by(0.06, kind="paper", late=torch.ones(100, dtype=torch.bool))).p0 == CAUTIOUS[0]


def test_that_the_change_raised_it_is_said():
    small, large = (threshold(changed_by(change)).assumptions[0] for change in (0.04, 0.06))
    assert "p0 = 0.9 of the pairs" in large
    assert large.endswith("a change of more than 4.5% of the distance between images.")
    assert "change" not in small and "p0 = 0.8" in small
    assert "change" not in threshold(changed_by(0.3)).assumptions[0]
    stated, brought = (
        threshold(changed_by(0.06, references=references(0.1)), seen).assumptions[0] for seen in ((), references(0.1))
    )
    assert "His word takes p0 no lower than 0.8; a reference" in stated and "p0 = 0.85" in stated
    assert "His word" not in brought


def test_a_network_that_owner_and_verifier_name_counts_once():
    once = (Reference("a", (0.1,), "other"),)
    owners = replace(MADE, references=once)
    assert threshold(owners, once).p0 == threshold(MADE, once * 2).p0 == CAUTIOUS[1]
    assert threshold(owners, (*once, Reference("b", (0.1,), "other"))).p0 == CAUTIOUS[2]


def test_the_largest_share_of_all_policies_of_all_references_counts():
    several = (Reference("a", (0.1, 0.6, 0.2), "same"), Reference("b", (0.3,), "other"))
    for stated, brought in ((several, ()), ((), several), (several[:1], several[1:]), (several[1:], several[:1])):
        assert threshold(replace(MADE, references=stated), brought).p0 == 0.8
    assert "a (0.60), b (0.30)" in threshold(replace(MADE, references=several)).assumptions[0]


def test_it_is_said_with_four_digits():
    assert threshold(MADE, references(0.456789)).p0 == 0.7284


def test_what_it_rests_on_is_said():
    transfer, pool = threshold(MADE).assumptions
    assert "No network known to be independent" in transfer and "at most p0 = 0.8 of the pairs" in transfer
    assert "100 images were chosen from 1,000" in pool and "(10%)" in pool and "raised" not in pool
    stated, brought = (
        threshold(replace(MADE, references=references(*one)), references(*other)).assumptions[0]
        for one, other in (((0.1,), ()), ((), (0.2,)))
    )
    assert "owner states" in stated and "verifier asked" not in stated and "at most p0 = 0.8 of" in stated
    assert "owner states" not in brought and "of his own: r0 (0.20)" in brought and "at most p0 = 0.7 of" in brought
    both = threshold(replace(MADE, references=references(0.1)), (Reference("mine", (0.2,), "other"),)).assumptions[0]
    assert "owner states" in both and "r0 (0.10)" in both and "of his own: mine (0.20)" in both and "p0 = 0.7" in both
    assert "No network" not in stated + brought + both


def test_that_the_pool_raised_it_is_said():
    for pool, said in (
        (500, "(20%)"),
        (400, "(25%, more than 20%, so p0 was raised by 0.05)"),
        (200, "(50%, more than 40%, so p0 was raised by 0.1)"),
    ):
        assert said in threshold(replace(MADE, pool=pool)).assumptions[1]


def test_fewer_pairs_cannot_decide():
    assert [least_observations(p0, 1e-3) for p0 in CAUTIOUS] == [40, 25, 21]


@given(st.sampled_from([0.5, 0.65, 0.8, 0.95]), st.floats(1e-4, 0.2), st.floats(1e-4, 0.2))
def test_a_size_is_refused_where_no_outcome_could_decide(p0, alpha, beta):
    """A claim has to be possible, and the natural order of the originals for both decisions."""
    pairs = max(least_observations(p0, alpha), least_observations(0.5, min(alpha, beta)))
    for kind, late in (("contrast", pairs), ("contrast", pairs + 3), ("paper", 2 * pairs)):
        early = 0 if kind == "paper" else pairs
        enough = Sized(kind, late, early)
        check_size(enough, p0, alpha, beta)
        for fewer in ((late - 1, early),) if kind == "paper" or late == pairs else ((late, early - 1),):
            with pytest.raises(ExitprintError) as refused:
                check_size(Sized(kind, *fewer), p0, alpha, beta)
            assert f"gives {pairs - 1} pairs" in str(refused.value) and f"p0 = {p0:g} needs" in str(refused.value)
            assert f"least {2 * pairs} samples from a pool of at least {pool_needed(2 * pairs):,}" in str(refused.value)
            assert f"alpha = {alpha:g} and beta = {beta:g}" in str(refused.value)


class Sized:
    """All that the size of a fingerprint is."""

    def __init__(self, kind, late, early):
        self.kind, self.late = kind, torch.arange(late + early) < late

    def __len__(self):
        return len(self.late)


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
    with pytest.raises(ExitprintError, match=f"by {large.change:.0%} of the distance .* beyond 10% its owner's word"):
        check_change(large)
    check_change(large, references(0.2))
    check_change(MADE)


@pytest.mark.parametrize(("change", "refused"), [(0.1, False), (0.1001, True)])
def test_a_tenth_of_the_distance_is_small(change, refused):
    """The change may be a tenth of it, which no fingerprint hits exactly."""

    class Changed:
        def __init__(self):
            self.change = change

    try:
        check_change(Changed())  # type: ignore[arg-type]
    except ExitprintError:
        assert refused
    else:
        assert not refused


def test_more_samples_than_are_needed_are_enough():
    check_size(crafted("contrast", 100), 0.65, 1e-3, 1e-3)


def test_behind_a_front_door_a_network_known_to_be_independent_is_needed():
    way = Through("jpeg:90")
    with pytest.raises(ExitprintError, match=r"hold behind jpeg:90 too.*--reference"):
        check_front_door([way], [])
    check_front_door([way], references(0.2))
    check_front_door([], [])


def test_what_a_verifier_will_say_is_foreseen():
    assert foreseen(MADE) == []
    (few,) = foreseen(crafted("contrast", 60, references=()))
    assert few.startswith("With so few samples no outcome could decide") and "p0 = 0.8 needs" in few
    (large,) = foreseen(changed_by(0.2))
    assert large.startswith("Whoever verifies will be told: this fingerprint changes its images by 20%")
