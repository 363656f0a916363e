from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitprint.fingerprints.likeness import FAR_WORSE, agreement

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
