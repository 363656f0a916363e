"""Image classifiers of `transformers`, made from a configuration, as wrapped modules."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from exitprint.fingerprints import contrast_fingerprint
from exitprint.fingerprints.shares import shares
from exitprint.networks import MultiExitNetwork, load_network, save_network
from exitprint.tampering import prune
from exitprint.training import calibrated_policy, recipe, train_heads

transformers = pytest.importorskip("transformers")


def vit(seed=0):
    torch.manual_seed(seed)
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=8,
        patch_size=2,
        num_channels=1,
        num_labels=10,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return transformers.ViTForImageClassification(config).eval()


def test_a_vit_answers_as_it_did_and_its_copies_are_told(digits, tmp_path):
    module = vit()
    optimiser = torch.optim.AdamW(module.parameters(), 2e-3)
    for _ in range(8):
        for batch in torch.randperm(len(digits.train)).split(64):
            loss = F.cross_entropy(module(digits.train[batch].x * 2 - 1).logits, digits.train.labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    network = MultiExitNetwork.wrap(module, 4, example=digits.train[:2].x, mean=[0.5], std=[0.5])
    assert all(tuple(f.shape[1:]) == (17, 32) for f in list(network.features(digits.test[:2].x))[:-1])
    train_heads(network, digits, recipe("fast", "exported", "digits").heads, 0)
    network.policy = calibrated_policy(network, digits.calibration, 15)
    save_network(network, tmp_path / "vit.safetensors")
    back = load_network(tmp_path / "vit.safetensors")
    x = digits.test[:9].x
    with torch.no_grad():
        assert torch.equal(back(x)[:, -1], module(x * 2 - 1).logits)
    made = contrast_fingerprint(back, digits.test, [back.policy], samples=12)
    for suspect in (back, prune(back, digits, rate=0.1, retrain_heads=False, rad=None)):
        assert shares(suspect, [back.policy], "contrast", made.samples, made.originals, made.late)[0] > 0.85


@pytest.mark.parametrize("name", ["ConvNext", "Swin", "MobileNetV2", "Beit"])
def test_other_families(name):
    sizes = {
        "ConvNext": {"hidden_sizes": [4, 8], "depths": [1, 2], "num_stages": 2},
        "Swin": {"patch_size": 2, "embed_dim": 4, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4},
        "MobileNetV2": {"depth_multiplier": 0.35},
        "Beit": {
            "hidden_size": 8,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 8,
            "patch_size": 8,
        },
    }[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(image_size=32, num_labels=10, **sizes)
    module = getattr(transformers, f"{name}ForImageClassification")(config).eval()
    network = MultiExitNetwork.wrap(module, example=torch.rand(2, 3, 32, 32))
    assert network.num_exits > 1  # `wrap` itself compares the answers bit by bit
