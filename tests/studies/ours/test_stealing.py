from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from exitprint.errors import ExitprintError
from exitprint.fingerprints import PaperMethod, paper_fingerprint
from exitprint.networks import architecture, exit_costs
from exitprint.stealing import SubstituteRecipe
from exitprint.suspects import CostModel
from exitprint.timing.exits import estimate_exits
from exitprint.training import BackboneRecipe, HeadRecipe, Recipe, spread_policy
from exitprint.training.evaluate import logits_of
from exitprint_studies.ours import stealing
from exitprint_studies.ours.stealing import attack, measures
from exitprint_studies.ours.stealing.declared import (
    ANEW,
    AT_COST,
    CONVENTIONAL,
    EXITS_ALONE,
    LABELS,
    NO_SEARCH,
    NO_STRATEGY,
    OURS,
    SINGLE,
    TRUE_EXITS,
)
from exitprint_studies.ours.third_party import Adopted, weights_file
from exitprint_studies.ours.victims import Robbed, Victim, exit_names, is_at_hand
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

SHARES = ("accuracy", "fidelity", "same_exit", "within_one")

VICTIM = Victim(
    "small",
    NETWORK,
    Source(name="digits"),
    queries=200,
    tested=200,
    arch="resnet8",
    width=4,
    recipe=SubstituteRecipe(optimiser=BackboneRecipe(epochs=2, learning_rate=0.1, batch=32, weight_decay=5e-4)),
    shares=(0.5,),
    scanned=True,
    again=(1,),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def robbed(store):
    return Robbed(VICTIM, store, None, "here")


@pytest.fixture(autouse=True, scope="module")
def small_and_without_a_clock():
    patched = pytest.MonkeyPatch()
    patched.setattr("exitprint_studies.ours.victims.InProcess", CostModel)
    patched.setattr(measures, "SAMPLES", 12)
    patched.setattr(measures, "paper_fingerprint", partial(paper_fingerprint, method=PaperMethod(steps=30)))
    patched.setattr(measures, "SCAN", dict(list(measures.SCAN.items())[:1]))
    yield
    patched.undo()


def test_the_queries_are_new_to_the_victim(robbed):
    known = {image.numpy().tobytes() for part in (robbed.data.train, robbed.data.calibration) for image in part.pixels}
    queries = [image.numpy().tobytes() for image in robbed.queries]
    assert len(queries) == 200 and not known & set(queries)
    assert not {image.numpy().tobytes() for image in robbed.tested.pixels} & set(queries)
    with pytest.raises(ExitprintError, match="new to the victim"):
        Robbed(replace(VICTIM, queries=5000), robbed.store, None, "here")


def test_a_spread_policy_sends_a_share_to_every_exit(target, digits):
    network = target.copy()
    network.policy = spread_policy(target, digits.calibration, 0.8)
    exits = network.predict(digits.calibration.x).exits.numpy()
    shares = np.bincount(exits, minlength=7) / len(exits)
    assert shares[5] == 0  # as deep as the last one: closed
    wanted = 0.8 ** np.arange(6) / (0.8 ** np.arange(6)).sum()
    assert shares[[0, 1, 2, 3, 4, 6]] == pytest.approx(wanted, abs=0.04)


def test_exits_found_stand_for_where_most_inputs_left():
    assert exit_names(np.array([0, 0, 1, 1, 1]), np.array([0, 0, 2, 2, 1])).tolist() == [0, 2]


def test_the_whole_study_and_again_out_of_the_store(monkeypatch, store, tmp_path):
    absent = replace(VICTIM, name="absent", network=NETWORK.model_copy(update={"data": Source(name="fashion-mnist")}))
    monkeypatch.setattr(stealing, "victims", lambda preset: [VICTIM, absent])
    (tmp_path / "data").mkdir()
    run = Run("laptop", tmp_path, store, tmp_path / "data", InThisProcess())
    page, table, picture = stealing.STUDY.run(run)
    rows = read_parquet(table)
    methods = [row["method"] for row in rows if row["queries"] in (0, 200)]
    assert {SINGLE, CONVENTIONAL, AT_COST, LABELS, OURS, NO_SEARCH, NO_STRATEGY, TRUE_EXITS, EXITS_ALONE} <= set(
        methods
    )
    itself = rows[0]
    assert itself["fidelity"] == itself["same_exit"] == 1 and itself["cost_difference"] == 0
    for row in rows:
        shares = ("same_exit", "within_one") if row["method"] == EXITS_ALONE else SHARES
        assert all(0 <= row[share] <= 1 for share in shares)
    assert all(row["same_exit"] <= row["within_one"] for row in rows)
    (anew,) = (row for row in rows if row["method"] == ANEW)
    assert anew["same_exit"] < 1 and anew["cost_difference"] != 0  # another network than the victim
    assert [row["queries"] for row in rows if row["method"] == OURS] == [200, 100, 200, 200]
    words = page.read_text()
    for expected in ("goal: 2", "Of 1 further victims", "strategy 0", "Left out", "absent", "verdict", picture.name):
        assert expected in words
    assert picture.read_bytes()[:4] == b"\x89PNG"

    def forbidden(*args, **kwargs):
        raise AssertionError("made twice")

    monkeypatch.setattr(attack, "train_substitute", forbidden)
    monkeypatch.setattr("exitprint_studies.ours.victims.inquire", forbidden)
    before = page.read_bytes(), table.read_bytes(), picture.read_bytes()
    stealing.STUDY.run(run)
    assert (page.read_bytes(), table.read_bytes(), picture.read_bytes()) == before


def test_a_conventional_substitute_can_be_set_for_the_victims_cost(robbed):
    made = attack.Attack(robbed)
    network = made.conventional_at_cost()
    spent = np.array(exit_costs(network))[network.policy.exits(logits_of(network, robbed.queries))]
    assert spent.mean() == pytest.approx(made.depths[robbed.inquiry.estimate.exits].mean(), rel=0.1)


@pytest.mark.parametrize("preset", stealing.STUDY.presets)
def test_every_declared_victim_has_room_for_its_exits(preset):
    victims = stealing.victims(preset)
    assert len(victims) >= 3 and len({victim.name for victim in victims}) == len(victims)
    assert {"digits", "cifar10", "fashion-mnist"} <= {victim.network.data.name for victim in victims}
    assert all(victim.network.data != victim.pool for victim in victims)


def test_a_third_partys_network_has_no_next_training_and_is_not_trained(tmp_path, monkeypatch, robbed):
    other = replace(VICTIM, network=Adopted())
    assert stealing._networks([other]) == []
    monkeypatch.setattr(robbed, "victim", other)
    assert measures.trained_again(attack.Attack(robbed)) == []
    (tmp_path / "cifar10").mkdir()
    assert not other.is_at_hand(None) and not other.is_at_hand(tmp_path)
    (tmp_path / weights_file(20)).write_bytes(b"others")
    assert other.is_at_hand(tmp_path)
    with pytest.raises(ExitprintError, match="other weights"):
        other.network.realise(Store(tmp_path / "store"), tmp_path)


def test_data_is_at_hand_or_not(tmp_path, monkeypatch):
    monkeypatch.delenv("EXITPRINT_DATA_DIR", raising=False)
    assert is_at_hand("digits", tmp_path) and not is_at_hand("cifar10", tmp_path)
    (tmp_path / "cifar10").mkdir()
    assert is_at_hand("cifar10", tmp_path) and is_at_hand("cifar10", None)


class Drifting(CostModel):
    """A measured clock: what the cost model says in milliseconds, on a processor whose pace wanders."""

    def __init__(self, network):
        super().__init__(network)
        self.pace = np.exp(np.cumsum(0.03 * np.random.default_rng(5).standard_normal(50_000)))
        self.asked = 0

    def ask(self, x):
        answer = super().ask(x)
        self.asked += 1
        return replace(answer, seconds=1e-3 * answer.seconds / 1e6 * self.pace[self.asked], clock="measured")


def test_a_drifting_clock_is_steadied_and_one_machines_times_are_not_anothers(monkeypatch, store, robbed):
    monkeypatch.setattr("exitprint_studies.ours.victims.InProcess", Drifting)
    drifting = Robbed(VICTIM, store, None, "drifting")
    assert robbed.inquiry.clock == "cost-model" and drifting.inquiry.clock == "measured"
    assert adjusted_rand_score(drifting.true_exits, drifting.inquiry.estimate.exits) > 0.9
    raw = estimate_exits(drifting.inquiry.seconds).exits
    assert adjusted_rand_score(drifting.true_exits, raw) < adjusted_rand_score(
        drifting.true_exits, drifting.inquiry.estimate.exits
    )
    monkeypatch.setattr("exitprint_studies.ours.victims.InProcess", CostModel)
    assert (Robbed(VICTIM, store, None, "drifting").inquiry.seconds == drifting.inquiry.seconds).all()


def test_victims_are_timed_before_anything_else_runs_beside(monkeypatch, store, tmp_path):
    order = []
    monkeypatch.setattr(stealing, "victims", lambda preset: [VICTIM])
    monkeypatch.setattr(stealing, "_attack", lambda victim, *_: order.append(victim.network.seed))
    monkeypatch.setattr(stealing, "run_jobs", lambda *_: order.append("jobs") or [])
    monkeypatch.setattr(stealing, "written", lambda *_: [])
    stealing.STUDY.run(Run("laptop", tmp_path, store))
    assert order == [0, 1, "jobs"]
