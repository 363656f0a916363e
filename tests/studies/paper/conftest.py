"""One tiny cell of the paper's tables, on digits, and what was measured on it once."""

from __future__ import annotations

from pathlib import Path

import pytest

from exitprint.fingerprints import contrast
from exitprint.networks import architecture
from exitprint.training import BackboneRecipe, HeadRecipe, Recipe
from exitprint_studies import Member, Source, Spec, Store, Tampered, Trained
from exitprint_studies.paper import EXHIBITS
from exitprint_studies.paper.cells import Cell, Effort
from exitprint_studies.paper.make import results_of
from exitprint_studies.paper.results import Results
from exitprint_studies.study import Run

HEADS = HeadRecipe(epochs=2, learning_rate=5e-3, batch=128)
RECIPE = Recipe(backbone=BackboneRecipe(epochs=4, learning_rate=0.1, batch=64, weight_decay=5e-4), heads=HEADS)


def trained(seed: int) -> Trained:
    arch = architecture("resnet8", (1, 8, 8), 10, width=4)
    return Trained(architecture=arch, data=Source(name="digits", limit=400), recipe=RECIPE, seed=seed)


def copied(parent: Spec, kind: str, seed: int = 0, **parameters: object) -> Tampered:
    if kind != "prune":
        parameters["heads"] = HEADS.model_dump()
    return Tampered(parent=parent, kind=kind, parameters=parameters, seed=seed)


def tiny_cell() -> Cell:
    """A target, three independents and a stolen copy of each kind that a table or figure asks for."""
    target = trained(0)
    first = {kind: copied(target, kind, 1, epochs=2, share=0.5) for kind in ("finetune", "adversarial")}
    stolen = [
        ("pruned", copied(target, "prune", rate=0.2, retrain_heads=False)),
        ("8-bit", Tampered(parent=target, kind="quantise", parameters={"retrain_heads": False})),
        ("ICs retrained", copied(target, "retrain-exits", 1)),
        ("fine-tuned", first["finetune"]),
        ("fine-tuned", copied(first["finetune"], "finetune", 1, epochs=2, share=0.5)),
        ("adversarial", first["adversarial"]),
    ]
    more = [
        ("ICs retrained", copied(target, "retrain-exits", 2)),
        ("ICs retrained, pruned 0.2", copied(target, "prune", 3, rate=0.2)),
    ]
    members = [
        Member(name="target", role="target", group="target", network=target),
        *(Member(name=f"other {s}", role="independent", group="independent", network=trained(s)) for s in (1, 2, 3)),
        *(Member(name=f"copy {i}", role="stolen", group=g, network=n) for i, (g, n) in enumerate(stolen)),
    ]
    return Cell(
        "resnet",
        target.data,
        tuple(members),
        tuple(Member(name=f"more {i}", role="stolen", group=g, network=n) for i, (g, n) in enumerate(more)),
        surrogates=(copied(target, "retrain-exits", 9),),
        references=(trained(9),),
        effort=Effort(samples=10, steps=12, baseline_steps=12, epsilon=0.2),
    )


@pytest.fixture(scope="session")
def cell() -> Cell:
    return tiny_cell()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root: Path = tmp_path_factory.mktemp("paper")
    (root / "out").mkdir()
    return Run("laptop", root / "out", Store(root / "store"))


@pytest.fixture(scope="session")
def results(cell: Cell, run: Run) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contrast, "LARGEST_CHANGE", {True: 9.0, False: 9.0})  # no contrast on digits would be let through
        patch.setattr(contrast, "check_own", lambda *_: None)  # hardly trained, it does not tell even itself
        return results_of(run, EXHIBITS, [cell])
