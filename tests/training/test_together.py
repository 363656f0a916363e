"""Networks trained together are those trained one by one, but for rounding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from exitprint.data import ImageData, load_data
from exitprint.errors import ExitprintError, Interrupted
from exitprint.networks import Architecture, MultiExitNetwork, architecture, save_network
from exitprint.networks.stack import Stack
from exitprint.training import Recipe, exit_accuracies, policy_accuracy, recipe, train_network, train_together
from exitprint.training import together as together_module

SEEDS = (3, 0, 8)


@pytest.fixture(scope="module")
def few() -> ImageData:
    return load_data("digits", limit=300)


def small(name: str) -> Architecture:
    depth = {"resnet": 8, "vgg": 8, "mobilenet": 4}[name]
    return architecture(name, (1, 8, 8), 10, depth=depth, width=4)


def quick(name: str, epochs: int = 1, **heads: object) -> Recipe:
    how = recipe("fast", name, "digits", epochs=epochs)
    return how.model_copy(update={"heads": how.heads.model_copy(update={"epochs": 2, **heads})})


def largest_difference(one: MultiExitNetwork, other: MultiExitNetwork, leaving_out: Sequence[str] = ()) -> float:
    mine, theirs = one.state_dict(), other.state_dict()
    return max(float((mine[name] - theirs[name]).abs().max()) for name in mine if name not in leaving_out)


@pytest.mark.parametrize("name", ["resnet", "vgg", "mobilenet"])
def test_a_stack_computes_what_its_networks_compute(name: str) -> None:
    networks = [MultiExitNetwork.build(small(name), seed).eval() for seed in SEEDS]
    stack = Stack(networks).eval()
    x = torch.rand(3, 5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        last = stack(x)
        features = list(stack.features(x))
        for index, network in enumerate(networks):
            assert torch.allclose(last[index], network(x[index])[:, -1], atol=1e-5)
            for mine, theirs in zip(features, network.features(x[index]), strict=True):
                assert torch.allclose(mine[index], theirs, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet", "vgg", "mobilenet"])
def test_a_stack_gives_back_what_it_took(name: str) -> None:
    networks = [MultiExitNetwork.build(small(name), seed) for seed in SEEDS]
    blank = [MultiExitNetwork.build(small(name), 99) for _ in SEEDS]
    Stack(networks).give(blank)
    last = f"heads.{networks[0].exits - 1}."
    for mine, theirs in zip(networks, blank, strict=True):
        for key, tensor in mine.state_dict().items():
            if key.startswith(("stages.", last)):
                assert torch.equal(tensor, theirs.state_dict()[key]), key


@pytest.mark.parametrize("name", ["resnet", "vgg", "mobilenet"])
@pytest.mark.parametrize("heads", [{}, {"views": 2, "standardise": True}])
def test_weights_are_those_of_one_by_one(name: str, heads: dict[str, object], few: ImageData) -> None:
    how = quick(name, **heads)
    made = train_together(small(name), few, how, SEEDS)
    last = f"heads.{made[0].exits - 1}."
    for seed, network in zip(SEEDS, made, strict=True):
        alone = train_network(small(name), few, how, seed)
        internal = [name for name in network.state_dict() if name.startswith("heads.") and not name.startswith(last)]
        assert largest_difference(network, alone, leaving_out=internal) < 1e-4
        with torch.no_grad():  # internal classifiers learn on features rounded to bf16
            assert torch.allclose(network(few.test.x), alone(few.test.x), atol=0.1)
        others = [other for other in made if other is not network]
        assert min(largest_difference(network, other) for other in others) > 0.1


def test_accuracies_are_those_of_one_by_one_after_a_whole_training(few: ImageData) -> None:
    how = quick("resnet", epochs=6)
    made = train_together(small("resnet"), few, how, SEEDS)
    alone = [train_network(small("resnet"), few, how, seed) for seed in SEEDS]
    mine, theirs = ([exit_accuracies(n, few.test)[-1] for n in networks] for networks in (made, alone))
    assert min(mine) > 0.4
    assert sum(mine) / 3 == pytest.approx(sum(theirs) / 3, abs=0.03)
    assert all(policy_accuracy(n, few.calibration) >= 0.94 * exit_accuracies(n, few.calibration)[-1] for n in made)


def test_a_cohort_depends_on_its_seeds_alone_and_says_so(few: ImageData, tmp_path: Path) -> None:
    for run in ("1", "2"):
        for seed, network in zip(SEEDS, train_together(small("resnet"), few, quick("resnet"), SEEDS), strict=True):
            save_network(network, tmp_path / f"{run}-{seed}")
            assert network.history[0]["together"] == list(SEEDS) and network.history[0]["seed"] == seed
    for seed in SEEDS:
        assert (tmp_path / f"1-{seed}").read_bytes() == (tmp_path / f"2-{seed}").read_bytes()


def test_an_interrupted_cohort_goes_on_to_the_same_weights(
    few: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how, path = quick("vgg", epochs=3), tmp_path / "partial"
    whole = train_together(small("vgg"), few, how, SEEDS)
    original, calls = together_module.unit_range, []

    def stopping(pixels: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 2 * (len(few.train) // how.backbone.batch) + 1:
            raise KeyboardInterrupt
        return original(pixels)

    monkeypatch.setattr(together_module, "unit_range", stopping)
    with pytest.raises(Interrupted, match="continues after epoch 2"):
        train_together(small("vgg"), few, how, SEEDS, checkpoint=path)
    monkeypatch.setattr(together_module, "unit_range", original)
    again = train_together(small("vgg"), few, how, SEEDS, checkpoint=path)
    assert all(largest_difference(a, b) == 0 for a, b in zip(whole, again, strict=True)) and not path.exists()


def test_features_in_groups_come_out_as_all_at_once(few: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    one = train_together(small("resnet"), few, quick("resnet"), SEEDS)
    monkeypatch.setattr("exitprint.training.heads.CACHE_BYTES", 400_000)
    two = train_together(small("resnet"), few, quick("resnet"), SEEDS)
    assert all(largest_difference(a, b) < 1e-5 for a, b in zip(one, two, strict=True))


def test_what_cannot_be_trained_is_one_sentence(few: ImageData) -> None:
    for seeds in ((), (1, 1)):
        with pytest.raises(ExitprintError, match="one seed each"):
            train_together(small("resnet"), few, quick("resnet"), seeds)
    wild = quick("resnet")
    wild = wild.model_copy(update={"backbone": wild.backbone.model_copy(update={"learning_rate": 1e12})})
    with pytest.raises(ExitprintError, match="diverged in epoch 1 for seed 3"):
        train_together(small("resnet"), few, wild, SEEDS)
