"""Training a substitute on a victim's answers, and its exit policy by search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from torch import Tensor

from exitprint.data import augment
from exitprint.data.augment import random_flip
from exitprint.errors import ExitprintError, when_stopped
from exitprint.networks import Architecture, ExitPolicy, MultiExitNetwork, exit_costs
from exitprint.stealing.losses import performance_loss, strategy_loss
from exitprint.stealing.strategy import StrategySearch, search_thresholds
from exitprint.strict import Strict
from exitprint.threads import single_thread, too_small_for_threads
from exitprint.training import BackboneRecipe, best_device
from exitprint.training.compute import reduced_precision
from exitprint.training.descend import descend, shown
from exitprint.training.evaluate import logits_of

RAMP = 0.2
"""Share of the epochs over which the strategy loss grows to its weight."""

QUANTILE = 0.02
"""Of the victim's confidences at an exit, taken as its threshold there: a few inputs may be put into wrong exits."""

USUAL_THRESHOLD = 0.8
"""Threshold that confidences are trained around where the victim tells labels only."""

STOPPED = (
    "stopped while training the substitute, no network was written; the suspect's answers are kept where a journal was."
)


class SubstituteRecipe(Strict):
    """How a substitute is trained.

    Attributes
    ----------
    optimiser
        Epochs, learning rate, batch, weight decay.
    strategy
        Weight of the strategy loss against the performance loss.
    early
        What an exit before the victim's counts in the performance loss.
    margin
        Of the strategy loss, in log-odds.
    below
        How far below the threshold the confidence is that answers are damped to before the victim's exit.
    begin
        Share of the epochs after which the strategy loss sets in.
    damp
        Whether answers are damped before the victim's exit.
    crops
        Whether images are shown shifted: more variety, but a shifted image may leave elsewhere.
    """

    optimiser: BackboneRecipe
    strategy: float = Field(default=0.3, ge=0)
    early: float = Field(default=0.5, ge=0, le=1)
    margin: float = Field(default=0.2, ge=0)
    below: float = Field(default=0.1, ge=0, lt=1)
    begin: float = Field(default=0.3, ge=0, lt=1)
    damp: bool = True
    crops: bool = True

    def strategy_weight(self, done: float) -> float:
        """Weight of the strategy loss when this share of the epochs is done."""
        return self.strategy * min(1.0, max(0.0, (done - self.begin) / RAMP))


@dataclass(frozen=True)
class TransferSet:
    """What a substitute learns from.

    Attributes
    ----------
    pixels
        8-bit images that the victim was asked with, shape (queries, channels, height, width).
    answers
        Its probabilities, or its labels one-hot, shape (queries, classes).
    exits
        Where it left, shape (queries,); None where that is not to be learned.
    flips
        Whether a mirrored image still shows its class.
    """

    pixels: Tensor
    answers: Tensor
    exits: Tensor | None
    flips: bool

    def __len__(self) -> int:
        return len(self.pixels)

    def at(self, index: Tensor) -> TransferSet:
        """Those with these numbers."""
        return TransferSet(
            self.pixels[index], self.answers[index], None if self.exits is None else self.exits[index], self.flips
        )

    @property
    def only_labels(self) -> bool:
        """Whether the answers are labels."""
        return bool((self.answers.amax(1) == 1).all())


def victim_thresholds(transfer_set: TransferSet, exits: int) -> NDArray[np.float64]:
    """The victim's thresholds as its own answers tell them: whoever left at an exit was that confident there.

    Parameters
    ----------
    transfer_set
        With exits. Where they hold labels only, every threshold is the same, `USUAL_THRESHOLD`.
    exits
        How many there are.

    Returns
    -------
    ndarray
        Shape (exits − 1,); that of an exit that nobody left at is the median of the others.
    """
    assert transfer_set.exits is not None
    if transfer_set.only_labels:
        return np.full(exits - 1, USUAL_THRESHOLD)
    confidence, left_at = transfer_set.answers.amax(1).numpy(), transfer_set.exits.numpy()
    found = [np.quantile(here, QUANTILE) if len(here := confidence[left_at == i]) else np.nan for i in range(exits - 1)]
    thresholds = np.array(found)
    middle = np.nanmedian(thresholds) if np.isfinite(thresholds).any() else USUAL_THRESHOLD
    return np.where(np.isnan(thresholds), middle, thresholds)


def train_substitute(
    arch: Architecture, transfer_set: TransferSet, recipe: SubstituteRecipe, seed: int = 0
) -> MultiExitNetwork:
    """Train a substitute from scratch; its thresholds are the victim's as its answers tell them.

    Parameters
    ----------
    arch
        With as many exits as the victim (see `place_exits`).
    transfer_set
        What the victim answered. Without exits every exit learns the answers, and none to stop.
    recipe
        How to train.
    seed
        Of initial weights, order and augmentation.

    Returns
    -------
    MultiExitNetwork
        In evaluation mode, on the CPU.

    Raises
    ------
    ExitprintError
        If the loss is not finite any more, or there are too few queries for one batch.
    Interrupted
        On Ctrl-C.
    """
    pixels = transfer_set.pixels.double() / 255
    mean, std = pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3)).clamp_min(1e-3).tolist()
    network = MultiExitNetwork.build(arch, seed, mean=mean, std=std).to(best_device())
    thresholds = torch.ones(network.num_exits - 1)
    if transfer_set.exits is not None:
        if int(transfer_set.exits.max()) >= network.num_exits:
            raise ExitprintError(
                f"the victim left at exit {int(transfer_set.exits.max()) + 1}, and this substitute has "
                f"{network.num_exits}."
            )
        thresholds = torch.from_numpy(victim_thresholds(transfer_set, network.num_exits)).float()
        network.policy = ExitPolicy(thresholds.tolist())
    with single_thread(too_small_for_threads(network.input_shape)):
        _fit(network, transfer_set, thresholds, recipe, seed)
    record = {
        "step": "substitute",
        "queries": len(transfer_set),
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
    }
    network.history = [record]
    return network.cpu()


def _fit(
    network: MultiExitNetwork, transfer_set: TransferSet, thresholds: Tensor, recipe: SubstituteRecipe, seed: int
) -> None:
    device = network.mean.device
    ceilings = torch.cat([thresholds - recipe.below, torch.ones(1)]).to(device) if recipe.damp else None
    thresholds = thresholds.to(device)
    pixels, all_answers = transfer_set.pixels.to(device), transfer_set.answers.to(device)
    exits = None if transfer_set.exits is None else transfer_set.exits.to(device)

    def loss_of(chosen: Tensor, generator: torch.Generator, done: float) -> Tensor:
        x = shown(network, _varied(pixels[chosen], transfer_set.flips, recipe.crops, generator))
        answers, left_at = all_answers[chosen], None if exits is None else exits[chosen]
        with reduced_precision(network, training=True):
            logits = network(x)
        logits = logits.float()
        loss = performance_loss(logits, answers, left_at, ceilings, recipe.early)
        weight = recipe.strategy_weight(done / recipe.optimiser.epochs)
        if left_at is not None and weight > 0:
            confidences = logits.softmax(-1).amax(-1)
            loss = loss + weight * strategy_loss(confidences, thresholds, left_at, recipe.margin)
        return loss

    with when_stopped(STOPPED):
        descend(
            network,
            recipe.optimiser.optimiser(network.parameters()),
            loss_of,
            len(transfer_set),
            recipe.optimiser,
            seed,
            "training the substitute",
        )


def _varied(pixels: Tensor, flips: bool, crops: bool, generator: torch.Generator) -> Tensor:
    if crops:
        return augment(pixels, flips, generator)
    return random_flip(pixels, generator) if flips else pixels


def with_searched_policy(
    network: MultiExitNetwork, transfer_set: TransferSet, depths: ArrayLike | None = None, seed: int = 0
) -> StrategySearch:
    """Give a substitute the thresholds that agree best with the victim's exits on these queries, at the same mean cost.

    Parameters
    ----------
    network
        Its policy is replaced.
    transfer_set
        With exits; better not those it was trained on, of which it is surer than of others.
    depths
        Cost of each of the victim's exits as a share of its whole run, as far as it is known, shape (K,); None takes
        what the substitute costs there.
    seed
        Of the search.

    Returns
    -------
    StrategySearch
        What they reach.
    """
    assert transfer_set.exits is not None
    logits = logits_of(network, transfer_set.pixels)
    found = search_thresholds(
        logits.softmax(-1).amax(-1).numpy(),
        transfer_set.exits.numpy(),
        transfer_set.answers.argmax(1).numpy(),
        logits.argmax(-1).numpy(),
        exit_costs(network),
        None if depths is None else float(np.asarray(depths)[transfer_set.exits.numpy()].mean()),
        seed=seed,
    )
    network.policy = ExitPolicy(found.thresholds.tolist())
    return found
