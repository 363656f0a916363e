"""A network of the user's own stages and heads: all works that works with ours; saving says what it needs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.fingerprints import ContrastMethod, contrast_fingerprint
from exitprint.networks import ExitHead, ExitPolicy, MultiExitNetwork, exit_costs, load_network, save_network
from exitprint.networks.onnx_export import onnx_graph
from exitprint.suspects import CostModel
from exitprint.tampering import add_exits, finetune, prune, quantise, remove_exits, retrain_exits
from exitprint.training import HeadRecipe, all_logits, calibrated_policy, exit_accuracies, train_jointly
from exitprint.training.recipe import BackboneRecipe

QUICK = HeadRecipe(epochs=2, learning_rate=5e-3, batch=128)


def block(inputs: int, outputs: int, stride: int = 2) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU())


def classifier(features: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 10))


class Paired(nn.Module):
    """A stage that hands over two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = block(1, 12)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(x), x[:, :, ::2, ::2]


class Joining(nn.Module):
    """A stage that takes two."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = block(13, 16)

    def forward(self, given: tuple[Tensor, Tensor]) -> Tensor:
        return self.conv(torch.cat(given, 1))


def convolutions() -> MultiExitNetwork:
    stages = [block(1, 12, 1), block(12, 16), block(16, 24)]
    heads = [(0, classifier(12)), (1, classifier(16)), (2, classifier(24))]
    return MultiExitNetwork(stages, heads, ExitPolicy(0.7), (1, 8, 8), [0.3], [0.4])


def sdn_heads() -> MultiExitNetwork:
    stages = [block(1, 12, 1), block(12, 16), block(16, 24)]
    return MultiExitNetwork(stages, [(0, ExitHead((12, 8, 8), 10)), (2, classifier(24))], ExitPolicy(0.7), (1, 8, 8))


def linear() -> MultiExitNetwork:
    stages = [nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU()), nn.Sequential(nn.Linear(48, 32), nn.ReLU())]
    heads = [(0, nn.Linear(48, 10)), (1, nn.Linear(32, 10))]
    return MultiExitNetwork(stages, heads, ExitPolicy(0.7), (1, 8, 8))


def several_tensors() -> MultiExitNetwork:
    return MultiExitNetwork(
        [Paired(), Joining()], [(0, classifier(12)), (1, classifier(16))], ExitPolicy(0.7), (1, 8, 8)
    )


def without_weights_in_a_stage() -> MultiExitNetwork:
    stages = [nn.Identity(), nn.MaxPool2d(2), block(1, 24)]
    heads = [(0, nn.Sequential(nn.Flatten(), nn.Linear(64, 10))), (2, classifier(24))]
    return MultiExitNetwork(stages, heads, ExitPolicy(0.7), [1, 8, 8])  # type: ignore[arg-type]


PARTS = [convolutions, sdn_heads, linear, several_tensors, without_weights_in_a_stage]


@pytest.fixture(scope="module")
def trained(digits):
    def make(parts):
        if parts not in made:
            torch.manual_seed(0)
            network = parts()
            how = BackboneRecipe(epochs=8, learning_rate=0.05, batch=64, weight_decay=5e-4)
            train_jointly(network, digits, how, seed=0)
            made[parts] = network.eval()
        return made[parts].copy()

    made = {}
    return make


@pytest.mark.parametrize("parts", PARTS)
def test_it_predicts_says_what_it_is_and_is_fingerprinted(parts, trained, digits):
    network = trained(parts)
    assert network.classes == 10 and f"{network.num_exits - 1}" in repr(network) and "10 classes" in repr(network)
    assert exit_costs(network)[-1] == 1
    x = digits.test[:7].x
    assert torch.equal(network.predict(x).exits, network.policy.exits(network(x).detach()))
    strict, loose = (ExitPolicy(float(q)) for q in _confidences(network, digits).quantile(torch.tensor([0.7, 0.4])))
    network.policy = strict
    try:
        made = contrast_fingerprint(network, digits.test, [strict, loose], 10, 0, ContrastMethod(margin_log_odds=0.1))
    except ExitprintError as refused:
        assert "would have to change" in str(refused)  # crafting came to its end: a small network needs large changes
    else:
        late = CostModel(network).ask(made.x[made.late]).seconds
        assert late.mean() > CostModel(network).ask(made.x[~made.late]).seconds.mean()


def _confidences(network, digits):
    return network.policy.certainty(all_logits(network, digits.test))[:, 0]


@pytest.mark.parametrize("parts", PARTS)
def test_thieves_do_to_it_what_they_do_to_others(parts, trained, digits):
    network = trained(parts)
    done = [
        retrain_exits(network, digits, heads=QUICK),
        finetune(network, digits, epochs=1, retrain_heads=False),
        prune(network, digits, rate=0.2, heads=QUICK),
        remove_exits(network, digits, which=[0]) if network.num_exits > 2 else network,
        quantise(network, digits, heads=QUICK),
    ]
    if len(network.stages) > network.num_exits:
        done.append(add_exits(network, digits, heads=QUICK))
    assert done[-1].integers or done[4].integers
    before = exit_accuracies(network, digits.test)[-1]
    for copy in done:
        assert exit_accuracies(copy, digits.test)[-1] > before - 0.1 > 0.2
    assert calibrated_policy(network, digits.calibration, 5).thresholds[0] <= 2


@pytest.mark.parametrize("parts", PARTS)
def test_saving_says_what_it_needs_and_that_works(parts, trained, digits, tmp_path):
    network = trained(parts)
    with pytest.raises(ExitprintError, match=r"save what MultiExitNetwork.wrap\(network, example=images\) makes"):
        save_network(network, tmp_path / "n.safetensors")
    with pytest.raises(ExitprintError, match="wrap"):
        network.save_pretrained(tmp_path)
    x = digits.test[:5].x
    kept = MultiExitNetwork.wrap(network, example=x)
    assert kept.policy == network.policy
    save_network(kept, tmp_path / "n.safetensors")
    assert torch.equal(load_network(tmp_path / "n.safetensors")(x), kept(x))
    assert torch.allclose(kept(x), network(x), atol=1e-5)


def test_it_is_exported_to_onnx(trained):
    assert onnx_graph(trained(convolutions)).graph.output


@pytest.mark.parametrize(
    ("stages", "heads", "more", "said"),
    [
        ([nn.Identity()], [(0, nn.Flatten())], {"policy": 0.9}, "leaves by an ExitPolicy"),
        ([torch.relu], [(0, nn.Flatten())], {}, "torch.nn.Modules"),
        ([nn.Identity()], [(0, torch.relu)], {}, "torch.nn.Modules"),
        ([nn.Identity()], [(1, nn.Flatten())], {}, "the last after the last stage"),
        ([nn.Identity()], [(0, nn.Flatten())], {"input_shape": (8, 8)}, r"\(channels, height, width\)"),
        ([nn.Identity()], [(0, nn.Flatten())], {"mean": [0.1, 0.2]}, "one number for each of the 1 channels"),
        ([nn.Identity()], [(0, nn.Flatten())], {"std": [0.0]}, "std above 0"),
    ],
)
def test_parts_that_make_no_network_are_refused(stages, heads, more, said):
    given = {"policy": ExitPolicy(0.9), "input_shape": (1, 8, 8), **more}
    with pytest.raises(ExitprintError, match=said):
        MultiExitNetwork(stages, heads, **given)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (nn.Flatten(), nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), "tell 10, 64 classes"),
        (nn.Identity(), nn.Flatten(), r"exit 0 answers \(2, 1, 8, 8\)"),
        (nn.Linear(3, 10), nn.Flatten(), "do not take images of shape"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(64, 1)),
            nn.Sequential(nn.Flatten(), nn.Linear(64, 1)),
            "tell 1 classes",
        ),
    ],
)
def test_heads_that_do_not_belong_together_are_told_when_their_classes_are_asked(first, last, said):
    network = MultiExitNetwork([nn.Identity(), nn.Identity()], [(0, first), (1, last)], ExitPolicy(0.9), (1, 8, 8))
    with pytest.raises(ExitprintError, match=said):
        _ = network.classes
