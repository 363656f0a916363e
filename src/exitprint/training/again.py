"""Training a network's recipe again from another seed: independents of the owner's own making."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from time import perf_counter

import torch
from torch.nn import functional as F

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.networks import Architecture, MultiExitNetwork, load_network, save_network
from exitprint.threads import single_thread, too_small_for_threads
from exitprint.training.compute import best_device, reduced_precision
from exitprint.training.descend import shown
from exitprint.training.recipe import Recipe
from exitprint.training.train import train_network, training_record

TIMED = 3
"""Batches that the time is estimated from, after one to warm up."""
FOR_HEADS = 1.15
"""What internal classifiers take beside the backbone, which is estimated."""


def recipe_of_training(network: MultiExitNetwork, data: ImageData) -> Recipe:
    """The recipe that `train_network` used for this network.

    Raises `ExitprintError` if the network was not trained here, or on other images.
    """
    first = (network.history or [{}])[0]
    if first.get("step") != "trained" or not isinstance(network.architecture, Architecture) or network.integers:
        raise ExitprintError(
            "this network carries no recipe, since `exitprint train` did not make it: train references with your own "
            "script, from other seeds, and give them with --reference."
        )
    if (first["data"], first["images"]) != (data.name, len(data.train)):
        raise ExitprintError(
            f"this network was trained on {first['images']} images of {first['data']}, and these are "
            f"{len(data.train)} of {data.name}: give the same images (--data, --limit)."
        )
    return Recipe.model_validate(first["recipe"])


def seconds_of_training(network: MultiExitNetwork, data: ImageData) -> float:
    """About how long `train_again` takes on this machine, from a few batches; raises as `recipe_of_training` does."""
    recipe = recipe_of_training(network, data).backbone
    copy = network.copy().train().to(best_device())
    pixels, labels = data.train.pixels[: recipe.batch].to(copy.mean.device), data.train.labels[: recipe.batch]
    times = []
    with single_thread(too_small_for_threads(network.input_shape)), reduced_precision(copy, training=True):
        for _ in range(1 + TIMED):
            start = perf_counter()
            F.cross_entropy(copy(shown(copy, pixels))[:, -1].float(), labels.to(copy.mean.device)).backward()
            if copy.mean.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(perf_counter() - start)
    return FOR_HEADS * min(times[1:]) * recipe.epochs * ceil(len(data.train) / recipe.batch)


def train_again(network: MultiExitNetwork, data: ImageData, seed: int, path: Path) -> MultiExitNetwork:
    """The network of the same recipe and images from another seed; found at `path` if it is there, else written to it.

    Parameters
    ----------
    network
        A network that `train_network` made.
    data
        The images that it was trained on.
    seed
        Another seed than the network's own.
    path
        The file of the new network; the state of an unfinished training lies beside it.

    Raises
    ------
    ExitprintError
        As `recipe_of_training` does; if the seed is the network's own, or the file holds another network.
    Interrupted
        On Ctrl-C; what was done is kept, and the next run goes on with it.
    """
    recipe = recipe_of_training(network, data)
    assert isinstance(network.architecture, Architecture)
    record = training_record(data, recipe, seed)
    if seed == network.history[0]["seed"]:
        raise ExitprintError(f"seed {seed} is the network's own: a reference needs another one.")
    if path.exists():
        found = load_network(path)
        if found.history[:1] != [record] or found.architecture != network.architecture:
            raise ExitprintError(f"{str(path)!r} holds another network than this reference: move it away.")
        return found
    rad = next((step["rad"] for step in network.history if step.get("step") == "calibrated"), 5)
    partial = path.with_name(f".{path.name}.partial")
    made = train_network(network.architecture, data, recipe, seed, rad, partial, network.policy.criterion)
    save_network(made, path)
    return made
