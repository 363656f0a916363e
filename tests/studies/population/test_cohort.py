"""Networks declared to be trained together: made at once, by one process, the same files whatever was there before."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from declared import small
from pydantic import ValidationError

from exitprint.errors import Interrupted
from exitprint_studies import (
    Calibrated,
    Store,
    Tampered,
    Trained,
    realise,
    realise_all,
    trained_together,
)
from exitprint_studies.population import declare, jobs

SEEDS = (5, 1, 2)


def files(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*.safetensors")}


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    original = declare.train_together
    monkeypatch.setattr(declare, "train_together", lambda *a: calls.append(a[3]) or original(*a))
    return calls


def test_one_training_makes_them_all(tmp_path: Path, trainings: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, store, jobs_done = trained_together(small(0), SEEDS), Store(tmp_path), []
    original = jobs._put
    monkeypatch.setattr(jobs, "_put", lambda *a: jobs_done.append(a) or original(*a))
    removed = Tampered(parent=cohort[1], kind="remove-exits", parameters={"every": 2})
    realise_all([removed, *cohort], store)
    assert trainings == [SEEDS] and len(jobs_done) == 2 and len(files(tmp_path)) == 4
    assert all((store.seconds(spec.key) or 0) > 0 for spec in cohort)
    assert not list(tmp_path.rglob("*.unfinished"))
    realise_all(cohort, store)
    assert trainings == [SEEDS]


def test_a_lost_member_comes_back_as_it_was(tmp_path: Path, trainings: list[Any]) -> None:
    cohort, store = trained_together(small(0), SEEDS), Store(tmp_path)
    realise_all(cohort, store)
    whole = files(tmp_path)
    kept = store.path(cohort[0].key).stat().st_mtime_ns
    store.path(cohort[2].key).unlink()
    realise(cohort[0], store)
    assert len(trainings) == 1
    assert realise(cohort[2], store).history[0]["seed"] == 2
    assert files(tmp_path) == whole and store.path(cohort[0].key).stat().st_mtime_ns == kept


def test_processes_at_once_train_it_once(tmp_path: Path) -> None:
    cohort = trained_together(small(0), SEEDS)
    processes = [get_context("fork").Process(target=realise, args=(spec, Store(tmp_path / "many"))) for spec in cohort]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    realise_all(cohort, Store(tmp_path / "one"))
    assert files(tmp_path / "many") == files(tmp_path / "one")


def test_ctrl_c_keeps_the_state_of_a_cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, store = trained_together(small(0), SEEDS), Store(tmp_path / "stopped")
    monkeypatch.setattr("exitprint.training.together.train_heads_together", _stop)
    with pytest.raises(Interrupted, match="run the same command again"):
        realise_all(cohort, store)
    monkeypatch.undo()
    assert list(store.root.rglob("*.unfinished")) and not files(store.root)
    realise_all(cohort, store)
    realise_all(cohort, Store(tmp_path / "whole"))
    assert files(store.root) == files(tmp_path / "whole")


def _stop(*args: Any) -> None:
    raise KeyboardInterrupt


def test_a_declaration_says_with_whom(tmp_path: Path) -> None:
    alone, cohort = small(1), trained_together(small(0), SEEDS)
    assert "together" not in alone.key and alone.key != cohort[1].key
    assert cohort[1].cohort == cohort and alone.cohort == [alone]
    assert Calibrated.model_validate_json(Calibrated(parent=cohort[0], rad=15).model_dump_json()).parent == cohort[0]
    for seeds in ((1, 1, 2), (2, 3)):
        with pytest.raises(ValidationError, match="must all differ"):
            Trained.model_validate({**alone.model_dump(), "together": seeds})
