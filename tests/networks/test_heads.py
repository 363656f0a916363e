"""An exit head is one function, however it is computed."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import prune

from exitprint.networks import ExitHead, ExitPolicy, MultiExitNetwork, architecture
from exitprint.networks.integer import quantise_layers

SHAPES = [(4, 32, 32), (6, 28, 28), (5, 14, 14), (8, 4, 4), (3, 2, 2), (16,)]


def head_and_features(shape, batch=3):
    torch.manual_seed(0)
    head = ExitHead(shape, 10)
    if head.mix is not None:
        head.mix.data.fill_(0.3)
    return head, torch.randn(batch, *shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_way_of_computing_it_agrees(shape, layout):
    head, features = head_and_features(shape)
    if len(shape) == 3:
        features = features.contiguous(memory_format=layout)
    logits = head(features)
    assert torch.allclose(head.classify(head.pool(features)), logits, atol=1e-5)
    assert torch.allclose(torch.stack([head.of_one(features[i : i + 1]) for i in range(3)]), logits, atol=1e-5)


def test_maps_are_pooled_to_about_four_by_four_and_mixed():
    head, features = head_and_features((4, 32, 32))
    assert head.linear.in_features == 4 * 4 * 4
    window = features[0, 1, 8:16, 16:24]
    maximum, average = head.pool(features)[0].view(2, 4, 4, 4)[:, 1, 1, 2]
    assert torch.equal(maximum, window.max()) and torch.isclose(average, window.mean(), atol=1e-6)
    with torch.no_grad():
        head.linear.weight.zero_()[0, 1 * 16 + 1 * 4 + 2] = 1
    expected = 0.3 * window.max() + 0.7 * window.mean() + head.linear.bias[0]
    assert torch.isclose(head(features)[0, 0], expected, atol=1e-5)


def test_gradients_reach_features_weights_and_mix():
    head, features = head_and_features((4, 8, 8))
    head(features.requires_grad_()).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (features, *head.parameters()))


def test_a_single_input_of_an_integer_network_is_answered_in_integers():
    network = MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=8), 0, ExitPolicy(2.0)).eval()
    x = torch.rand(4, 1, 8, 8)
    quantise_layers(network, [x])
    one, many = network.predict(x[:1]), network.predict(x)
    assert torch.allclose(one.probabilities[0], many.probabilities[0], atol=1e-6)


@pytest.mark.parametrize("changed", [prune.l1_unstructured, prune.random_unstructured])
def test_a_head_that_torch_prunes_answers_one_input_as_many(changed):
    head, features = ExitHead((4, 8, 8), 10), torch.rand(1, 4, 8, 8)
    before = head.of_one(features)
    changed(head.linear, "weight", 0.5)
    assert torch.equal(head.of_one(features), head(features)[0]) and not torch.equal(head.of_one(features), before)
    with torch.no_grad():
        head.linear.weight_orig.zero_()  # the pruned weight is made anew from it at every pass
    assert torch.equal(head.of_one(features), head.linear.bias)
