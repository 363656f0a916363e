"""`study error-rates`: the product's own code on simulated suspects, a few runs of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exitprint_studies.ours import error_rates as study
from exitprint_studies.ours.error_rates import outcome, outcomes, page_of, upper
from exitprint_studies.ours.simulated_paths import BUDGET, plain
from exitprint_studies.ours.simulated_suspects import Case, every
from exitprint_studies.ours.simulated_times import COPY, shares
from exitprint_studies.population.store import Store


@pytest.mark.parametrize("number", range(len(every())), ids=lambda number: every()[number].name)
def test_no_promise_is_broken_in_a_few_runs(number: int) -> None:
    case = every()[number]
    found = outcomes(number, 0.05, 0, 20)
    row = study._row(case, 0.05, found)
    assert row["runs"] == 20 and row["kept"]
    assert all(decision in ("derived", "independent", "inconclusive") and made <= BUDGET for decision, made in found)


def test_copies_are_found_and_strangers_cleared() -> None:
    by_name = {case.name: number for number, case in enumerate(every())}
    assert {decision for decision, _ in outcomes(by_name["copy, p0 = 0.65"], 1e-3, 0, 20)} == {"derived"}
    assert "independent" in {decision for decision, _ in outcomes(by_name["stranger"], 0.05, 0, 20)}


@pytest.mark.parametrize("share", [0.5, 0.65, 0.8, 0.95])
def test_the_share_of_pairs_is_what_it_is_said_to_be(share: float) -> None:
    times = shares(share, 0.97)(np.random.default_rng(0), 4000)
    assert (times["late"][:, None] > times["early"]).mean() == pytest.approx(share, abs=0.02)
    assert (times["early original"][:, None] > times["late original"]).mean() == pytest.approx(0.97, abs=0.02)


def test_a_broken_promise_is_said() -> None:
    case = Case("a liar", True, False, COPY, plain)
    found = [outcome(case, 0.05, seed) for seed in range(40)]
    row = study._row(case, 0.05, found)
    assert not row["kept"] and "Not kept: a liar." in page_of([row])


def test_a_row_is_simulated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    row = study.row_of(store, 0, 0.05, 3)
    monkeypatch.setattr(study, "outcomes", None)
    assert study.row_of(store, 0, 0.05, 3) == row and row["runs"] == 3


def test_the_upper_end_is_clopper_pearsons() -> None:
    assert upper(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100)) and upper(100, 100) == 1
