"""MSDNet and BranchyNet: the papers' shapes, real stops, and their files."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exitprint.errors import ExitprintError
from exitprint.networks import (
    ExitHead,
    ExitPolicy,
    MultiExitNetwork,
    architecture,
    exit_costs,
    exit_flops,
    load_network,
    save_network,
)

SMALL = {"msdnet": (4, 4), "branchynet": (5, 4)}


def build(name, seed=0, shape=(1, 8, 8)):
    return MultiExitNetwork.build(architecture(name, shape, 10, *SMALL[name]), seed).eval()


def test_they_have_the_papers_exits_and_scales():
    msdnet = MultiExitNetwork.build(architecture("msdnet", (3, 32, 32), 10), 0).eval()
    assert msdnet.num_exits == 5 and msdnet.exit_stages == (0, 1, 2, 3, 4)
    sides = [[part.shape[-1] for part in features] for features in msdnet.handed_over()]
    assert sides[0] == [8, 16, 32] and sides[-1] == [8] and all(each[0] == 8 for each in sides)
    flops = exit_flops(msdnet)
    assert 40e6 < flops[0] < flops[-1] < 200e6  # the paper's curves for CIFAR begin below 30 and end near 150 million
    branchynet = MultiExitNetwork.build(architecture("branchynet", (3, 32, 32), 10), 0).eval()
    assert branchynet.exit_stages == (0, 1, 5)
    assert not any(isinstance(head, ExitHead) for head in [*msdnet.heads, *branchynet.heads])
    for costs in (exit_costs(msdnet), exit_costs(branchynet)):
        assert list(costs) == sorted(set(costs))


@given(st.sampled_from(sorted(SMALL)), st.integers(1, 6), st.integers(0, 20), st.sampled_from([0.2, 0.5, 0.9]))
def test_predict_is_forward_and_the_policy(name, batch, seed, quantile):
    network = build(name, seed % 2)
    x = torch.rand(batch, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    logits = network(x).detach()
    certainty = ExitPolicy(2.0, "entropy").certainty(logits)[:, :-1]
    network.policy = ExitPolicy([float(c.quantile(quantile)) + 1e-4 for c in certainty.T], "entropy")
    said = network.predict(x)
    assert torch.equal(said.exits, network.policy.exits(logits))
    assert torch.allclose(said.probabilities, logits[torch.arange(batch), said.exits].softmax(1), atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_round_trip(name, tmp_path):
    network = build(name)
    save_network(network, tmp_path / "n.safetensors")
    back = load_network(tmp_path / "n.safetensors")
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(back(x), network(x)) and back.architecture == network.architecture


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("msdnet", (1, 8, 8), 10, 1), "at least 2 blocks"),
        (("msdnet", (1, 4, 4), 10), "8×8"),
        (("branchynet", (1, 8, 8), 10, 4), "5 convolutions"),
    ],
)
def test_what_cannot_be_built_is_said(words, said):
    with pytest.raises(ExitprintError, match=said):
        MultiExitNetwork.build(architecture(*words), 0)
