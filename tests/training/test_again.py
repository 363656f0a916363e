"""References of the owner's own recipe: the same training from another seed, found again, gone on with."""

from __future__ import annotations

import pytest
import torch

from exitprint.data import load_data
from exitprint.errors import ExitprintError, Interrupted
from exitprint.fingerprints.shares import recipe_of
from exitprint.networks import architecture, load_network
from exitprint.tampering import quantise
from exitprint.training import backbone as backbone_module
from exitprint.training import recipe, seconds_of_training, train_again, train_network
from exitprint.training.again import FOR_HEADS


@pytest.fixture(scope="module")
def data():
    return load_data("digits", limit=400)


@pytest.fixture(scope="module")
def network(data):
    arch = architecture("resnet8", data.input_shape, data.classes, width=4)
    return train_network(arch, data, recipe("fast", "resnet", "digits", epochs=2), seed=3)


def test_another_seed_gives_another_network_of_the_same_recipe(network, data, tmp_path):
    made = train_again(network, data, 4, tmp_path / "r")
    alone = train_network(network.architecture, data, recipe("fast", "resnet", "digits", epochs=2), seed=4)
    assert recipe_of(network, made) == "same"
    for name, weights in alone.state_dict().items():
        assert torch.equal(weights, made.state_dict()[name])
    assert not torch.equal(
        made.heads[-1].state_dict()["linear.weight"], network.heads[-1].state_dict()["linear.weight"]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_one_that_is_there_is_not_trained_again(network, data, tmp_path, monkeypatch):
    train_again(network, data, 4, tmp_path / "r")
    written = (tmp_path / "r").read_bytes()
    monkeypatch.setattr("exitprint.training.again.train_network", None)
    assert train_again(network, data, 4, tmp_path / "r").history[0]["seed"] == 4
    assert (tmp_path / "r").read_bytes() == written
    with pytest.raises(ExitprintError, match="holds another network"):
        train_again(network, data, 5, tmp_path / "r")


def test_a_stopped_training_goes_on_to_the_same_network(network, data, tmp_path, monkeypatch):
    train_again(network, data, 4, tmp_path / "whole")
    augment, batches = backbone_module.augment, iter(range(9))

    def stop(*given):
        if next(batches) == 8:
            raise KeyboardInterrupt
        return augment(*given)

    monkeypatch.setattr(backbone_module, "augment", stop)
    with pytest.raises(Interrupted, match="epoch 2 of 2"):
        train_again(network, data, 4, tmp_path / "r")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".r.partial", "whole"]
    monkeypatch.setattr(backbone_module, "augment", augment)
    train_again(network, data, 4, tmp_path / "r")
    assert load_network(tmp_path / "r").history == load_network(tmp_path / "whole").history
    assert (tmp_path / "r").read_bytes() == (tmp_path / "whole").read_bytes()


def test_the_time_that_is_said_is_that_of_all_batches(network, data, monkeypatch):
    ticks = (0.5 * tick for tick in range(100))
    monkeypatch.setattr("exitprint.training.again.perf_counter", lambda: next(ticks))
    used = recipe("fast", "resnet", "digits", epochs=2).backbone
    batches = -(-len(data.train) // used.batch)
    assert seconds_of_training(network, data) == pytest.approx(FOR_HEADS * 0.5 * 2 * batches)


def test_what_has_no_recipe_is_refused(network, data, tmp_path):
    wrapped = network.copy()
    wrapped.history = [{"step": "exits trained"}]
    with pytest.raises(ExitprintError, match=r"carries no recipe.*--reference"):
        train_again(wrapped, data, 4, tmp_path / "r")
    with pytest.raises(ExitprintError, match="carries no recipe"):
        seconds_of_training(quantise(network, data, retrain_heads=False, rad=None), data)
    with pytest.raises(ExitprintError, match="and these are"):
        train_again(network, load_data("digits", limit=300), 4, tmp_path / "r")
    with pytest.raises(ExitprintError, match="the network's own"):
        train_again(network, data, 3, tmp_path / "r")
    assert not list(tmp_path.iterdir())
