"""The attack on one victim: its substitutes, ours and those of other methods, each kept in the store."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from exitprint.data import ImageData, Images, unit_range
from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors
from exitprint.networks import (
    Architecture,
    ExitPolicy,
    MultiExitNetwork,
    calibrate,
    exit_costs,
    load_network,
    save_network,
)
from exitprint.stealing import SubstituteRecipe, TransferSet, place_exits, substitute_architecture, train_substitute
from exitprint.stealing.depths import costs_at, timed_costs
from exitprint.stealing.steal import split_transfer_set
from exitprint.stealing.substitute import victim_thresholds, with_searched_policy
from exitprint.training import HeadRecipe, train_heads
from exitprint.training.evaluate import logits_of
from exitprint_studies.ours.victims import Robbed, exit_names

Array = NDArray[np.float64]
TIMES = "own times"
RAD = 5.0
"""Of the conventional substitute's one threshold, by the thief's own means: against the victim's labels."""
BISECTIONS = 24


class Attack:
    """Makes the substitutes for one victim, out of its answers and times.

    Attributes
    ----------
    robbed
        The victim.
    names
        Which of its exits each exit found in its times stands for, shape (found,).
    estimated, true
        What is learned from: with the exits found in its times, and with those where its inputs really left.
    times, costs
        Of the thief's own exits, each as a share of the last, shape (E,).
    depths
        Cost of each of the victim's exits as a share of the last, as its times tell, shape (found,).
    arch
        Of the substitutes.
    """

    def __init__(self, robbed: Robbed) -> None:
        self.robbed = robbed
        victim = robbed.victim
        inquiry = robbed.inquiry
        assert inquiry.probabilities is not None
        if not inquiry.estimate.depends_on_input:
            raise ExitprintError(
                f"no exits could be told apart in the runtimes of {victim.name}: try a quieter machine."
            )
        answers = torch.from_numpy(inquiry.probabilities)
        flips = robbed.data.flips
        found = inquiry.estimate.exits.astype(np.int64)
        self.names = exit_names(inquiry.estimate.exits, robbed.true_exits)
        self.estimated = TransferSet(robbed.queries, answers, torch.from_numpy(found), flips)
        true = np.searchsorted(self.names, robbed.true_exits).clip(max=len(self.names) - 1)
        self.true = TransferSet(robbed.queries, answers, torch.from_numpy(true), flips)
        unplaced = substitute_architecture(
            victim.arch,
            inquiry.estimate.count,
            robbed.data.input_shape,
            robbed.data.classes,
            width=victim.width,
        )
        self.times, self.costs = self._timed(unplaced)
        self.depths = costs_at(inquiry.relative_times, self.times, self.costs)
        self.arch = place_exits(unplaced, self.depths)

    def _timed(self, arch: Architecture) -> tuple[Array, Array]:
        """Times and costs of the thief's own exits, each as a share of the last; on a cost model they are the same."""
        clock = self.robbed.inquiry.clock
        specification = {
            "stealing": TIMES,
            "measured on": self.robbed.machine,
            "clock": clock,
            "architecture": arch.model_dump(mode="json"),
        }

        def timed(path: Path) -> None:
            seconds, costs = timed_costs(arch, unit_range(self.robbed.queries), clock)
            tensors = {"times": torch.from_numpy(seconds / seconds[-1]), "costs": torch.from_numpy(costs)}
            save_tensors(path, TIMES, {}, tensors)

        tensors = load_tensors(self.robbed.store.get(specification, timed), TIMES)[1]
        return tensors["times"].numpy(), tensors["costs"].numpy()

    def made(self, arch: Architecture, transfer_set: TransferSet, how: SubstituteRecipe) -> MultiExitNetwork:
        """The substitute of these transfer_set, from the store or trained now."""
        return self._kept("substitute", arch, transfer_set, how, lambda: train_substitute(arch, transfer_set, how))

    def _kept(
        self,
        what: str,
        arch: Architecture,
        transfer_set: TransferSet,
        how: SubstituteRecipe,
        make: Callable[[], MultiExitNetwork],
        heads: HeadRecipe | None = None,
    ) -> MultiExitNetwork:
        content = sha256(transfer_set.pixels.numpy().tobytes() + transfer_set.answers.numpy().tobytes())
        if transfer_set.exits is not None:
            content.update(transfer_set.exits.numpy().tobytes())
        specification = {
            "stealing": what,
            "architecture": arch.model_dump(mode="json"),
            "recipe": how.model_dump(mode="json"),
            "transfer set": content.hexdigest(),
            "flips": transfer_set.flips,
            **({} if heads is None else {"heads": heads.model_dump(mode="json")}),
        }
        return load_network(self.robbed.store.get(specification, lambda path: save_network(make(), path)))

    def ours(self, transfer_set: TransferSet, **changes: float | bool) -> MultiExitNetwork:
        """Our substitute, thresholds searched; `changes` to its recipe."""
        training, searched, _ = split_transfer_set(transfer_set, 0)
        network = self.made(self.arch, training, self.robbed.victim.recipe.model_copy(update=changes))
        with_searched_policy(network, searched, self.depths)
        return network

    def not_searched(self) -> MultiExitNetwork:
        """Our substitute under the thresholds that the victim's answers tell."""
        training = split_transfer_set(self.estimated, 0)[0]
        network = self.made(self.arch, training, self.robbed.victim.recipe)
        network.policy = ExitPolicy(victim_thresholds(training, network.num_exits).tolist())
        return network

    def one_exit(self, transfer_set: TransferSet) -> MultiExitNetwork:
        """Knockoff Nets (Orekondy et al. 2019) with the victim's probabilities: the last exit alone."""
        training = split_transfer_set(_silent(transfer_set), 0)[0]
        return self.made(self.arch.model_copy(update={"exits": ()}), training, self.robbed.victim.recipe)

    def conventional(self, transfer_set: TransferSet) -> MultiExitNetwork:
        """That, with internal classifiers trained afterwards on the victim's labels, as an SDN is made."""
        training, searched, _ = split_transfer_set(_silent(transfer_set), 0)
        how = self.robbed.victim.recipe
        heads = HeadRecipe(epochs=how.optimiser.epochs, learning_rate=1e-3, batch=128)
        network = self._kept(
            "conventional", self.arch, training, how, lambda: self._as_sdn(transfer_set, training, heads), heads
        )
        return _one_threshold(network, searched)

    def conventional_at_cost(self) -> MultiExitNetwork:
        """The same with the one threshold under which it costs what the victim does, as far as its times tell."""
        network = self.conventional(self.estimated)
        searched, costs = split_transfer_set(self.estimated, 0)[1], np.array(exit_costs(network))
        assert searched.exits is not None
        logits, wanted = logits_of(network, searched.pixels), self.depths[searched.exits.numpy()].mean()
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            network.policy = ExitPolicy((low + high) / 2)
            cheap = costs[network.policy.exits(logits).numpy()].mean() < wanted
            low, high = ((low + high) / 2, high) if cheap else (low, (low + high) / 2)
        return network

    def _as_sdn(self, transfer_set: TransferSet, training: TransferSet, heads: HeadRecipe) -> MultiExitNetwork:
        single = self.one_exit(transfer_set)
        network = MultiExitNetwork.build(self.arch, 0)
        parts = {k: v for k, v in single.state_dict().items() if not k.startswith("heads.")}
        last = {f"heads.{network.num_exits - 1}.{k}": v for k, v in single.heads[0].state_dict().items()}
        network.load_state_dict({**network.state_dict(), **parts, **last})
        images = Images(training.pixels, training.answers.argmax(1))
        data = self.robbed.data
        own = ImageData(data.name, images, images, images, data.classes, data.mean, data.std, training.flips)
        train_heads(network, own, heads, 0)
        return network.eval()

    def label_only(self) -> MultiExitNetwork:
        """All exits trained on the victim's labels at once, one threshold."""
        transfer_set = TransferSet(
            self.estimated.pixels,
            torch.nn.functional.one_hot(self.estimated.answers.argmax(1), self.robbed.data.classes).float(),
            None,
            self.estimated.flips,
        )
        training, searched, _ = split_transfer_set(transfer_set, 0)
        return _one_threshold(self.made(self.arch, training, self.robbed.victim.recipe), searched)

    def classifier_of_exits(self) -> MultiExitNetwork:
        """A network of the substitute's size that has the exit found for each query to learn and nothing else."""
        training = split_transfer_set(self.estimated, 0)[0]
        assert training.exits is not None
        exits = torch.nn.functional.one_hot(training.exits, len(self.names)).float()
        transfer_set = TransferSet(training.pixels, exits, None, training.flips)
        arch = self.arch.model_copy(update={"exits": (), "classes": len(self.names)})
        return self.made(arch, transfer_set, self.robbed.victim.recipe)


def _silent(transfer_set: TransferSet) -> TransferSet:
    """The same answers without the exits."""
    return TransferSet(transfer_set.pixels, transfer_set.answers, None, transfer_set.flips)


def _one_threshold(network: MultiExitNetwork, searched: TransferSet) -> MultiExitNetwork:
    logits = logits_of(network, searched.pixels)
    right = logits.argmax(2) == searched.answers.argmax(1)[:, None]
    network.policy = calibrate(network.policy.certainty(logits), right, RAD)
    return network
