"""The paper's figures, typed in: table 7 repeats what tables 1 and 2 say, so each checks the others."""

from __future__ import annotations

import pytest

from exitprint_studies.paper.published import DATA, FAMILIES, PUBLISHED, TABLE_7, published


def test_every_row_has_every_cell() -> None:
    assert all(set(row) == {(f, d) for f in FAMILIES for d in DATA} for row in PUBLISHED.values())
    assert set(TABLE_7) == {(f, d, rad) for f in FAMILIES for d in DATA for rad in (5, 15)}
    assert published("T_f", 5, "vgg", "cifar10") == 0.204
    assert published("T_f", 5, "vgg", "digits") is None and published("nothing", 5, "vgg", "cifar10") is None


@pytest.mark.parametrize("place", TABLE_7)
def test_table_7_holds_the_thresholds_and_rates_of_tables_1_and_2(place: tuple[str, str, int]) -> None:
    family, data, rad = place
    choices = TABLE_7[place]
    assert list(choices) == sorted(choices, reverse=True)
    assert published("T_f", rad, family, data) in [T_f for T_f, _, _ in choices]
    for T_f, independents, stolen in choices:
        if T_f == published("T_f", rad, family, data):
            assert published("independents verified", rad, family, data) == independents
            assert published("stolen verified", rad, family, data) == pytest.approx(stolen, abs=0.011)
