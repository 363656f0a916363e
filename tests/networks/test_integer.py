"""Layers in integers compute what their rounded weights and inputs say, and stay a network of ours."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from exitprint.data import ImageData
from exitprint.networks import MultiExitNetwork, architecture, exit_flops, load_network, save_network
from exitprint.networks.integer import IntegerConv2d, IntegerLayer, IntegerLinear, quantise_layers


def quantised(network: MultiExitNetwork, x: torch.Tensor) -> MultiExitNetwork:
    rounded = network.copy().eval()
    quantise_layers(rounded, [x])
    assert rounded.architecture
    rounded.architecture = rounded.architecture.model_copy(update={"integers": True})
    return rounded


class Operators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.names.add(function.name().split(".")[0])
        return function(*args, **(kwargs or {}))


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 2]),
    st.booleans(),
    st.integers(0, 2**20),
)
def test_convolution_equals_float_arithmetic_on_the_rounded_numbers(
    inputs: int, outputs: int, batch: int, kernel: int, stride: int, depthwise: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    outputs = inputs if depthwise else outputs
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=inputs if depthwise else 1)
    x = torch.randn(batch, inputs, 6, 6) * 3
    integer = IntegerConv2d(layer)
    integer.take(layer, float(x.min()), float(x.max()))
    with torch.no_grad():
        result, wanted = integer(x), layer(x)
    emulated = integer(x.clone().requires_grad_())
    step = float(integer.input_scale)
    levels = (x / step).round() * step
    ties = (torch.frac((x / step).abs()) - 0.5).abs().min() < 1e-3
    assert ties or torch.allclose(result, emulated, atol=1e-3)
    assert (levels - x).abs().max() <= step / 2 + 1e-5
    assert (result - wanted).abs().max() <= 0.03 * layer.weight.abs().flatten(1).sum(1).max() * x.abs().max()


def test_linear_equals_float_arithmetic_on_the_rounded_numbers() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(20, 7), torch.rand(5, 20)
    integer = IntegerLinear(layer)
    integer.take(layer, 0.0, 1.0)
    with torch.no_grad():
        assert torch.allclose(integer(x), integer(x.clone().requires_grad_()), atol=2e-3)
        assert torch.allclose(integer(x), layer(x), atol=0.03)


@pytest.mark.parametrize("inputs", [3, 16])
def test_a_processor_that_clips_sums_gives_the_same_answers(inputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(inputs, 8, 3, padding=1), torch.rand(2, inputs, 6, 6) * 4 - 1
    nn.init.constant_(layer.weight, 0.5)
    whole = IntegerConv2d(layer)
    whole.take(layer, -1.0, 3.0)
    wanted = whole(x.clone().requires_grad_())
    monkeypatch.setattr("exitprint.networks.integer.clips", lambda: True)
    with torch.no_grad():
        assert torch.allclose(whole(x), wanted, atol=1e-3)


def test_inputs_beyond_the_range_saturate() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    integer = IntegerLinear(layer)
    integer.take(layer, 0.0, 2.0)
    with torch.no_grad():
        assert integer(torch.tensor([[-3.0], [1.0], [9.0]])).flatten().tolist() == pytest.approx([0, 1, 2], abs=0.01)


@pytest.mark.parametrize(("name", "depth", "width"), [("resnet", 8, 4), ("vgg", 8, 4), ("mobilenet", 3, 4)])
def test_every_product_of_a_quantised_network_runs_in_integers(
    name: str, depth: int, width: int, digits: ImageData
) -> None:
    network = MultiExitNetwork.build(architecture(name, digits.input_shape, 10, depth, width), 0).eval()
    x = digits.test.x[:16]
    rounded = quantised(network, x)
    with torch.no_grad(), Operators() as seen:
        logits = rounded(x)
    assert {"onednn::qconv2d_pointwise", "onednn::qlinear_pointwise"} <= seen.names
    assert not {n for n in seen.names if n.startswith("aten::") and ("conv" in n or n.endswith("mm"))}
    assert all(module.weight.dtype == torch.int8 for module in rounded.modules() if isinstance(module, IntegerLayer))
    with torch.no_grad():
        assert (logits - network(x)).abs().max() < 0.05 * network(x).abs().max()
    assert exit_flops(rounded) == exit_flops(network)


def test_a_quantised_network_answers_alike_alone_and_in_a_batch(target: MultiExitNetwork, digits: ImageData) -> None:
    x = digits.test.x[:20]
    rounded = quantised(target, digits.train.x[:200])
    alone = torch.cat([rounded.predict(image[None]).probabilities for image in x])
    assert torch.allclose(rounded.predict(x).probabilities, alone, atol=1e-6)


def test_copy_and_file_give_the_same_network(target: MultiExitNetwork, digits: ImageData, tmp_path: Path) -> None:
    x = digits.test.x[:20]
    rounded = quantised(target, digits.train.x[:200])
    with torch.no_grad():
        wanted = rounded(x)
        save_network(rounded, tmp_path / "q.safetensors")
        save_network(target, tmp_path / "f.safetensors")
        assert torch.equal(copy.deepcopy(rounded)(x), wanted)
        assert torch.equal(load_network(tmp_path / "q.safetensors")(x), wanted)
    assert (tmp_path / "q.safetensors").stat().st_size < 0.5 * (tmp_path / "f.safetensors").stat().st_size


def test_new_weights_are_used_at_once() -> None:
    layers = [nn.Linear(3, 2), nn.Linear(3, 2)]
    integers = [IntegerLinear(layer) for layer in layers]
    x = torch.rand(4, 3)
    with torch.no_grad():
        for integer, layer in zip(integers, layers, strict=True):
            integer.take(layer, 0.0, 1.0)
            integer(x)
        integers[0].load_state_dict(integers[1].state_dict())
        assert torch.equal(integers[0](x), integers[1](x))


def test_gradients_pass_straight_through_the_rounding(target: MultiExitNetwork, digits: ImageData) -> None:
    rounded = quantised(target, digits.train.x[:200])
    x = digits.test.x[:4].clone().requires_grad_()
    y = digits.test.x[:4].clone().requires_grad_()
    (a,) = torch.autograd.grad(rounded(x).sum(), x)
    (b,) = torch.autograd.grad(target(y).sum(), y)
    assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.9
