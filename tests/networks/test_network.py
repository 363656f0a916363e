"""A network really stops, and answers as `forward` and the policy would."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, exit_costs, exit_flops

BUILT = {
    ("resnet8", 8, None): 4,
    ("vgg8", 4, None): 7,
    ("mobilenet", 4, 5): 7,
}


def build(name="resnet8", width=8, depth=None, shape=(1, 8, 8), seed=0):
    return MultiExitNetwork.build(architecture(name, shape, 10, depth, width), seed).eval()


@pytest.mark.parametrize(
    ("name", "shape", "exits"),
    [("resnet56", (3, 32, 32), 28), ("vgg16", (3, 32, 32), 15), ("mobilenet", (3, 64, 64), 15)],
)
def test_the_papers_networks_have_the_papers_exits(name, shape, exits):
    with torch.device("meta"):
        network = MultiExitNetwork.build(architecture(name, shape, 10))
    assert network.num_exits == exits


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize(("name", "width", "depth"), BUILT)
def test_forward_gives_every_exit(name, width, depth, shape):
    network = build(name, width, depth, shape)
    assert network(torch.rand(2, *shape)).shape == (2, BUILT[name, width, depth], 10)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(BUILT, key=str)),
    criterion=st.sampled_from(["confidence", "entropy", "margin", "patience"]),
    answer=st.sampled_from(["exit", "most confident"]),
    batch=st.integers(1, 9),
    seed=st.integers(0, 10_000),
    data=st.data(),
)
def test_predict_is_forward_and_the_policy(kind, criterion, answer, batch, seed, data):
    name, width, depth = kind
    network = build(name, width, depth, seed=seed % 3)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for head in network.heads:
            head.linear.weight.mul_(4)
    x = torch.rand(batch, 1, 8, 8, generator=g)
    logits = network(x).detach()
    certainty = ExitPolicy(2.0, criterion).certainty(logits)[:, :-1]
    limits = []
    for exit in range(network.num_exits - 1):
        quantile = data.draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
        limits.append(float(certainty[:, exit].quantile(quantile)) + data.draw(st.sampled_from([-1e-3, 1e-3])))
    network.policy = ExitPolicy(limits, criterion, answer)
    expected = network.policy.exits(logits)
    said = network.predict(x)
    assert torch.equal(said.exits, expected)
    taken = network.policy.answers(logits)[torch.arange(batch), expected]
    assert torch.equal(said.labels, taken.argmax(1))
    assert torch.allclose(said.probabilities, taken.softmax(1), atol=1e-5)


@pytest.mark.parametrize("criterion", ["confidence", "entropy", "margin"])
def test_one_input_leaves_where_it_would_in_a_batch_even_at_the_threshold_itself(criterion):
    network = build(seed=3)
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    reached = []

    class Logits(torch.nn.Module):
        def forward(self, features):
            reached.append(len(features))
            return torch.tensor([[2.0, 1.0, -1.0] + [0.0] * 7]).expand(len(features), -1)

    network.heads[0] = Logits()
    certainty = ExitPolicy(2.0, criterion).certainty(Logits()(x))
    for limit, exit in ((float(certainty), 0), (float(certainty.nextafter(torch.tensor(2.0))), 1)):
        network.policy = ExitPolicy([limit, 0.0, 0.0], criterion)
        assert network.predict(x).exits.tolist() == [exit]
        assert network.predict(x.repeat(3, 1, 1, 1)).exits.tolist() == [exit] * 3
    assert len(reached) == 5


def test_an_empty_batch_and_a_network_of_another_make():
    network = build()
    network.policy = ExitPolicy(0.2)
    empty = network.predict(torch.rand(0, 1, 8, 8))
    assert empty.labels.shape == empty.exits.shape == (0,) and empty.probabilities.shape == (0, 10)
    flat = torch.nn.Flatten()
    own = MultiExitNetwork([flat, torch.nn.Identity()], [(0, torch.nn.Linear(64, 3)), (1, torch.nn.Linear(64, 3))],
                           ExitPolicy(0.4), (1, 8, 8)).eval()  # fmt: skip
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    exits = own.policy.exits(own(x))
    assert torch.equal(own.predict(x).exits, exits)
    assert [int(own.predict(x[i : i + 1]).exits) for i in range(5)] == exits.tolist()


def test_weights_that_change_change_the_answers():
    network = build()
    x = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network.predict(x).probabilities
    network.load_state_dict(build(seed=1).state_dict())
    assert not torch.allclose(before, network.predict(x).probabilities)
    assert torch.allclose(network.predict(x).probabilities, network(x)[:, -1].softmax(1), atol=1e-6)


def test_what_lies_behind_an_exit_is_not_computed():
    network = build()
    seen: list[list[int]] = [[] for _ in network.stages]
    for index, stage in enumerate(network.stages):
        stage.register_forward_hook(lambda m, i, o, index=index: seen[index].append(len(o)))
    x = torch.rand(6, 1, 8, 8)
    first = ExitPolicy(2.0).certainty(network(x).detach())[:, 0].sort().values
    for calls in seen:
        calls.clear()
    network.policy = ExitPolicy([float(first[2]) + 1e-6, 0.0, 2.0])
    assert sorted(network.predict(x).exits.tolist()) == [0, 0, 0, 1, 1, 1]
    assert seen == [[6], [3], [], []]
    for calls in seen:
        calls.clear()
    network.policy = ExitPolicy(0.0)
    network.predict(x[:1])
    assert seen == [[1], [], [], []]


def test_predict_refuses_other_shapes_and_training_mode():
    network = build()
    with pytest.raises(ExitprintError, match="shape"):
        network.predict(torch.rand(2, 3, 8, 8))
    with pytest.raises(ExitprintError, match="eval"):
        network.train().predict(torch.rand(2, 1, 8, 8))


def test_cost_ascends_to_one_and_counts_heads():
    network = build("resnet14")
    costs = exit_costs(network)
    assert len(costs) == network.num_exits and list(costs) == sorted(costs) and costs[-1] == 1
    bare = build("resnet14").architecture.model_copy(update={"exits": ()})
    assert exit_flops(MultiExitNetwork.build(bare, 0))[-1] < exit_flops(network)[-1]


def test_the_same_seed_builds_the_same_weights_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    first, second, other = build(seed=1), build(seed=1), build(seed=2)
    assert torch.equal(state, torch.get_rng_state())
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert not torch.equal(first.heads[0].linear.weight, other.heads[0].linear.weight)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("resnet", (1, 8, 8), 10, 9), "6k"),
        (("resnet8", (1, 8, 8), 10, None, 7), "even width"),
        (("vgg16", (1, 8, 8), 10, 12), "VGG comes"),
        (("mobilenet", (1, 8, 8), 10, 14), "1 to 13"),
        (("alexnet", (1, 8, 8), 10), "unknown architecture"),
        (("resnet8", (1, 8, 9), 10), "square"),
        (("resnet8", (1, 8, 8), 1), "classes"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_sentence(words, said):
    with pytest.raises(ExitprintError, match=said):
        MultiExitNetwork.build(architecture(*words), 0)


def test_exits_must_be_where_stages_are():
    arch = architecture("resnet8", (1, 8, 8), 10).model_copy(update={"exits": (0, 7)})
    with pytest.raises(ExitprintError, match="stages 0 to 2"):
        MultiExitNetwork.build(arch, 0)
