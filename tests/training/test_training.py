"""Training: recipes, seeds, interruptions, cached features."""

from __future__ import annotations

import pytest
import torch

from exitprint.data import load_data
from exitprint.errors import ExitprintError, Interrupted
from exitprint.networks import MultiExitNetwork, architecture, exit_costs, save_network
from exitprint.training import (
    all_logits,
    calibrated_policy,
    exit_accuracies,
    leaving_policy,
    policy_accuracy,
    recipe,
    train_heads,
    train_network,
)
from exitprint.training import descend as descend_module
from exitprint.training import heads as heads_module
from exitprint.training.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def few():
    return load_data("digits", limit=300)


ARCH = architecture("resnet8", (1, 8, 8), 10, width=4)
QUICK = recipe("fast", "resnet", "digits", epochs=3)


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_papers_recipe_is_the_papers():
    r = recipe("paper", "resnet", "cifar10")
    assert (r.backbone.epochs, r.backbone.learning_rate, r.backbone.momentum) == (50, 0.01, 0.9)
    assert r.backbone.weight_decay == 1e-4 and recipe("paper", "vgg", "cifar10").backbone.weight_decay == 5e-4
    assert [r.backbone.rate(e) for e in (0, 19.9, 20, 40)] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-4])
    assert r.backbone.milestones == (20, 40)
    assert recipe("paper", "vgg", "cifar100").backbone.milestones == (40, 70)
    assert recipe("paper", "vgg", "tiny-imagenet").backbone.epochs == 100
    assert (r.heads.epochs, r.heads.learning_rate, r.heads.milestones) == (25, 1e-3, (15,))
    assert r.heads.rate(14.9) == pytest.approx(1e-3) and r.heads.rate(15) == pytest.approx(1e-4)


def test_recipes_refuse_nonsense():
    with pytest.raises(ExitprintError, match="positive"):
        recipe("fast", "resnet", "digits", epochs=0)
    with pytest.raises(ExitprintError, match="unknown preset"):
        recipe("slow", "resnet", "digits")


def test_training_learns_and_depends_on_its_seed_alone(few, tmp_path):
    one, two, other = (train_network(ARCH, few, QUICK, seed) for seed in (0, 0, 1))
    for name, network in (("1", one), ("2", two)):
        save_network(network, tmp_path / name)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert not same(weights(one), weights(other))
    before = exit_accuracies(MultiExitNetwork.build(ARCH, 0, mean=few.mean, std=few.std), few.test)[-1]
    assert exit_accuracies(one, few.test)[-1] > before + 0.15
    assert one.history[0]["step"] == "trained" and not one.training


@pytest.mark.parametrize("stop_after", [1, 2])
def test_an_interrupted_training_goes_on_to_the_same_weights(few, tmp_path, monkeypatch, stop_after):
    whole = train_network(ARCH, few, QUICK, seed=4)
    original, calls = descend_module.unit_range, []

    def stopping(pixels):
        calls.append(1)
        if len(calls) > stop_after * (len(few.train) // QUICK.backbone.batch) + 1:
            raise KeyboardInterrupt
        return original(pixels)

    monkeypatch.setattr(descend_module, "unit_range", stopping)
    path = tmp_path / "partial"
    with pytest.raises(Interrupted, match=f"continues after epoch {stop_after}"):
        train_network(ARCH, few, QUICK, seed=4, checkpoint=path)
    monkeypatch.setattr(descend_module, "unit_range", original)
    assert path.exists()
    again = train_network(ARCH, few, QUICK, seed=4, checkpoint=path)
    assert same(weights(whole), weights(again)) and not path.exists()


def test_without_a_checkpoint_a_rerun_starts_clean(few, monkeypatch):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(descend_module, "unit_range", stop)
    with pytest.raises(Interrupted, match="starts clean"):
        train_network(ARCH, few, QUICK, seed=4)


def test_the_state_of_another_training_is_not_taken_up(tmp_path):
    path = tmp_path / "partial"
    Checkpoint(path, "one").write(2, {"a": torch.zeros(1)})
    assert Checkpoint(path, "other").read() is None
    assert Checkpoint(path, "one").read()[0] == 2
    path.write_bytes(b"damaged")
    assert Checkpoint(path, "one").read() is None


def test_heads_train_and_the_backbone_stays_bit_for_bit(few, target):
    network = target.copy()
    fresh = MultiExitNetwork.build(network.architecture, 99)
    for exit in range(network.num_exits - 1):
        network.heads[exit] = fresh.heads[exit]
    before = weights(network)
    untrained = exit_accuracies(network, few.test)
    train_heads(network, few, QUICK.heads, seed=1)
    after = weights(network)
    last = f"heads.{network.num_exits - 1}."
    frozen = [name for name in before if name.startswith("stages") or name.startswith(last) or name in ("mean", "std")]
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    trained = exit_accuracies(network, few.test)
    assert all(a > b + 0.2 for a, b in zip(trained[:-1], untrained[:-1], strict=True)) and trained[-1] == untrained[-1]


def test_standardising_features_leaves_a_head_the_function_it_was(few, target):
    network = target.copy()
    pooled = heads_module.pooled_features(network, few, [0, 1])
    x = few.train[:50].x
    before = network(x).detach()
    for exit, features in enumerate(pooled):
        head, first = network.heads[exit], features[:50].clone()
        with heads_module.standardised(head, features):
            assert features.float().mean(0).abs().max() < 0.05
            inside = head.classify(features[:50].float())
        assert torch.allclose(inside, head.classify(first.float()), atol=0.1)
    assert torch.allclose(network(x), before, atol=1e-4)


def test_standardised_heads_learn_as_well(few, target):
    network = target.copy()
    fresh = MultiExitNetwork.build(network.architecture, 99)
    for exit in range(network.num_exits - 1):
        network.heads[exit] = fresh.heads[exit]
    train_heads(network, few, QUICK.heads.model_copy(update={"standardise": True, "epochs": 20}), seed=1)
    assert min(exit_accuracies(network, few.test)) > 0.7


def test_without_fast_bf16_the_same_is_learnt_in_float32(few, target, monkeypatch):
    one, two = target.copy(), target.copy()
    train_heads(one, few, QUICK.heads, seed=1)
    monkeypatch.setattr(heads_module, "fast_bf16", lambda device: False)
    train_heads(two, few, QUICK.heads, seed=1)
    for a, b in zip(weights(one).values(), weights(two).values(), strict=True):
        assert torch.allclose(a, b, atol=0.05)


def test_an_epoch_shows_every_image_once_in_one_of_its_views(few, target, monkeypatch):
    network = target.copy()
    seen = []
    classify = type(network.heads[0]).classify
    monkeypatch.setattr(
        type(network.heads[0]), "classify", lambda self, x: seen.append(x[:, 0].long()) or classify(self, x)
    )
    images, views = 8, 3
    rows = torch.arange(images * views)[:, None].expand(-1, network.heads[0].pooled_weight().shape[1]).float()
    how = QUICK.heads.model_copy(update={"batch": 4, "epochs": 5, "views": views})
    heads_module.fit_heads(network, [0], [rows], torch.arange(images), how, seed=0)
    epochs = torch.cat(seen).view(5, images)
    assert all(sorted((epoch % images).tolist()) == list(range(images)) for epoch in epochs)
    assert len(set((epochs // images).flatten().tolist())) == views


def test_exits_in_groups_come_out_as_all_at_once(few, target, monkeypatch):
    one, two = target.copy(), target.copy()
    train_heads(one, few, QUICK.heads, seed=1)
    passes = []
    original = heads_module.pooled_features
    monkeypatch.setattr(heads_module, "pooled_features", lambda *a: passes.append(1) or original(*a))
    monkeypatch.setattr(heads_module, "CACHE_BYTES", 300_000)
    train_heads(two, few, QUICK.heads, seed=1)
    assert len(passes) > 1
    for a, b in zip(weights(one).values(), weights(two).values(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_calibration_keeps_the_accuracy_it_promises(target, digits):
    final = exit_accuracies(target, digits.calibration)[-1]
    for rad in (0, 1, 5):
        network = target.copy()
        network.policy = calibrated_policy(target, digits.calibration, rad)
        assert policy_accuracy(network, digits.calibration) >= (1 - rad / 100) * final - 1e-9


def test_a_diverged_training_says_so(few):
    wild = QUICK.model_copy(update={"backbone": QUICK.backbone.model_copy(update={"learning_rate": 1e12})})
    with pytest.raises(ExitprintError, match="diverged"):
        train_network(ARCH, few, wild, seed=0)


def test_progress_goes_nowhere_unless_asked(few, capsys):
    train_network(ARCH, few, QUICK, seed=0)
    said = capsys.readouterr()
    assert said.out == said.err == ""


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_share_of_images_leaves_in_the_first_half(target, digits, share):
    policy = leaving_policy(target, digits.test, share)
    first_half = sum(cost <= 0.5 for cost in exit_costs(target)[:-1])
    left = (policy.exits(all_logits(target, digits.test)) < first_half).double().mean()
    assert abs(float(left) - share) < 0.02


def test_a_share_out_of_range_is_refused(target, digits):
    with pytest.raises(ExitprintError, match="between 0 and 1"):
        leaving_policy(target, digits.test, 1.0)
