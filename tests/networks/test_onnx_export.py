"""The exported graph answers as the network does, and really leaves early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import user_modules as user
from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, onnx_export, onnx_nested
from exitprint.networks.integer import quantise_layers
from exitprint.networks.onnx_export import export_onnx, export_stages, onnx_graph
from exitprint.networks.policy import Criterion


def spread(network: MultiExitNetwork, criterion: Criterion, x: torch.Tensor) -> MultiExitNetwork:
    """The network with thresholds of its own per exit: each in the widest gap that leaves the exit 10 to 40 images."""
    with torch.no_grad():
        for head, spread_of_logits in zip(network.heads, network(x).std((0, 2)), strict=True):
            head.linear.weight.mul_(2 / spread_of_logits)
        certainty = ExitPolicy(2.0, criterion).certainty(network(x))
    thresholds = []
    waiting = torch.ones(len(x), dtype=torch.bool)
    for exit in range(network.num_exits - 1):
        top = certainty[waiting, exit].sort(descending=True).values[:40].double()
        gap = int((top[:-1] - top[1:])[9:].argmax()) + 9 if len(top) > 11 else 0
        thresholds.append(float(top[gap] + top[gap + 1]) / 2)
        waiting &= certainty[:, exit] < thresholds[-1]
    network.policy = ExitPolicy(thresholds, criterion)
    return network


@pytest.mark.parametrize(("family", "depth"), [("resnet", 14), ("vgg", 8), ("mobilenet", 4)])
@pytest.mark.parametrize("criterion", ["confidence", "entropy", "margin"])
def test_answers_and_exits_are_the_networks(
    family: str, depth: int, criterion: Criterion, digits: ImageData, tmp_path: Path
) -> None:
    x = digits.test.x[:200]
    arch = architecture(family, digits.input_shape, digits.classes, depth=depth, width=4)
    network = MultiExitNetwork.build(arch, seed=0, mean=digits.mean, std=digits.std)
    network.train()(x)  # so that BatchNorm's statistics are not those of a new network
    spread(network.eval(), criterion, x)
    export_onnx(network, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    expected = network.predict(x)
    answers = [session.run(None, {"images": x[i : i + 1].numpy()}) for i in range(len(x))]
    probabilities, labels, exits = (np.concatenate(part) for part in zip(*answers, strict=True))
    assert np.abs(probabilities - expected.probabilities.numpy()).max() < 1e-4
    assert labels.tolist() == expected.labels.tolist()
    assert exits.tolist() == expected.exits.tolist()
    assert set(exits.tolist()) == set(range(network.num_exits))


def test_a_wrapped_module_leaves_early_in_onnx_too(digits: ImageData) -> None:
    x = digits.test.x[:50]
    network = MultiExitNetwork.wrap(user.Residual(), 3, example=x)
    certainty = ExitPolicy(2.0).certainty(network(x).detach())[:, 0]
    network.policy = ExitPolicy([float(certainty.median()) + 1e-4, 0.0, 0.0])
    same_in_onnx(network, x)


def same_in_onnx(network: MultiExitNetwork, x: torch.Tensor) -> None:
    session = onnxruntime.InferenceSession(onnx_graph(network).SerializeToString())
    answers = [session.run(None, {"images": each[None].numpy()}) for each in x]
    probabilities, labels, exits = (np.concatenate(part) for part in zip(*answers, strict=True))
    expected = network.predict(x)
    assert np.abs(probabilities - expected.probabilities.numpy()).max() < 1e-4
    assert labels.tolist() == expected.labels.tolist() and exits.tolist() == expected.exits.tolist()
    assert len(set(exits.tolist())) > 1


def test_a_temperature_comes_along(digits: ImageData) -> None:
    x = digits.test.x[:50]
    network = MultiExitNetwork.wrap(user.several(), example=x)
    certainty = ExitPolicy(2.0, temperature=0.05).certainty(network(x).detach())[:, 0]
    network.policy = ExitPolicy([float(certainty.median()) + 1e-4, 0.0], temperature=0.05)
    same_in_onnx(network, x)


def _spread_policy(network: MultiExitNetwork, x: torch.Tensor) -> None:
    """A threshold at each exit under which a part of what is left leaves there."""
    certainty = ExitPolicy(2.0).certainty(network(x).detach())
    thresholds = [float(column.double().quantile(0.7)) + 1e-5 for column in certainty[:, :-1].T]
    network.policy = ExitPolicy(thresholds)


class Exiting(user.Skips):
    """A little U-Net with an exit of its own, that sees what is deepest; what the stem gives goes on beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.exit = torch.nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:  # type: ignore[override]
        high = self.act(self.stem(x))
        low = self.middle(self.down(high))
        both = torch.cat([self.act(self.up(low)) * self.scale + self.shift, high], 1)
        return [self.exit(low.mean((2, 3))), self.fc(self.out(both).mean((2, 3)))]


@pytest.mark.parametrize("nested", [1, 24])
@pytest.mark.parametrize("make", [Exiting, user.Skips, "msdnet"])
def test_stages_that_hand_over_several_tensors(
    make: Any, nested: int, digits: ImageData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    x = digits.test.x[:60]
    torch.manual_seed(0)
    if make == "msdnet":
        network = MultiExitNetwork.build(architecture("msdnet", digits.input_shape, 10, depth=4, width=4), seed=0)
        network.train()(x)
        network.eval()
    else:
        module = make().train()
        module(x)
        exits = ["down", "middle"] if make is user.Skips else ["down"]
        network = MultiExitNetwork.wrap(module, exits, example=x)
    assert any(isinstance(features, tuple) for features in network.handed_over())
    _spread_policy(network, x)
    monkeypatch.setattr(onnx_nested, "NESTED", nested)
    same_in_onnx(network, x)
    sessions = [onnxruntime.InferenceSession(path) for path in export_stages(network, tmp_path / "stages")]
    given = {"images": x[:1].numpy()}
    for session in sessions:
        wanted = {each.name.replace("before", "features"): each.name for each in session.get_inputs()}
        outputs = [each.name for each in session.get_outputs()]
        given = dict(zip(outputs, session.run(None, {n: given[k] for k, n in wanted.items()}), strict=True))
    expected = network.policy.probabilities(network(x[:1]).detach()[:, -1])
    assert np.abs(given["probabilities"] - expected.numpy()).max() < 1e-4


@pytest.mark.parametrize(
    ("module", "exits", "policy", "said"),
    [
        (user.Residual, 2, ExitPolicy(0.5, "patience"), "patience"),
        (user.Residual, 2, ExitPolicy(0.5, answer="most confident"), "most confident"),
    ],
)
def test_what_cannot_be_exported_is_said(module, exits, policy, said, digits: ImageData) -> None:
    network = MultiExitNetwork.wrap(module(), exits, example=digits.test[:2].x)
    network.policy = policy
    with pytest.raises(ExitprintError, match=said):
        onnx_graph(network)


def test_the_network_itself_stays_as_it_was(digits: ImageData) -> None:
    arch = architecture("resnet", digits.input_shape, digits.classes, depth=8, width=2)
    network = MultiExitNetwork.build(arch, seed=0).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    onnx_graph(network)
    assert network.training and all(module.training for module in network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("nested", [1, 2, 3])
def test_groups_of_exits_answer_the_same(nested: int, digits: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    x = digits.test.x[:200]
    arch = architecture("vgg", digits.input_shape, digits.classes, depth=8, width=2)
    network = spread(MultiExitNetwork.build(arch, seed=1).eval(), "confidence", x)
    monkeypatch.setattr(onnx_nested, "NESTED", nested)
    session = onnxruntime.InferenceSession(onnx_graph(network).SerializeToString())
    exits = [int(session.run(["exit"], {"images": x[i : i + 1].numpy()})[0][0]) for i in range(len(x))]
    assert exits == network.predict(x).exits.tolist() and len(set(exits)) > 3


def test_many_exits_fit_into_what_readers_can_follow() -> None:
    arch = architecture("resnet", (1, 4, 4), 2, depth=110, width=2)
    network = MultiExitNetwork.build(arch, seed=0, policy=ExitPolicy(2.0)).eval()
    model = onnx_graph(network)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert session.run(["exit"], {"images": np.zeros((1, 1, 4, 4), np.float32)})[0].tolist() == [54]


def test_what_lies_behind_an_exit_is_not_computed(digits: ImageData, tmp_path: Path) -> None:
    arch = architecture("resnet", digits.input_shape, digits.classes, depth=8, width=2)
    network = MultiExitNetwork.build(arch, seed=0, policy=ExitPolicy([2.0, 0.0, 2.0])).eval()
    convolutions = {0: 0, 1: 0, 2: 0}
    graph = onnx_graph(network).graph
    depth = 0
    while True:
        convolutions[depth] = sum(node.op_type == "Conv" for node in graph.node)
        branch = next((node for node in graph.node if node.op_type == "If"), None)
        if branch is None:
            break
        then, otherwise = (onnx.helper.get_node_attr_value(branch, name) for name in ("then_branch", "else_branch"))
        assert not any(node.op_type == "Conv" for node in then.node) and not otherwise.initializer
        graph, depth = otherwise, depth + 1
    assert convolutions[0] == 3 and convolutions[1] == 2 and convolutions[2] == 2


def test_weights_that_do_not_fit_are_refused(
    digits: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arch = architecture("resnet", digits.input_shape, digits.classes, depth=8, width=2)
    monkeypatch.setattr(onnx_export, "LARGEST", 2**24 + 1000)
    with pytest.raises(ExitprintError, match="do not fit"):
        export_onnx(MultiExitNetwork.build(arch), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_one_sentence(digits: ImageData, tmp_path: Path) -> None:
    arch = architecture("resnet", digits.input_shape, digits.classes, depth=8, width=2)
    with pytest.raises(ExitprintError, match="cannot write"):
        export_onnx(MultiExitNetwork.build(arch), tmp_path / "nowhere" / "m.onnx")


def test_a_quantised_network_is_refused(digits: ImageData, tmp_path: Path) -> None:
    arch = architecture("resnet", digits.input_shape, digits.classes, depth=8, width=2)
    network = MultiExitNetwork.build(arch, seed=0).eval()
    quantise_layers(network, [digits.test.x[:50]])
    with pytest.raises(ExitprintError, match="quantised"):
        export_onnx(network, tmp_path / "m.onnx")
