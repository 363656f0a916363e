"""A wrapped module is tampered with as any other network, and its copies survive their files."""

from __future__ import annotations

import pytest
import torch

import user_modules as user
from exitprint.networks import MultiExitNetwork, load_network, save_network
from exitprint.networks.integer import IntegerLayer
from exitprint.tampering import tamper

PARAMETERS = {
    "retrain-exits": {"share": 0.3},
    "remove-exits": {"which": [0]},
    "finetune": {"epochs": 1, "share": 0.3},
    "adversarial": {"epochs": 1, "share": 0.1, "steps": 2},
    "prune": {"rate": 0.3, "retrain_heads": False},
    "quantise": {"retrain_heads": False},
    "change-criterion": {"rad": 5, "criterion": "patience"},
}


@pytest.fixture(scope="module", params=[user.Residual, user.Skips, user.Tokens], ids=lambda cls: cls.__name__)
def network(request, digits):
    torch.manual_seed(0)
    exits = {user.Skips: ["down", "middle"], user.Residual: ["blocks.0", "blocks.1"]}.get(request.param, 2)
    return MultiExitNetwork.wrap(request.param(), exits, example=digits.test[:2].x)


@pytest.mark.parametrize("kind", PARAMETERS)
def test_every_kind(kind, network, digits, tmp_path):
    x = digits.test.x[:20]
    before = network(x)
    copy = tamper(network, digits, kind, PARAMETERS[kind])
    assert torch.equal(network(x), before)
    save_network(copy, tmp_path / "n.safetensors")
    back = load_network(tmp_path / "n.safetensors")
    assert torch.allclose(back(x), copy(x), atol=1e-5) and back.history == copy.history
    changed = not torch.equal(copy(x)[:, -1], before[:, -1])
    assert changed == (kind in ("finetune", "adversarial", "prune", "quantise"))
    assert any(isinstance(m, IntegerLayer) for m in copy.modules()) == (kind == "quantise")


def test_exits_taken_away_can_be_put_back(network, digits):
    fewer = tamper(network, digits, "remove-exits", {"which": [0]})
    again = tamper(fewer, digits, "add-exits", {})
    assert fewer.num_exits == network.num_exits - 1 and again.num_exits == network.num_exits
    assert again.exit_stages == network.exit_stages
