"""Samples that hold on several sets of exits of one backbone."""

from __future__ import annotations

import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.fingerprints import ContrastMethod, contrast_fingerprint
from exitprint.fingerprints import contrast as contrast_module
from exitprint.fingerprints.exits_anew import all_exits, check_copies
from exitprint.fingerprints.goals import Goals, joined
from exitprint.networks import ExitPolicy
from exitprint.networks.policy import patience_threshold
from exitprint.tampering import prune, retrain_exits

POLICIES = [ExitPolicy(0.9)]


@pytest.fixture(scope="module")
def copy(target, digits):
    """The owner's network with exits trained anew."""
    return retrain_exits(target, digits, rad=None, seed=11)


def test_all_exits_are_those_of_each_network_and_the_last_one(target, copy, digits):
    x = digits.test[:5].x
    with torch.no_grad():
        own, other, found = target(x), copy(x), all_exits(target, [copy])(x)
    assert torch.allclose(found, torch.cat([own[:, :-1], other[:, :-1], own[:, -1:]], 1), atol=1e-5)


def test_goals_of_several_sets_are_met_where_each_is(target, copy, digits):
    x, late = digits.test[:40].x, torch.arange(40) < 20
    internal = target.num_exits - 1
    goals = [Goals(torch.full((internal,), below), torch.full((internal,), 0.5), "confidence") for below in (0.2, 3.0)]
    with torch.no_grad():
        each = torch.stack([one.met(net(x), late) for one, net in zip(goals, (target, copy), strict=True)]).all(0)
        assert torch.equal(joined(goals).met(all_exits(target, [copy])(x), late), each)


def test_samples_do_what_they_are_for_on_each_set(target, copy, digits, monkeypatch):
    monkeypatch.setattr(contrast_module, "LARGEST_CHANGE", {False: 9.0})  # digits are small
    method = ContrastMethod(margin_log_odds=0.05, candidates_per_sample=1)
    made = contrast_fingerprint(target, digits.test, POLICIES, 12, 3, method, check=False, copies=[copy])
    assert made.reached.all()
    for network in (target, copy):
        with torch.no_grad():
            exits = POLICIES[0].exits(network(made.x))
        assert (exits[made.late] == network.num_exits - 1).all()
        assert exits[~made.late].max() < network.num_exits - 1


def test_another_backbone_other_places_and_patience_are_refused(target, digits, copy):
    pruned = prune(target, digits, rate=0.2, retrain_heads=False, rad=None)
    with pytest.raises(ExitprintError, match="of one backbone"):
        check_copies(target, [copy, pruned])
    patient = target.copy()
    patient.policy = ExitPolicy(patience_threshold(2), "patience")
    with pytest.raises(ExitprintError, match="patience"):
        check_copies(patient, [copy])


def test_the_command_trains_sets_of_both_kinds(run, target_file, monkeypatch, tmp_path):
    def craft(network, *_, copies, **__):
        check_copies(network, copies)
        raise ExitprintError(f"sets of {' and '.join(copy.history[-1]['kind'] for copy in copies)}.")

    monkeypatch.setattr("exitprint.fingerprints.contrast_fingerprint", craft)
    words = ("fingerprint", target_file, "--data", "digits", "--quick", "--out", tmp_path / "f")
    assert "sets of own and sdn." in run(*words, "--new-exits", 2).err
    assert "not below zero" in run(*words, "--new-exits", -1).err
    assert "--kind contrast" in run(*words, "--kind", "paper", "--new-exits", 1).err
