from __future__ import annotations

from itertools import islice

import pytest

from exitprint.networks import architecture
from exitprint.training import BackboneRecipe, HeadRecipe, Recipe
from exitprint_studies.ours import exits_from_time
from exitprint_studies.population.declare import Source, Trained
from exitprint_studies.population.jobs import InThisProcess
from exitprint_studies.population.store import Store
from exitprint_studies.study import Run
from exitprint_studies.tables import read_parquet

NETWORK = Trained(
    architecture=architecture("resnet8", (1, 8, 8), 10, width=4),
    data=Source(name="digits", limit=400),
    recipe=Recipe(
        backbone=BackboneRecipe(epochs=2, learning_rate=0.1, batch=64, weight_decay=5e-4),
        heads=HeadRecipe(epochs=1, learning_rate=5e-3, batch=128),
    ),
    seed=0,
)


def test_the_study_measures_and_simulates(monkeypatch, tmp_path):
    subject = exits_from_time.Subject("small", NETWORK, images=30, repeats=(2, 2), amplification=3)
    few = list(islice(exits_from_time._settings(), 1))
    monkeypatch.setattr(exits_from_time, "subjects", lambda: [subject])
    monkeypatch.setattr(exits_from_time, "_settings", lambda: iter(few))
    page, simulated, measured = exits_from_time.STUDY.run(
        Run("laptop", tmp_path, Store(tmp_path / "store"), None, InThisProcess())
    )
    rows = read_parquet(simulated)
    assert [row["method"] for row in rows] == ["blocks", "kde", "mixture"]
    assert all(row["found"] == row["used"] == 10 and row["ARI"] == pytest.approx(1, abs=0.01) for row in rows)
    timed = read_parquet(measured)
    assert [row["asked"] for row in timed] == ["in process", "KServe v2 on loopback"]
    assert [row["amplification"] for row in timed] == [1, 3]
    assert all(row["images"] == 30 and 1 <= row["repeats"] <= 2 and row["found"] >= 1 for row in timed)
    assert "met in 1 of 1 settings" in page.read_text() and "Measured" in page.read_text()
