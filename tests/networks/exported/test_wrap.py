"""A wrapped module answers as it did, really stops, and survives its file."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import user_modules as user
from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, exit_costs, load_network, save_network
from exitprint.networks.exported.answer import leaves
from exitprint.networks.exported.capture import no_fast_path

CUTS = {
    user.Plain: ["features.2", "features.6"],
    user.Residual: ["blocks.0", "blocks.2"],
    user.Skips: ["down", "middle.0", "up"],
    user.Tokens: ["encoder.layers.0", "encoder.layers.1"],
    user.Tied: 2,
}
EXAMPLE = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@cache
def wrapped(cls):
    """The network, made once; copy before you change it."""
    return MultiExitNetwork.wrap(made(cls), CUTS[cls], example=EXAMPLE)


def made(cls, seed=0):
    torch.manual_seed(seed)
    module = cls()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.1, 0.1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    return module.eval()


@pytest.mark.parametrize("exits", ["auto", "named"])
@pytest.mark.parametrize("cls", CUTS)
def test_the_final_answer_is_the_modules_to_the_last_bit_also_after_its_file(cls, exits, tmp_path):
    module = made(cls)
    before = copy.deepcopy(module.state_dict())
    network = MultiExitNetwork.wrap(
        module, CUTS[cls] if exits == "named" else "auto", example=EXAMPLE, mean=[0.4], std=[0.3]
    )
    assert all(torch.equal(a, b) for a, b in zip(before.values(), module.state_dict().values(), strict=True))
    save_network(network, tmp_path / "n.safetensors")
    back = load_network(tmp_path / "n.safetensors")
    for images in (1, 2, 7):
        x = torch.rand(images, 1, 8, 8)
        with no_fast_path():
            ((_, answer),) = leaves(module((x - 0.4) / 0.3))
            answer = answer.detach()
        for each in (network, back, network.copy()):
            assert torch.equal(each(x)[:, -1], answer)
            assert torch.equal(each.predict(x).probabilities, answer.softmax(1))
        assert torch.equal(back(x), network(x))
    assert back.architecture == network.architecture and back.history == network.history
    first = (tmp_path / "n.safetensors").read_bytes()
    save_network(back, tmp_path / "n.safetensors")
    assert (tmp_path / "n.safetensors").read_bytes() == first
    costs = exit_costs(network)
    assert list(costs) == sorted(costs) and costs[-1] == 1 and len(costs) == network.num_exits > 1


@settings(max_examples=25)
@given(cls=st.sampled_from(list(CUTS)), batch=st.integers(1, 6), seed=st.integers(0, 1000), data=st.data())
def test_predict_is_forward_and_the_policy_whatever_is_handed_over_at_a_cut(cls, batch, seed, data):
    network = wrapped(cls).copy()
    x = torch.rand(batch, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    logits = network(x).detach()
    certainty = ExitPolicy(2.0).certainty(logits)[:, :-1]
    quantile = data.draw(st.sampled_from([0.0, 0.4, 0.8]))
    network.policy = ExitPolicy([float(column.quantile(quantile)) + 1e-3 for column in certainty.T])
    said = network.predict(x)
    assert torch.equal(said.exits, network.policy.exits(logits))
    taken = logits[torch.arange(batch), said.exits]
    assert torch.allclose(said.probabilities, taken.softmax(1), atol=1e-5)
    assert [int(network.predict(x[i : i + 1]).exits) for i in range(batch)] == said.exits.tolist()


def test_what_lies_behind_an_exit_is_not_computed():
    network = wrapped(user.Skips).copy()
    ran = []
    for index, stage in enumerate(network.stages):
        stage.register_forward_hook(lambda m, i, o, index=index: ran.append(index))
    network.policy = ExitPolicy(0.0)
    network.predict(EXAMPLE)
    assert ran == [0]


class Reused(nn.Module):
    """What a ReLU takes is needed again: as it is, as another view of it, and behind the cut."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Linear(16, 10)
        self.first = nn.Identity()

    def forward(self, x):
        y = self.norm(self.conv(x))
        seen = y.flatten(2)
        kept = self.first(torch.relu(torch.relu(y) - 0.1))
        return self.fc(torch.cat([(y + kept).mean((2, 3)), seen.amin(2)], 1))


def test_no_result_is_written_over_that_is_needed_again():
    module = made(Reused)
    network = MultiExitNetwork.wrap(module, 1, example=EXAMPLE)
    for images in (1, 3):
        x = torch.rand(images, 1, 8, 8)
        before = x.clone()
        assert torch.equal(network.predict(x).probabilities, module(x).softmax(1))
        assert torch.equal(x, before)


def test_hooks_on_a_layer_run_and_a_replaced_layer_is_used():
    network = wrapped(user.Residual).copy()
    network.policy = ExitPolicy(2.0)
    holder = network.stages[0].own
    name, layer = next((n, m) for n, m in holder.named_modules() if isinstance(m, nn.Conv2d))
    calls = []
    layer.register_forward_hook(lambda *_: calls.append(name))
    before = network.predict(EXAMPLE[:1]).probabilities
    assert calls == [name]
    changed = copy.deepcopy(layer)
    nn.init.zeros_(changed.weight)
    parent, _, last = name.rpartition(".")
    setattr(holder.get_submodule(parent), last, changed)
    assert not torch.equal(network.predict(EXAMPLE[:1]).probabilities, before)


def test_training_mode_trains_batch_norm_and_dropout():
    network = wrapped(user.Plain).copy()
    mean = network.stages[0].get_submodule("own.features.1").running_mean
    before = mean.clone()
    x = torch.rand(8, 1, 8, 8)
    network.train()
    assert not torch.equal(network(x)[:, -1], network(x)[:, -1])
    assert not torch.equal(mean, before)
    assert all(p.requires_grad for p in network.backbone_parameters())


def test_layers_stay_layers_and_tied_ones_stay_one():
    network = wrapped(user.Residual)
    layers = [m for m in network.stages.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 1 + 8 + 1
    tied = wrapped(user.Tied)
    assert sum(p.numel() for p in tied.stages.parameters()) == sum(p.numel() for p in user.Tied().parameters())
    other = tied.copy()
    with torch.no_grad():
        other.stages[0].get_submodule("own.step").weight.zero_()
    assert not torch.equal(other(EXAMPLE)[:, -1], tied(EXAMPLE)[:, -1])


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (user.TwoInputs, r"2 inputs \(x, y\)"),
        (user.Branching, "control flow of this module depends on the data"),
        (user.Number, "takes a number out of its data"),
        (user.Random, "aten.rand"),
        (user.Writing, "in place"),
        (user.BatchStatistics, "statistics of the batch"),
        (user.Maps, "logits"),
        (user.Listing, "returns a list"),
        (user.SequenceFirst, "name submodules"),
        (user.Linear, "cannot answer the example"),
    ],
)
def test_what_cannot_be_wrapped_is_said_in_a_sentence(cls, said, capfd):
    with pytest.raises(ExitprintError, match=said):
        MultiExitNetwork.wrap(cls(), "auto", example=EXAMPLE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("exits", "said"),
    [
        (["act"], "runs 2 times"),
        (["fc"], "ends with the module's own answer"),
        (["nowhere"], "no submodule 'nowhere'"),
        (["down", "down.1"], "same features"),
        ("down", "a list of submodules' names"),
        (0, "1 to 1 places"),
        (2, "1 to 1 places"),
    ],
)
def test_exits_where_none_can_be(exits, said):
    with pytest.raises(ExitprintError, match=said):
        MultiExitNetwork.wrap(made(user.Skips), exits, example=EXAMPLE)


def test_other_numbers_and_other_normalisations_are_refused():
    with pytest.raises(ExitprintError, match="float64"):
        MultiExitNetwork.wrap(made(user.Plain).double(), example=EXAMPLE)
    with pytest.raises(ExitprintError, match="one number for each of the 1 channels"):
        MultiExitNetwork.wrap(made(user.Plain), example=EXAMPLE, mean=[0.1, 0.2])
    with pytest.raises(ExitprintError, match="batch of them"):
        MultiExitNetwork.wrap(made(user.Plain), example=torch.rand(8))
    with pytest.raises(ExitprintError, match="batch first"):
        MultiExitNetwork.wrap(user.SequenceFirst(), ["encoder"], example=EXAMPLE)


def test_automatic_exits_are_even_in_cost():
    module = user.Residual(blocks=8)
    costs = exit_costs(MultiExitNetwork.wrap(module, 3, example=EXAMPLE))
    assert len(exit_costs(MultiExitNetwork.wrap(module, example=EXAMPLE))) == 8
    assert all(abs(cost - wanted) < 0.08 for cost, wanted in zip(costs, (0.25, 0.5, 0.75, 1), strict=True))
