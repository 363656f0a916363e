"""Jobs: in this process or in several, the result is the same; a stop keeps what was finished."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from exitprint.errors import ExitprintError, Interrupted
from exitprint_studies import Spec, Store, executor, plan, realise, realise_all, run_jobs
from exitprint_studies.population import jobs
from exitprint_studies.population.declare import with_ancestors
from exitprint_studies.population.estimate import estimated_bytes
from exitprint_studies.study import Run, Study


def double(x: int) -> int:
    return 2 * x


def refuse(x: int) -> int:
    raise ExitprintError(f"not {x}.")


def die(x: int) -> None:
    os._exit(1)


def networks(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*.safetensors")}


def test_results_come_in_order_and_errors_come_out() -> None:
    with executor() as pool:
        assert run_jobs(double, range(5), pool, "doubling") == [0, 2, 4, 6, 8]
        with pytest.raises(ExitprintError, match="not 1"):
            run_jobs(refuse, [1, 2], pool, "refusing")
    with pytest.raises(ExitprintError, match="positive"), executor(0):
        pass


def test_two_processes_make_the_same_networks_and_may_die(specs: list[Spec], tmp_path: Path) -> None:
    realise_all(specs, Store(tmp_path / "one"))
    with pytest.raises(ExitprintError, match="was killed"), executor(2) as pool:
        realise_all(specs, Store(tmp_path / "two"), pool=pool)
        assert networks(tmp_path / "one") == networks(tmp_path / "two")
        run_jobs(die, [1], pool, "dying")


def test_ctrl_c_keeps_what_was_finished(specs: list[Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, made = Store(tmp_path), []

    def put(spec: Spec, *args: Any) -> None:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(realise(spec, store))

    monkeypatch.setattr(jobs, "_put", put)
    with pytest.raises(Interrupted, match="what was finished is kept"):
        realise_all(specs, store)
    assert len(networks(tmp_path)) == 2


def test_the_plan_counts_and_trains_nothing(specs: list[Spec], tmp_path: Path) -> None:
    store = Store(tmp_path)
    before = plan(specs, store)
    assert (before.networks, before.present, before.measured) == (6, 0, False)
    assert before.seconds > 0 and not list(tmp_path.iterdir())
    order = with_ancestors(specs)
    realise_all(order[:2], store)
    after = plan(specs, store)
    assert (after.networks, after.present, after.measured) == (6, 2, True)
    assert after.megabytes < before.megabytes
    realise_all(specs, store)
    done = plan(specs, store)
    assert done.present == 6 and done.seconds == 0 and done.megabytes == 0


def test_the_estimated_size_is_about_the_file_s(specs: list[Spec], tmp_path: Path) -> None:
    store = Store(tmp_path)
    realise(specs[-1], store)
    size = store.path(specs[-1].key).stat().st_size
    assert estimated_bytes(specs[-1]) < size < 3 * estimated_bytes(specs[-1])


def test_ctrl_c_at_any_moment_of_a_study_says_what_a_rerun_does(tmp_path: Path) -> None:
    def stop(run: Run) -> list[Path]:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="run the same command again and it continues"):
        Study("stopped", "", lambda preset: [], stop).run(Run("laptop", tmp_path, Store(tmp_path)))
