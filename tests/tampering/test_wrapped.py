"""A wrapped module is tampered with as any other network, and its copies survive their files."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import user_modules as user
from exitprint.errors import ExitprintError
from exitprint.networks import ExitHead, MultiExitNetwork, load_network, save_network
from exitprint.networks.exported.fresh import fresh_head
from exitprint.networks.integer import IntegerLayer
from exitprint.tampering import tamper
from exitprint.training import exit_accuracies

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


@pytest.fixture(scope="module")
def own(digits):
    torch.manual_seed(0)
    module = user.several()
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    for batch in torch.randperm(len(digits.train)).repeat(5).split(64):
        x, labels = digits.train.x[batch], digits.train.labels[batch]
        optimiser.zero_grad()
        sum(F.cross_entropy(answer, labels) for answer in module(x)).backward()
        optimiser.step()
    return MultiExitNetwork.wrap(module, example=digits.test[:2].x)


def test_own_exits_are_trained_again_as_the_same_kind_or_as_sdn_heads(own, digits, tmp_path):
    early = list(own.heads)[:-1]
    alike, sdn = (tamper(own, digits, "retrain-exits", given) for given in ({}, {"kind": "sdn"}))
    for copy in (alike, sdn):
        save_network(copy, tmp_path / "n.safetensors")
        x = digits.test[:20].x
        assert torch.equal(load_network(tmp_path / "n.safetensors")(x), copy(x))
        assert torch.equal(copy(x)[:, -1], own(x)[:, -1])
        assert all(torch.equal(a, b) for a, b in zip(copy.stages.parameters(), own.stages.parameters(), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(copy.stages.buffers(), own.stages.buffers(), strict=True))
        assert min(exit_accuracies(copy, digits.test)) > min(exit_accuracies(own, digits.test)) - 0.15
    assert all(isinstance(head, ExitHead) for head in list(sdn.heads)[:-1])
    for head, before in zip(alike.heads, early, strict=False):
        assert type(head) is type(before)
        shapes = {name: tensor.shape for name, tensor in before.state_dict().items()}
        assert {name: tensor.shape for name, tensor in head.state_dict().items()} == shapes
        assert not any(torch.equal(tensor, before.get_parameter(name)) for name, tensor in head.named_parameters())
    assert torch.equal(alike(x), tamper(own, digits, "retrain-exits", {})(x))
    assert not torch.equal(alike(x)[:, 0], tamper(own, digits, "retrain-exits", {}, seed=1)(x)[:, 0])


def test_a_fresh_head_is_as_a_new_module_has_it(own):
    drawn = fresh_head(own.architecture.heads[0], list(own.stages)[:1], own.heads[0]).own.state_dict()
    for name, first in user.several().exit1.state_dict().items():
        if name.startswith("1.") and "num_batches" not in name:  # a batch normalisation
            assert torch.equal(drawn[f"exit1.{name}"], first)
        elif "num_batches" not in name:
            inputs = drawn[f"exit1.{name[0]}.weight"][0].numel()
            assert 0 < float(drawn[f"exit1.{name}"].abs().max()) * inputs**0.5 <= 1 + 1e-5


class Unusual(user.Several):
    """Its first exit has a layer normalisation, a scale, a shift, a token and a mask of its own."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.scale, self.shift = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(8))
        self.token = nn.Parameter(torch.rand(1, 8))
        self.mask = nn.Buffer(torch.tensor([1.0, 0.0] * 4))
        self.linear = nn.Linear(8, 10)

    def forward(self, x):
        low = self.stem(x)
        seen = self.norm(low.mean((2, 3))) * self.scale + self.shift + self.token
        return [self.linear(seen * self.mask), self.fc(self.top(self.middle(low)).mean((2, 3)))]


def test_scales_shifts_and_constants_of_a_fresh_head(digits):
    module = Unusual()
    nn.init.constant_(module.norm.weight, 3.0)
    network = MultiExitNetwork.wrap(module, example=digits.test[:2].x)
    drawn = fresh_head(network.architecture.heads[0], list(network.stages)[:1], network.heads[0]).own.state_dict()
    for name, value in (("norm.weight", 1), ("norm.bias", 0), ("scale", 1), ("shift", 0)):
        assert torch.equal(drawn[name], torch.full((8,), float(value)))
    assert torch.equal(drawn["mask"], module.mask)
    assert float(drawn["token"].abs().sum()) > 0 and not torch.equal(drawn["token"], module.token)


def test_own_exits_of_an_integer_copy_are_trained_again(own, digits, tmp_path):
    rounded = tamper(own, digits, "quantise", {"retrain_heads": False})
    copy = tamper(rounded, digits, "retrain-exits", {"share": 0.3})
    save_network(copy, tmp_path / "n.safetensors")
    assert torch.equal(load_network(tmp_path / "n.safetensors")(digits.test[:9].x), copy(digits.test[:9].x))
    assert any(isinstance(module, IntegerLayer) for module in copy.heads[0].modules())


def test_exits_whose_learning_lies_in_stages_are_pointed_to_sdn_heads(digits):
    class Cascade(user.Several):
        def forward(self, x):
            first, second, last = self.exits(x)[0]
            return [first, first + second, first + second + last]

    network = MultiExitNetwork.wrap(Cascade(), example=digits.test[:2].x)
    with pytest.raises(ExitprintError, match="kind=sdn"):
        tamper(network, digits, "retrain-exits", {})
    assert tamper(network, digits, "retrain-exits", {"kind": "sdn", "share": 0.2}).num_exits == 3


def test_exits_taken_away_can_be_put_back(network, digits):
    fewer = tamper(network, digits, "remove-exits", {"which": [0]})
    again = tamper(fewer, digits, "add-exits", {})
    assert fewer.num_exits == network.num_exits - 1 and again.num_exits == network.num_exits
    assert again.exit_stages == network.exit_stages
