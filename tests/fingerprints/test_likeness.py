from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exitprint.fingerprints.likeness import FAR_WORSE, _renamed, agreement, closest

OWNER = (np.arange(60) % 5).tolist()


@given(st.permutations(range(5)))
def test_renamed_labels_agree(names: list[int]) -> None:
    assert agreement(OWNER, [names[label] for label in OWNER]) == 1


def test_merged_labels_agree() -> None:
    assert agreement(OWNER, [label // 2 for label in OWNER]) == 1


@given(st.integers(0, 1000))
def test_labels_that_know_nothing_do_not(seed: int) -> None:
    found = agreement(OWNER, np.random.default_rng(seed).integers(5, size=60).tolist())
    assert found is not None and found < FAR_WORSE


def test_one_label_for_everything_does_not() -> None:
    found = agreement(OWNER, [3] * 60)
    assert found is not None and found < FAR_WORSE


def test_some_mistakes_are_no_matter() -> None:
    some = [(label + 1) % 5 if number % 4 == 0 else label for number, label in enumerate(OWNER)]
    assert agreement(OWNER, some) == pytest.approx(0.75)


def test_too_few_images_or_too_many_classes_say_nothing() -> None:
    assert agreement(OWNER[:19], OWNER[:19]) is None
    assert agreement(list(range(40)), [label + 1 for label in range(40)]) is None
    assert agreement(list(range(40)), list(range(40))) == 1


def told(of: list[int], by: list[int]) -> float:
    """Written down once more: labels told from those of the same image's other ones, less the commonest label."""
    found = 0
    for i, (label, truth) in enumerate(zip(by, of, strict=True)):
        others = Counter(other for j, other in enumerate(of) if j != i and by[j] == label)
        found += bool(others) and others[truth] == max(others.values())
    commonest = max(Counter(of).values())
    return (found - commonest) / (len(of) - commonest) if commonest < len(of) else 0.0


@settings(max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=60, max_size=60), st.integers(0, 1000), st.integers(0, 60))
def test_the_best_of_three_ways_counts_whatever_the_labels_are_called(
    labels: list[int], called: int, kept: int
) -> None:
    suspect = OWNER[:kept] + labels[kept:]
    owner, renamed = ([called + 3 * label for label in part] for part in (OWNER, suspect))
    alike = np.mean([one == other for one, other in zip(OWNER, suspect, strict=True)])
    wanted = max(float(alike), told(OWNER, suspect), told(suspect, OWNER))
    assert agreement(owner, renamed) == pytest.approx(wanted)


def test_twenty_images_say_something() -> None:
    assert agreement(OWNER[:20], OWNER[:20]) == 1 and agreement(OWNER[:19], OWNER[:19]) is None


def test_one_label_of_the_owner_tells_nothing_but_itself() -> None:
    assert agreement([1000] * 300, [1000] * 300) == 1
    assert agreement([0] * 40, [1] * 40) is None
    assert agreement([0] * 40, [0] * 20 + [1] * 20) == 0.5


def test_labels_are_renamed_only_where_the_owners_own_would_agree() -> None:
    """Pairs of images of twenty classes are renamed well, and some that occur once are too many."""
    pairs = [number // 2 for number in range(40)]
    assert agreement(pairs, [19 - label for label in pairs]) == 1
    for singles, renamed in ((6, True), (7, False)):
        owner = pairs[: 40 - singles] + list(range(100, 100 + singles))
        found = agreement(owner, [200 - label for label in owner])
        assert (found is not None) == renamed


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30))
def test_how_well_labels_tell_others(pairs: list[tuple[int, int]]) -> None:
    of, by = ([*part] for part in zip(*pairs, strict=True))
    assert _renamed(of, by) == pytest.approx(told(of, by))


def test_the_answers_that_are_closest_count_and_nothing_is_said_where_one_of_them_cannot_be_told() -> None:
    suspect = [label if place % 10 else 9 for place, label in enumerate(OWNER)]
    behind, strange = [9 - label for label in suspect], [place % 7 for place in range(len(OWNER))]
    assert closest([OWNER, suspect], suspect) == closest([suspect, strange], suspect) == 1
    assert closest([OWNER, behind], suspect) == 1, "labels may be renamed behind a way too"
    assert closest([strange], suspect) == agreement(strange, suspect) < 0.5
    cannot_be_told = list(range(len(OWNER)))
    assert closest([strange, cannot_be_told], suspect) is None and closest([suspect, cannot_be_told], suspect) == 1
    assert closest([OWNER[:5]], OWNER[:5]) is None
