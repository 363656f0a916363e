"""The declared grid: counts as the paper and the issue want them, nothing twice, nothing of the baseline's on trial."""

from __future__ import annotations

import json

import pytest

from exitprint_studies import Calibrated, Source, Tampered
from exitprint_studies.paper import EXHIBITS
from exitprint_studies.paper.cells import (
    DIGITS_HEADS,
    RADS,
    Cell,
    amount,
    cells,
    in_turn,
    laptop_cell,
    made_by,
    with_heads,
)
from exitprint_studies.paper.make import declared
from exitprint_studies.population.declare import with_ancestors
from exitprint_studies.population.laptop import HEADS, LAPTOP_DATA, population
from exitprint_studies.study import PRESETS, Preset


def keys(specs: object) -> set[str]:
    return {json.dumps(spec.key, sort_keys=True) for spec in specs}  # type: ignore[attr-defined]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_sound(preset: Preset) -> None:
    for cell in cells(preset):
        everybody = [*cell.members, *cell.more]
        assert cell.members[0].role == "target"
        assert len({member.name for member in everybody}) == len(keys(m.network for m in everybody)) == len(everybody)
        assert not keys([*cell.surrogates, *cell.references]) & keys(m.network for m in everybody)
        own = keys([cell.target])
        for member in everybody:
            derived = bool(own & keys(with_ancestors([member.network])))
            assert derived == (member.role != "independent")


def test_laptop_has_twenty_of_each_and_shares_the_contrast_study_s_networks() -> None:
    found = cells("laptop")
    assert {(cell.family, cell.data.name) for cell in found} == {
        (family, data) for family in ("resnet", "vgg", "mobilenet") for data in ("cifar10", "digits")
    }
    for cell in found:
        for rad in RADS:
            roles = [member.role for member in cell.at(rad)]
            assert roles.count("independent") >= 20 and roles.count("stolen") >= 20
        everybody = [*cell.members, *cell.more]
        least = {"retrain-exits": 20 if cell.data.name == "digits" else 8, "prune": 3, "quantise": 3}
        for kind, count in least.items():
            again = {} if kind == "retrain-exits" else {"retrain_heads": True}
            assert sum(made_by(member, kind, **again) for member in everybody) >= count
    [resnet] = [cell for cell in found if (cell.family, cell.data) == ("resnet", LAPTOP_DATA)]
    assert [m.network for m in resnet.members] == [m.network for m in population("resnet")]


def test_paper_is_the_paper_s_grid() -> None:
    found = cells("paper")
    assert len(found) == 9
    for cell in found:
        everybody = [*cell.members, *cell.more]

        def count(kind: str, cell: Cell = cell, **parameters: object) -> int:
            return sum(made_by(member, kind, **parameters) for member in (*cell.members, *cell.more))

        assert sum(member.role == "independent" for member in everybody) == 100
        assert sum(member.role == "stolen" for member in cell.members) == 100
        assert count("finetune") == 80 and count("adversarial") == (30 if cell.data.name == "cifar10" else 50)
        assert count("retrain-exits") == 100 and count("quantise", retrain_heads=True) == 100
        assert count("prune", retrain_heads=False) == 4 and count("quantise", retrain_heads=False) == 1
        assert count("prune", rate=0.2, retrain_heads=True) == count("prune", rate=0.4, retrain_heads=True) == 100
        assert {amount(m.network) for m in everybody if made_by(m, "finetune")} == set(range(2, 17, 2))


def test_amounts_count_epochs_of_one_series_and_rates() -> None:
    cell = laptop_cell("resnet", LAPTOP_DATA)
    series = [m for m in cell.members if made_by(m, "finetune")]
    assert [amount(m.network) for m in series] == [2, 4, 6, 8, 10, 12, 14, 16]
    assert amount(series[0].at(15).network) == 2 and amount(cell.target) is None
    pruned = Tampered(parent=series[0].network, kind="prune", parameters={"rate": 0.3})
    assert amount(pruned) == 0.3
    assert not made_by(series[0].model_copy(update={"network": pruned}), "prune")
    assert made_by(series[0].at(15), "finetune") and not made_by(cell.members[0], "finetune")
    assert amount(Calibrated(parent=cell.target, rad=5)) is None


def test_cells_take_turns() -> None:
    a, b = (laptop_cell(family, LAPTOP_DATA).networks for family in ("resnet", "vgg"))
    mixed = in_turn([a, b[:2]])
    assert mixed[:5] == [a[0], b[0], a[1], b[1], a[2]] and len(mixed) == len(a) + 2


def test_an_exhibit_declares_only_what_it_rests_on() -> None:
    by_name = {exhibit.name: len(declared("laptop", [exhibit])) for exhibit in EXHIBITS}
    everything = len(declared("laptop", EXHIBITS))
    assert by_name["figure-2"] < by_name["table-8"] < by_name["table-2"] < by_name["table-4"] < everything
    assert by_name["accuracies"] == everything


def test_digits_differ_in_how_ics_are_trained_only() -> None:
    data = Source(name="digits")
    declared_, ours = population("vgg", data), laptop_cell("vgg", data).members
    assert [with_heads(member.network, HEADS) for member in ours] == [member.network for member in declared_]
    first = ours[0].network
    assert first.recipe.heads == DIGITS_HEADS and first.recipe.backbone == declared_[0].network.recipe.backbone  # type: ignore[union-attr]
