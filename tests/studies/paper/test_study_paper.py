"""From declared networks to files, on one tiny cell."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from exitprint.errors import ExitprintError
from exitprint.fingerprints import load_fingerprint
from exitprint.fingerprints.score import auc
from exitprint.suspects import CostModel
from exitprint_studies import Store, read_parquet, realise
from exitprint_studies.conferrable import load_labels, share_of_labels
from exitprint_studies.metrics import decision_of
from exitprint_studies.paper import EXHIBITS, STUDIES, crafted, measure
from exitprint_studies.paper.cells import RADS, Cell, gpu_cell, made_by
from exitprint_studies.paper.crafted import METHODS
from exitprint_studies.paper.exhibit import chosen
from exitprint_studies.paper.make import results_of
from exitprint_studies.paper.rehearsal import rehearsed
from exitprint_studies.paper.report import write_exhibits
from exitprint_studies.paper.results import Results, independent, stolen
from exitprint_studies.population.declare import Trained, is_there, with_ancestors
from exitprint_studies.studies import study_named
from exitprint_studies.study import Run, Study

FIGURES = [exhibit.name for exhibit in EXHIBITS if exhibit.figure]


def test_there_is_a_row_for_each_network_method_and_rad(results: Results, cell: Cell) -> None:
    policies = len(cell.at(5)) - len(cell.members)
    networks = len(cell.members) + len(cell.more) + policies
    assert len(results.rows) == networks * len(METHODS) * len(RADS)
    assert len({(r["network"], r["method"], r["RAD"]) for r in results.rows}) == len(results.rows)
    assert {row["clock"] for row in results.rows} == {"cost-model"}
    for row in results.rows:
        assert (row["contrast AUC"] is None) == (row["method"] != "contrast")
        assert (row["label share"] is None) == (row["method"] != "baseline")
        assert row["verified"] in (True, False) and 0 <= row["accuracy"] <= 1


def test_rows_say_what_asking_the_suspect_says(results: Results, cell: Cell) -> None:
    member = cell.members[2].at(5)
    suspect = CostModel(realise(member.network, results.store))
    by_method = {r["method"]: r for r in results.rows if (r["network"], r["RAD"]) == (member.name, 5)}
    contrast = load_fingerprint(results.fingerprints[0, "contrast"], inf)
    seconds, late = suspect.ask(contrast.x).seconds, contrast.late.numpy()
    assert by_method["contrast"]["contrast AUC"] == auc(seconds[late], seconds[~late])
    assert by_method["contrast"]["verified"] == (decision_of(contrast, suspect) == "derived")
    share = share_of_labels(load_labels(results.fingerprints[0, "baseline"]), suspect)
    assert by_method["baseline"]["label share"] == share
    times = suspect.ask(load_fingerprint(results.fingerprints[0, "paper"]).x).seconds
    longest = suspect.ask(measure.ordinary_images(cell.data.load().test).x).seconds.max()
    assert by_method["paper"]["T_N"] == pytest.approx(1 - (times / longest).clip(0, 1).mean())


def test_what_was_measured_is_not_measured_again(
    results: Results, cell: Cell, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("computed twice")

    for module, name in ((measure, "_ordinary"), (measure, "_by"), (measure, "_backbone"), (crafted, "_make")):
        monkeypatch.setattr(module, name, refuse)
    assert results_of(run, EXHIBITS, [cell]).rows == results.rows


def test_another_fingerprint_is_measured_anew(results: Results, tmp_path: Path) -> None:
    first, second = (results.fingerprints[0, method] for method in ("paper", "contrast"))
    assert crafted.digest_of(first) != crafted.digest_of(second)
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(first.read_bytes())
    assert crafted.digest_of(copy) == crafted.digest_of(first)


def test_all_files_are_written_and_the_same_twice(results: Results, tmp_path: Path) -> None:
    for folder in ("once", "twice", "thrice"):
        (tmp_path / folder).mkdir()
    written = write_exhibits(results, EXHIBITS, "paper", "Everything", "laptop", tmp_path / "once")
    assert written[0].name == "paper.html"
    names = {path.name for path in written}
    first = next(exhibit for exhibit in EXHIBITS if exhibit.figure)
    once, twice = (
        write_exhibits(results, [first], "paper", "One", "laptop", tmp_path / folder) for folder in ("twice", "thrice")
    )
    for one, other in zip(once, twice, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")} <= names
    assert {f"{exhibit.name}.parquet" for exhibit in EXHIBITS} <= names
    assert read_parquet(tmp_path / "once" / "paper.parquet") == [dict(row) for row in results.rows]
    text, page = ((tmp_path / "once" / f"paper.{kind}").read_text() for kind in ("md", "html"))
    for exhibit in EXHIBITS:
        assert f"## {exhibit.title}\n" in text and exhibit.title in page
    assert "http" not in page.replace("http-equiv", "") and "<script" not in page


@pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)
def test_every_table_has_equal_columns(results: Results, exhibit: Any) -> None:
    table = exhibit.table(results)
    assert table and len({tuple(row) for row in table}) == 1


def test_questions_to_the_results(results: Results, cell: Cell) -> None:
    assert len(results.of(cell, 5, "paper", independent)) == 3
    copies = results.of(cell, 5, "paper", stolen)
    assert len(copies) == 6 + len(cell.at(5)) - len(cell.members)
    retrained = results.of(cell, 5, "paper", chosen(cell, lambda m: made_by(m, "retrain-exits")))
    assert {row["network"] for row in retrained} == {"copy 2", "more 0"}
    assert results.mean(cell, 5, "paper", "T_N", lambda row: False) is None
    assert results.verified(cell, 5, "paper", lambda row: False) is None
    assert results.seconds[0, "networks, s"] > 0


def test_present_uses_what_is_there_and_makes_nothing(cell: Cell, run: Run, results: Results, tmp_path: Path) -> None:
    store = Store(tmp_path / "part")
    for spec in [cell.target, cell.members[1].network, cell.members[4].network]:
        realise(spec, store)
    part = replace(run, store=store, present=True)
    found = results_of(part, EXHIBITS, [cell, replace(cell, family="vgg", members=cell.members[3:4])])
    assert len(found.cells) == 1
    assert {row["network"] for row in found.rows if row["pool"] == "rates"} >= {"target", "other 1", "copy 0"}
    assert "baseline" not in {row["method"] for row in found.rows}
    assert not is_there(cell.members[2].network, store) and not is_there(cell.references[0], store)
    assert all(exhibit.figure(found) for exhibit in EXHIBITS if exhibit.figure and exhibit.table(found))
    some = [exhibit for exhibit in EXHIBITS if not exhibit.table(found) or not exhibit.figure]
    out = tmp_path / "out"
    out.mkdir()
    assert write_exhibits(found, some, "paper", "Part", "gpu", out)[0].is_file()


def test_a_refused_contrast_leaves_a_dash_and_is_not_tried_again(
    cell: Cell, results: Results, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        tried.append(1)
        raise ExitprintError("the change is too large.")

    monkeypatch.setattr(crafted, "contrast_fingerprint", refuse)
    other = replace(cell, effort=replace(cell.effort, samples=8))
    for _ in range(2):
        assert crafted.craft(other, "contrast", run.store) is None
    assert tried == [1]
    without = replace(results, rows=[row for row in results.rows if row["method"] != "contrast"])
    for exhibit in EXHIBITS:
        assert exhibit.table(without)
        assert exhibit.figure is None or exhibit.figure(without)


def test_studies_are_registered() -> None:
    assert study_named("paper") in STUDIES and study_named("paper-table-7") in STUDIES
    assert {f"paper-table-{n}" for n in range(1, 12)} | {f"paper-figure-{n}" for n in range(1, 7)} <= {
        study.name for study in STUDIES
    }


def test_a_study_that_needs_all_networks_says_so(run: Run) -> None:
    whole = Study("whole", "", lambda preset: [], lambda run: [])
    for asked in ({"present": True}, {"rehearsal": True}):
        with pytest.raises(ExitprintError, match="needs all of its networks"):
            whole.run(replace(run, **asked))


def test_a_rehearsal_makes_few_networks_hardly_trained(cell: Cell, run: Run, tmp_path: Path) -> None:
    small = rehearsed(gpu_cell("resnet"))
    assert [member.role for member in small.members] == ["target", "independent", "stolen"] and not small.more
    target = small.target
    assert isinstance(target, Trained) and target.architecture == gpu_cell("resnet").target.architecture
    assert (target.data.limit, target.recipe.backbone.epochs) == (1000, 4)
    assert all(with_ancestors([spec])[0] == target for spec in small.surrogates)
    found = results_of(replace(run, store=Store(tmp_path), rehearsal=True), EXHIBITS, [cell])
    assert {(row["network"], row["method"]) for row in found.rows} >= {("other 1", "paper"), ("copy 0", "baseline")}
    assert {row["network"] for row in found.rows}.isdisjoint({"other 2", "copy 1", "more 0"})
