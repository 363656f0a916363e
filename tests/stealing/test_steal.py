from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.networks import save_network
from exitprint.stealing import TransferSet, default_recipe, steal, train_substitute, with_searched_policy
from exitprint.stealing.agreement import agreement, behaviour
from exitprint.stealing.steal import one_hot_or_probabilities, split_transfer_set
from exitprint.stealing.substitute import USUAL_THRESHOLD, victim_thresholds
from exitprint.suspects import CostModel
from exitprint.timing.inquiry import inquire
from exitprint.training import spread_policy

RECIPE = default_recipe(small=True, epochs=12)


@pytest.fixture(scope="module")
def victim(target, digits):
    victim = target.copy()
    victim.policy = spread_policy(target, digits.calibration, 0.85)
    return victim


@pytest.fixture(scope="module")
def pixels(digits):
    return digits.train.pixels[:700]


@pytest.fixture(scope="module")
def inquiry(victim, pixels):
    return inquire(CostModel(victim), pixels.float() / 255)


@pytest.fixture(scope="module")
def stolen(inquiry):
    return steal(inquiry, 10, flips=False, width=8, recipe=RECIPE)


def test_the_substitute_leaves_where_the_victim_leaves(stolen, victim, digits, inquiry):
    assert stolen.network.num_exits == inquiry.estimate.count
    seen = behaviour(victim, digits.test.pixels)
    used = np.unique(seen.exits)
    found = agreement(behaviour(stolen.network, digits.test.pixels, used), seen, digits.test.labels.numpy())
    assert found.within_one > 0.6 and found.same_exit > 0.35 and found.fidelity > 0.85
    assert abs(found.cost_difference) < 0.15
    by_chance = sum(np.bincount(seen.exits, minlength=7) ** 2) / len(seen.exits) ** 2
    assert found.same_exit > by_chance + 0.1
    assert stolen.search.agreement > 0.35 and stolen.searched == (700, False)
    assert stolen.network.policy.thresholds == pytest.approx(stolen.search.thresholds)


def test_the_same_seed_gives_the_same_file(tmp_path, inquiry):
    short = default_recipe(small=True, epochs=1)
    for name in ("a", "b"):
        save_network(steal(inquiry, 10, width=8, recipe=short, seed=3).network, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_function_alone_has_one_exit(inquiry):
    stolen = steal(inquiry, 10, flips=False, width=4, recipe=RECIPE, function_only=True)
    assert stolen.network.num_exits == 1 and stolen.search is None
    assert stolen.fidelity > 0.5


def test_labels_are_enough(inquiry):
    labels = inquiry.probabilities.argmax(1).astype(np.int64)
    told = replace(inquiry, probabilities=None, labels=labels)
    assert (one_hot_or_probabilities(told, 10).argmax(1).numpy() == labels).all()
    stolen = steal(told, 10, flips=False, width=8, recipe=default_recipe(True, 6))
    assert stolen.search.agreement > 0.25
    with pytest.raises(ExitprintError, match="use other data"):
        one_hot_or_probabilities(told, 5)


def test_without_differences_in_time_the_strategy_is_not_made_up(inquiry):
    constant = replace(inquiry, estimate=_constant(inquiry))
    with pytest.raises(ExitprintError, match="--function-only"):
        steal(constant, 10, recipe=RECIPE)
    one_epoch = default_recipe(True, 1)
    assert steal(constant, 10, width=4, recipe=one_epoch, function_only=True).network.num_exits == 1


def _constant(inquiry):
    from exitprint.timing.exits import estimate_exits

    return estimate_exits(np.full(len(inquiry.seconds), 0.5))


def test_too_few_queries_are_refused(inquiry):
    with pytest.raises(ExitprintError, match="too few"):
        steal(replace(inquiry, queries=inquiry.queries[:30]), 10, recipe=RECIPE)


def test_thresholds_are_told_by_the_victims_confidence(victim, digits):
    prediction = victim.predict(digits.train.x[:700])
    transfer_set = TransferSet(digits.train.pixels[:700], prediction.probabilities, prediction.exits, False)
    found = victim_thresholds(transfer_set, victim.num_exits)
    used = np.unique(prediction.exits[prediction.exits < victim.num_exits - 1])
    assert found[used] == pytest.approx(np.array(victim.policy.thresholds)[used], abs=0.06)
    one_hot = torch.nn.functional.one_hot(prediction.labels, 10).float()
    silent = replace(transfer_set, answers=one_hot)
    assert silent.only_labels and (victim_thresholds(silent, victim.num_exits) == USUAL_THRESHOLD).all()


def test_the_search_is_no_worse_than_the_told_thresholds(inquiry, pixels, stolen):
    transfer_set = TransferSet(
        pixels, torch.from_numpy(inquiry.probabilities), torch.from_numpy(inquiry.estimate.exits), False
    )
    network = train_substitute(stolen.network.architecture, transfer_set, default_recipe(True, 2))
    told = behaviour(network, pixels).exits
    found = with_searched_policy(network, transfer_set)
    assert found.agreement >= (told == inquiry.estimate.exits).mean()
    assert (behaviour(network, pixels).exits == found.exits).all()


def test_queries_are_kept_back_where_there_are_many():
    def transfer_set(number):
        return TransferSet(torch.arange(number)[:, None], torch.ones(number, 1), None, False)

    few, same, back = split_transfer_set(transfer_set(1000), 0)
    assert not back and len(few) == len(same) == 1000
    training, searched, back = split_transfer_set(transfer_set(4000), 0)
    assert back and len(searched) == 600
    assert sorted([*training.pixels[:, 0].tolist(), *searched.pixels[:, 0].tolist()]) == list(range(4000))


def test_a_substitute_with_too_few_exits_is_refused(inquiry, pixels, stolen):
    transfer_set = TransferSet(
        pixels, torch.from_numpy(inquiry.probabilities), torch.from_numpy(inquiry.estimate.exits), False
    )
    small = stolen.network.architecture.model_copy(update={"exits": (0,)})
    with pytest.raises(ExitprintError, match="this substitute has 2"):
        train_substitute(small, transfer_set, RECIPE)
