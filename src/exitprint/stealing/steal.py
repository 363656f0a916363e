"""The theft from beginning to end: what a suspect answered and how long it took in, a substitute out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitprint.data import eight_bit
from exitprint.errors import ExitprintError
from exitprint.networks import Architecture, ExitPolicy, MultiExitNetwork, architecture
from exitprint.stealing.depths import victim_depths
from exitprint.stealing.placement import place_exits, smallest_with_room
from exitprint.stealing.strategy import StrategySearch
from exitprint.stealing.substitute import (
    SubstituteRecipe,
    TransferSet,
    train_substitute,
    with_searched_policy,
)
from exitprint.timing.inquiry import Inquiry
from exitprint.training import BackboneRecipe
from exitprint.training.evaluate import logits_of

FEWEST_QUERIES = 50
"""Queries below which no substitute is trained."""

SEARCHED = 0.15
"""Share of the queries that thresholds are searched with instead of trained on, where there are many."""

FEWEST_SEARCHED = 400
"""Queries kept back below which the search is rather done on those trained on."""

WIDTH = 16
"""Channels of a substitute's first stage, where the thief names none: that of a CIFAR ResNet."""


@dataclass(frozen=True)
class Stolen:
    """A substitute and how it came about.

    Attributes
    ----------
    network
        The substitute, in evaluation mode.
    depths
        What each of the victim's exits costs as a share of its deepest, as its times tell (see `victim_depths`), shape
        (K,); None where the function alone was stolen.
    search
        What its thresholds reach on the queries that they were searched with; None where the function alone was
        stolen.
    searched
        Number of those queries, and whether they were kept back from training.
    fidelity
        Share of the same queries that it gives the victim's label.
    """

    network: MultiExitNetwork
    depths: NDArray[np.float64] | None
    search: StrategySearch | None
    searched: tuple[int, bool]
    fidelity: float


def default_recipe(small: bool, epochs: int | None = None) -> SubstituteRecipe:
    """How a substitute is trained unless told otherwise.

    Parameters
    ----------
    small
        Whether images are so small that epochs are cheap.
    epochs
        If other than usual.
    """
    optimiser = BackboneRecipe(
        epochs=epochs or (100 if small else 30), learning_rate=0.1 if small else 0.05, batch=64, weight_decay=5e-4
    )
    return SubstituteRecipe(optimiser=optimiser)


def one_hot_or_probabilities(inquiry: Inquiry, classes: int) -> Tensor:
    """What the victim answered, as probabilities, shape (queries, classes).

    Raises `ExitprintError` if it gave nothing to learn from, or names classes that the data does not have.
    """
    if inquiry.probabilities is not None:
        answers = torch.from_numpy(inquiry.probabilities).float().clamp_min(0)
        return answers / answers.sum(1, keepdim=True).clamp_min(1e-12)
    labels = inquiry.answers
    if labels.min() < 0 or labels.max() >= classes:
        raise ExitprintError(
            f"the suspect answered with label {int(labels.max())}, and the data has {classes} classes: use other data."
        )
    return torch.nn.functional.one_hot(torch.from_numpy(labels), classes).float()


def substitute_architecture(
    name: str,
    exits: int,
    input_shape: tuple[int, int, int],
    classes: int,
    depth: int | None = None,
    width: int | None = None,
) -> Architecture:
    """An architecture of ours that has room for so many exits; where they sit, `place_exits` says.

    Parameters
    ----------
    name
        As `networks.architecture` takes it; a family without `depth` is taken as shallow as the exits allow.
    exits
        The victim's.
    input_shape, classes
        Of the victim.
    depth, width
        If others than usual.
    """
    if depth is None and name in ("resnet", "vgg"):
        name = smallest_with_room(name, exits)
    return architecture(name, input_shape, classes, depth, WIDTH if width is None else width)


def steal(
    inquiry: Inquiry,
    classes: int,
    *,
    flips: bool = True,
    arch: str = "resnet",
    depth: int | None = None,
    width: int | None = None,
    recipe: SubstituteRecipe | None = None,
    function_only: bool = False,
    seed: int = 0,
) -> Stolen:
    """Train a substitute that answers as the victim does and leaves where it leaves.

    Parameters
    ----------
    inquiry
        What the victim was asked and answered, and the exits in its times (see `timing.inquiry.inquire`).
    classes
        Number of classes, for a victim that answers labels only.
    flips
        Whether a mirrored image still shows its class.
    arch, depth, width
        The substitute's, not the victim's, which is unknown; see `substitute_architecture`.
    recipe
        How to train, by default `default_recipe`.
    function_only
        Leave the strategy alone: one exit, as conventional model stealing does.
    seed
        Of the training and the search.

    Returns
    -------
    Stolen

    Raises
    ------
    ExitprintError
        If there are too few queries, or the victim's times do not depend on the input and `function_only` is not
        asked for.
    Interrupted
        On Ctrl-C.

    References
    ----------
    Model Stealing Attack against Multi-Exit Networks.
    """
    pixels = eight_bit(inquiry.queries)
    if len(pixels) < FEWEST_QUERIES:
        raise ExitprintError(
            f"{len(pixels)} queries are too few to learn from: ask with at least {FEWEST_QUERIES}, better thousands."
        )
    estimate = inquiry.estimate
    if not function_only and not estimate.depends_on_input:
        raise ExitprintError(
            "no exits can be told apart in the suspect's times, so there is no strategy to steal: "
            "ask more often, at an address with a larger --amplification, or steal its function alone "
            "(--function-only)."
        )
    answers = one_hot_or_probabilities(inquiry, classes)
    channels, height, side = pixels.shape[1:]
    exits = 1 if function_only else estimate.count
    chosen = substitute_architecture(arch, exits, (channels, height, side), answers.shape[1], depth, width)
    depths = None if function_only else victim_depths(inquiry, chosen, seed)
    chosen = place_exits(chosen, [1.0] if depths is None else depths)
    how = recipe or default_recipe(side < 28)
    left_at = None if function_only else torch.from_numpy(estimate.exits.astype(np.int64))
    transfer_set = TransferSet(pixels, answers, left_at, flips)
    training, searched, kept_back = split_transfer_set(transfer_set, seed)
    network = train_substitute(chosen, training, how, seed)
    found = None if function_only else with_searched_policy(network, searched, depths, seed)
    if function_only:
        network.policy = ExitPolicy(2.0)
    labels = network.policy.answered(logits_of(network, searched.pixels))
    fidelity = float((labels == searched.answers.argmax(1)).double().mean())
    return Stolen(network, depths, found, (len(searched), kept_back), fidelity)


def split_transfer_set(transfer_set: TransferSet, seed: int) -> tuple[TransferSet, TransferSet, bool]:
    """Queries to train on, queries to search thresholds with, and whether those are kept back from training.

    A substitute is surer of what it was trained on, so thresholds that fit there are too high elsewhere; but a search
    with few queries errs more than that.
    """
    part = round(SEARCHED * len(transfer_set))
    if part < FEWEST_SEARCHED:
        return transfer_set, transfer_set, False
    order = torch.randperm(len(transfer_set), generator=torch.Generator().manual_seed(seed))
    return transfer_set.at(order[part:]), transfer_set.at(order[:part]), True
