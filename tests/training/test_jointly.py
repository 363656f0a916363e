"""Architectures born with several exits: trained as a whole, tampered with and fingerprinted as any other."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.fingerprints import ContrastMethod, contrast_fingerprint, verify
from exitprint.networks import ExitHead, ExitPolicy, MultiExitNetwork, architecture, load_network, save_network
from exitprint.suspects import CostModel
from exitprint.tampering import add_exits, finetune, prune, quantise, remove_exits, retrain_exits
from exitprint.training import exit_accuracies, own_heads, recipe, train_heads, train_jointly, train_network
from exitprint.training.jointly import exit_weights

SIZES = {"msdnet": (3, 4, 6), "branchynet": (5, 8, 12)}


@pytest.fixture(scope="module")
def trained(digits):
    @cache
    def get(name, seed=0):
        depth, width, epochs = SIZES[name]
        arch = architecture(name, digits.input_shape, digits.classes, depth, width)
        return train_network(arch, digits, recipe("fast", name, "digits", epochs=epochs), seed)

    return get


@pytest.mark.parametrize("name", SIZES)
def test_every_exit_learns_and_the_policy_is_of_the_papers_criterion(name, trained, digits):
    network = trained(name)
    assert min(exit_accuracies(network, digits.test)) > 0.85
    assert network.policy.criterion == ("entropy" if name == "branchynet" else "confidence")
    assert not any(isinstance(head, ExitHead) for head in network.heads)


def test_the_loss_is_the_weighted_sum_of_the_exits(digits):
    arch = architecture("branchynet", digits.input_shape, 10, width=4)
    assert exit_weights(MultiExitNetwork.build(arch, 0)) == [1, 1, 0.3]
    one = recipe("fast", "branchynet", "digits", epochs=1).backbone.model_copy(update={"batch": len(digits.train)})
    changed = {}
    for weights in ([1, 0, 0], [0, 0, 1]):
        network = MultiExitNetwork.build(arch, 0)
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        train_jointly(network, digits, one.model_copy(update={"weight_decay": 0.0}), 0, weights=weights)
        changed[weights[0]] = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert any(n.startswith("heads.0") for n in changed[1]) and not any(n.startswith("heads.2") for n in changed[1])
    assert any(n.startswith("heads.2") for n in changed[0]) and not any(n.startswith("heads.0") for n in changed[0])


@pytest.mark.parametrize("name", SIZES)
def test_a_thief_may_do_what_he_does_to_any_network(name, trained, digits, tmp_path):
    network = trained(name)
    share = {"share": 0.3}
    retrained = retrain_exits(network, digits, kind="sdn", **share)
    alike = retrain_exits(network, digits, **share)
    removed = remove_exits(network, digits, which=[0])
    little = replace(digits, train=digits.train[:350])
    mixed = add_exits(removed, little)
    copies = [
        retrained,
        alike,
        removed,
        mixed,
        finetune(network, little, epochs=1),
        prune(network, little, rate=0.2),
        quantise(network, little),
    ]
    for copy in copies:
        save_network(copy, tmp_path / "n.safetensors")
        back = load_network(tmp_path / "n.safetensors")
        assert torch.equal(back(digits.test.x[:5]), copy(digits.test.x[:5]))
    assert all(isinstance(head, ExitHead) for head in list(retrained.heads)[:-1])
    for head, own in zip(list(alike.heads)[:-1], network.heads, strict=False):
        assert type(head) is type(own) and not isinstance(head, ExitHead)
        for name, tensor in head.named_parameters():
            assert not torch.equal(tensor, own.get_parameter(name))
    assert min(exit_accuracies(alike, digits.test)) > min(exit_accuracies(network, digits.test)) - 0.3
    assert removed.num_exits == network.num_exits - 1 and mixed.num_exits > removed.num_exits
    assert {isinstance(head, ExitHead) for head in list(mixed.heads)[:-1]} == {True, False}


@pytest.mark.parametrize("name", SIZES)
def test_its_fingerprint_tells_a_copy_from_an_independent(name, trained, digits):
    def at(network):
        other = network.copy()
        other.policy = ExitPolicy(0.9)
        return other

    target, independent = at(trained(name)), at(trained(name, 1))
    method = ContrastMethod(margin_log_odds=0.1, candidates_per_sample=1)
    made = contrast_fingerprint(target, digits.test, [target.policy], 80, 0, method, {"other": independent})
    known = {"other": CostModel(independent)}
    pruned = prune(target, digits, rate=0.1, retrain_heads=False, rad=None)
    for copy in (target, pruned):
        assert verify(made, CostModel(copy), references=known).decision == "derived"
    assert verify(made, CostModel(independent), references=known).decision != "derived"


@pytest.mark.parametrize("name", SIZES)
def test_features_that_do_not_fit_are_computed_again_and_the_exits_are_the_same(name, trained, digits, monkeypatch):
    few = replace(digits, train=digits.train[:300])
    kept = retrain_exits(trained(name), few, seed=3)
    monkeypatch.setattr(own_heads, "CACHE_BYTES", 0)
    again = retrain_exits(trained(name), few, seed=3)
    assert torch.allclose(kept(digits.test.x), again(digits.test.x), atol=0.05)
    assert not torch.equal(kept(digits.test.x)[:, 0], trained(name)(digits.test.x)[:, 0])


def test_its_own_exits_are_not_trained_apart(trained, digits):
    with pytest.raises(ExitprintError, match="architecture's own"):
        train_heads(trained("branchynet"), digits, recipe("fast", "branchynet", "digits").heads, 0)
    with pytest.raises(ExitprintError, match="Adam"):
        recipe("paper", "branchynet", "cifar10")
    assert recipe("paper", "msdnet", "cifar10", epochs=30).backbone.milestones == (15, 22)
