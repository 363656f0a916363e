"""Declared networks: what makes two the same, and that what is finished is not computed twice."""

from __future__ import annotations

import os
import time
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import pytest
from declared import RECIPE
from pydantic import ValidationError

from exitprint.networks import MultiExitNetwork, load_network
from exitprint_studies import Calibrated, Member, Source, Spec, Store, Tampered, Trained, realise, realise_all
from exitprint_studies.population import declare
from exitprint_studies.population.declare import Grouped, is_there, suffix, with_ancestors
from exitprint_studies.population.laptop import LAPTOP, at_rad
from exitprint_studies.population.laptop import population as contrast_population


def files(root: Path) -> dict[str, bytes]:
    kept = (".safetensors", ".policy")
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.suffix in kept and path.is_file()}


def test_equal_declarations_are_one_network(specs: list[Spec]) -> None:
    parent = specs[-1]
    plain = Tampered(parent=parent, kind="prune", parameters={"rate": 0.2}, seed=1)
    assert plain.key == Tampered(parent=parent, kind="prune", parameters={"rate": "0.2", "rad": 5}, seed=1).key
    assert plain.key != Tampered(parent=parent, kind="prune", parameters={"rate": 0.2}, seed=2).key
    assert plain.key != Tampered(parent=parent, kind="prune", parameters={"rate": 0.3}, seed=1).key
    seedless = {Tampered(parent=parent, kind="remove-exits", parameters={"every": 2}, seed=s).seed for s in (0, 7)}
    assert seedless == {0}


def test_a_declaration_survives_json(specs: list[Spec]) -> None:
    for spec in specs:
        again = type(spec).model_validate_json(spec.model_dump_json())
        assert again == spec and again.key == spec.key


def test_wrong_declarations_are_refused(specs: list[Spec]) -> None:
    with pytest.raises(ValidationError, match="must be one of"):
        Tampered(parent=specs[-1], kind="melt")
    with pytest.raises(ValidationError):
        Calibrated(parent=specs[-1], rad=100)


def test_parents_come_first_and_once(specs: list[Spec]) -> None:
    order = with_ancestors(specs)
    assert len(order) == 6
    for index, spec in enumerate(order):
        assert isinstance(spec, Trained) or spec.parent in order[:index]


def test_what_is_there_is_read_and_no_image_is(
    specs: list[Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    first = [realise(spec, store) for spec in specs]
    assert all(is_there(spec, store) for spec in with_ancestors(specs))

    def refuse(*args: Any) -> None:
        raise AssertionError("computed twice")

    monkeypatch.setattr(declare, "train_network", refuse)
    monkeypatch.setattr(declare, "tamper", refuse)
    monkeypatch.setattr(declare, "calibrated_policy", refuse)
    monkeypatch.setattr(Source, "load", refuse)
    for spec, network in zip(specs, first, strict=True):
        again = realise(spec, store)
        assert again.policy == network.policy and again.history == network.history


def test_classes_are_lumped_together_and_a_declaration_says_so(specs: list[Spec]) -> None:
    plain, grouped = Source(name="digits", limit=400), Grouped(name="digits", limit=400, groups=(3, 8))
    all_classes, groups = plain.load(), grouped.load()
    assert groups.classes == 3 and groups.train.pixels.equal(all_classes.train.pixels)
    for first, last, group in ((0, 2, 0), (3, 7, 1), (8, 9, 2)):
        inside = (all_classes.test.labels >= first) & (all_classes.test.labels <= last)
        assert groups.test.labels[inside].unique().tolist() == [group]
    base = specs[0].parent.parent  # type: ignore[union-attr]
    declared = [Trained(**{**dict(base), "data": each}) for each in (plain, grouped)]
    assert declared[0] == base and declared[0].key != declared[1].key
    assert [Trained.model_validate_json(each.model_dump_json()) for each in declared] == declared


def test_a_calibration_shares_its_parents_weights(specs: list[Spec], tmp_path: Path) -> None:
    store = Store(tmp_path)
    lax, base = specs[0], specs[0].parent  # type: ignore[union-attr]
    network = realise(lax, store)
    assert suffix(lax) == ".policy" and store.path(lax.key, suffix(lax)).stat().st_size < 200
    stored = load_network(store.path(base.key))
    assert network.policy.thresholds <= stored.policy.thresholds
    assert all((a == b).all() for a, b in zip(network.parameters(), stored.parameters(), strict=True))


def test_killed_at_random_moments_the_files_are_those_of_an_undisturbed_run(specs: list[Spec], tmp_path: Path) -> None:
    realise_all(specs, Store(tmp_path / "undisturbed"))
    root, rng, finished = tmp_path / "killed", Random(0), {}
    for _ in range(12):
        process = get_context("fork").Process(target=realise_all, args=(specs, Store(root)))
        process.start()
        time.sleep(rng.uniform(0.02, 0.4))
        process.kill()
        process.join()
        now = {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")}
        assert finished.items() <= now.items()
        finished = now
        for path in finished:
            load_network(path)
    realise_all(specs, Store(root))
    assert files(root) == files(tmp_path / "undisturbed")
    assert not list(root.rglob("*.tmp")) and not list(root.rglob("*.unfinished"))


@pytest.mark.parametrize("family", LAPTOP)
def test_the_contrast_population(family: str) -> None:
    members = contrast_population(family)
    cell = at_rad(members, 15)
    assert members[0].role == "target" and len({member.name for member in cell}) == len(cell)
    assert sum(member.role == "independent" for member in cell) >= 20
    assert sum(member.role == "stolen" for member in cell) >= 40
    assert len({str(member.network.key) for member in cell}) == len(cell)
    assert all(isinstance(member.network, Calibrated) for member in cell)
    target = members[0].network
    for member in members:
        assert (target in with_ancestors([member.network])) == (member.role != "independent")


def test_a_member_at_another_rad_keeps_its_weights(specs: list[Spec]) -> None:
    member = Member(name="a", role="stolen", group="g", network=specs[1])
    assert member.at(15).network == Calibrated(parent=specs[1], rad=15)
    assert member.at(15).at(5) == member.at(15)


def test_the_population_is_the_declared_architecture(specs: list[Spec], tmp_path: Path) -> None:
    network = realise(specs[-1], Store(tmp_path))
    assert isinstance(network, MultiExitNetwork) and network.history[0]["recipe"] == RECIPE.model_dump(mode="json")
    assert os.listdir(tmp_path)
