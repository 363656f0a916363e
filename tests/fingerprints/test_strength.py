"""Thefts simulated on a network: which, what the samples come to on each copy, and that no verdict rests on it."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from importlib import import_module
from multiprocessing import connection

import pytest

from exitprint.data import Images
from exitprint.errors import ExitprintError, Interrupted
from exitprint.fingerprints import (
    ContrastMethod,
    Reference,
    contrast_fingerprint,
    load_fingerprint,
    save_fingerprint,
    strength,
    thefts,
    thieves,
    verify,
)
from exitprint.fingerprints.strength import AS_IT_IS, _Seen
from exitprint.fingerprints.thefts import FEW_IMAGES, OWN, SDN, few_for_exits, for_backbones, for_exits, new_exits
from exitprint.fingerprints.thieves import simulated
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.processes import processes
from exitprint.suspects import CostModel

measuring = import_module("exitprint.fingerprints.strength")
STRANGER = Reference("stranger", (0.1,), "other")


@pytest.fixture(scope="module")
def policies(target):
    return [target.policy, ExitPolicy(0.93)]


@pytest.fixture(scope="module")
def made(target, digits, policies):
    return contrast_fingerprint(target, digits.test, policies, 100, 1, ContrastMethod(margin_log_odds=0.1))


@pytest.fixture(scope="module")
def measured(made, target, digits, policies):
    few = replace(digits, train=digits.train[:200])
    return strength(made, target, few, policies)


def test_a_fingerprint_comes_to_all_of_the_pairs_on_its_own_network(measured):
    itself = measured.thefts[0]
    assert itself.name == AS_IT_IS and itself.keeps == 1 and min(itself.share) > 0.99
    assert [row[measured.sizes.index(100)] for row in itself.claimed] == [1.0, 1.0]


def test_thieves_side_by_side_do_the_same(monkeypatch, measured, made, target, digits, policies):
    begun = []
    monkeypatch.setattr(thieves, "WORTH", 0)
    monkeypatch.setattr(thieves, "processes", lambda jobs: begun.append(jobs) or processes(jobs))
    few = replace(digits, train=digits.train[:200])
    assert strength(made, target, few, policies, jobs=2) == measured and begun == [2]


def test_thieves_are_gone_where_what_they_made_is_not_looked_at(monkeypatch, made, target, digits, policies):
    class Looked(_Seen):
        def __init__(self, fingerprint, network, used):
            if network is not target:
                raise KeyboardInterrupt
            super().__init__(fingerprint, network, used)

    monkeypatch.setattr(thieves, "WORTH", 0)
    monkeypatch.setattr(measuring, "_Seen", Looked)
    before = multiprocessing.active_children()
    with pytest.raises(Interrupted) as held:
        strength(made, target, replace(digits, train=digits.train[:200]), policies, jobs=2)
    begun = [process for process in multiprocessing.active_children() if process not in before]
    assert held.traceback and all(connection.wait([process.sentinel], 20) for process in begun)


def test_what_takes_no_time_is_done_in_this_process(monkeypatch, target, digits):
    monkeypatch.setattr(thieves, "processes", None)
    few = replace(digits, train=digits.train[:50])
    assert isinstance(next(simulated(target, few, [1], jobs=2)), thefts.Copy)


def test_every_theft_that_fits_is_in_the_table(measured, target):
    names = [theft.name for theft in measured.thefts]
    assert len(set(names)) == len(names) and not measured.left_out
    assert thefts.steps(target) - 1 <= len(names[1:]) <= thefts.steps(target)
    for part in (
        "fine-tuned",
        "pruned by 20 %",
        "pruned by 40 %",
        "in 8 bits",
        "adversarially trained",
        "removed",
        "exits trained again",
        "a fifth",
    ):
        assert any(part in name for name in names), part
    assert measured.policies == (0.9, 0.93) and measured.samples == 100
    assert measured.images == measured.fine_tuned_on == 200
    assert all(0.5 < theft.keeps <= 1.5 for theft in measured.thefts)


def test_the_deeper_an_exit_the_less_is_its_heads_own(measured):
    first, *_, last = measured.exits
    assert (first.number, last.number) == (1, 6) and first.leaves > 0.1
    assert last.head < 0.3 < first.head + 0.1 and last.head < first.head


def test_what_does_not_fit_an_integer_network_is_said(made, target, digits, policies):
    from exitprint.fingerprints.own import in_8_bits

    integers = in_8_bits(target, digits.train)
    few = replace(digits, train=digits.train[:200])
    found = strength(made, integers, few, policies[:1])
    assert [said.split(" (")[0] for said in found.left_out] == [
        "Not simulated: fine-tuned 2 epochs",
        "Not simulated: pruned by 20 %",
        "Not simulated: pruned by 40 %",
        "Not simulated: in 8 bits",
        "Not simulated: adversarially trained",
    ]


@pytest.mark.parametrize(("name", "kinds"), [("resnet8", [SDN]), ("branchynet", [SDN, OWN])])
def test_a_network_with_exits_of_its_own_gets_both_kinds_anew(name, kinds):
    network = MultiExitNetwork.build(architecture(name, (1, 28, 28), 10, width=4), 0)
    assert list(new_exits(network)) == kinds


def test_new_exits_are_trained_on_all_images_where_that_is_affordable(monkeypatch, digits):
    network = MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=4), 0)
    assert for_exits(network, digits, 1) is digits and for_backbones(network, digits, 1) is digits
    monkeypatch.setattr(thefts, "TRAINED_ON", 600)
    assert for_exits(network, digits, 1) is digits and len(for_backbones(network, digits, 1).train) == 600
    monkeypatch.setattr(thefts, "EXITS_TRAINED_ON", 0)
    first, second = (for_exits(network, digits, seed).train for seed in (1, 2))
    assert len(first) == thefts.FEWEST == len(second) and not first.pixels.equal(second.pixels)
    assert len(few_for_exits(network, digits, 1).train) == len(digits.train) // 5


def test_a_few_images_more_than_a_thief_has_are_his_too(monkeypatch, digits):
    network = MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=4), 0)
    monkeypatch.setattr(thefts, "TRAINED_ON", len(digits.train) - 3)
    assert for_backbones(network, digits, 1) is digits
    assert thefts.number_for_backbones(network, digits) == len(digits.train)
    monkeypatch.setattr(thefts, "TRAINED_ON", len(digits.train) - 10)
    assert len(for_backbones(network, digits, 1).train) == len(digits.train) - 10


def test_the_more_an_image_costs_the_fewer_are_used(monkeypatch, digits):
    network = MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=4), 0)
    for times, exits, backbone in ((12, 1000, thefts.FEWEST), (5, len(digits.train), 800)):
        monkeypatch.setattr(thefts, "exit_flops", lambda _, times=times: [1.0, times * thefts.RESNET20])
        assert thefts.number_for_exits(network, digits) == len(for_exits(network, digits, 1).train) == exits
        assert len(for_backbones(network, digits, 1).train) == backbone


def test_a_backbone_is_fine_tuned_on_few_images_and_adversarially_trained_on_all(monkeypatch, target, digits):
    images = {}

    def watched(network, data, kind, parameters, seed):
        images.setdefault(kind, []).append(len(data.train))
        return network

    monkeypatch.setattr(thefts, "tamper", watched)
    monkeypatch.setattr(thefts, "TRAINED_ON", 600)
    assert all(isinstance(copy, thefts.Copy) for copy in simulated(target, digits, [1]))
    whole = len(digits.train)
    assert images["finetune"] == images["prune"][:1] == [600] and images["adversarial"] == [whole]
    assert images["retrain-exits"] == [whole] * len(thefts.BACKBONES) + [whole // 5]


def test_who_has_few_images_gets_the_same_kind_of_exits(measured):
    assert {theft.name: theft.exits for theft in measured.thefts if "fifth" in theft.name} == {
        f"{SDN}, {FEW_IMAGES}": "sdn"
    }


def test_exits_that_cannot_be_trained_again_are_said_whoever_has_how_many_images(monkeypatch, target, digits):
    def stubborn(network, data, kind, parameters, seed):
        if kind == "retrain-exits":
            raise ExitprintError("nothing to learn.")
        return network

    monkeypatch.setattr(thefts, "tamper", stubborn)
    said = [copy for copy in simulated(target, digits, [1]) if isinstance(copy, str)]
    assert said[0] == f"Not simulated: {SDN} (nothing to learn)."
    assert said[-1] == f"Not simulated: {SDN}, {FEW_IMAGES} (nothing to learn)."
    assert len(said) == len(thefts.BACKBONES) + 1


def test_labels_are_needed(made, target, digits, policies):
    bare = replace(digits, train=Images(digits.train.pixels))
    with pytest.raises(ExitprintError, match="no labels"):
        strength(made, target, bare, policies)


def test_the_table_is_kept_and_no_verdict_rests_on_it(made, measured, target, tmp_path):
    path = tmp_path / "f.safetensors"
    save_fingerprint(replace(made, strength=measured), path)
    kept = load_fingerprint(path)
    assert kept.strength == measured
    save_fingerprint(made, path)
    assert load_fingerprint(path).strength is None
    one, other = (verify(each, CostModel(target), references=[STRANGER]) for each in (made, kept))
    assert one.decision == "derived" and replace(one, seconds=0) == replace(other, seconds=0)
