"""The victims of `study stealing`: networks whose thresholds differ per exit, and what is asked of them once."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitprint.data import ImageData, unit_range
from exitprint.data.named import DATA_DIR_VARIABLE
from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors
from exitprint.networks import Architecture, MultiExitNetwork
from exitprint.networks.policy import CLOSED
from exitprint.stealing.agreement import Behaviour, behaviour
from exitprint.stealing.substitute import SubstituteRecipe
from exitprint.suspects import InProcess
from exitprint.timing.drift import steadied
from exitprint.timing.exits import condense, estimate_exits
from exitprint.timing.inquiry import Inquiry, inquire, places
from exitprint.training import recipe, spread_policy
from exitprint_studies.ours.third_party import Adopted, has_weights
from exitprint_studies.population.declare import Source, Trained, realise
from exitprint_studies.population.store import Store

KEEP = 0.85
"""Share of an exit's inputs that the next exit takes."""

ANOTHER_SEED = 4
"""Of the owner's next training, where there are no further victims."""

KIND = "inquiry"

SEED = 0
"""Of the order that victims are asked in, by which drift is told."""


@dataclass(frozen=True)
class Victim:
    """A network to steal, and how.

    Attributes
    ----------
    name
        In tables.
    network
        How it is trained.
    pool
        Where the thief's images come from; those that the victim was trained or calibrated on are left out.
    queries, tested
        How many images the thief asks with, and how many both are compared on.
    arch, width
        The substitute's.
    recipe
        Of the substitute.
    keep
        How many inputs an exit takes for each that the one before takes.
    shares
        Shares of the queries for the curve.
    scanned
        Whether weights of the losses are compared on it.
    again
        Seeds of further victims of the same kind, which show how much of a difference is chance.
    """

    name: str
    network: Trained | Adopted
    pool: Source
    queries: int
    tested: int
    arch: str
    width: int
    recipe: SubstituteRecipe
    keep: float = KEEP
    shares: tuple[float, ...] = ()
    scanned: bool = False
    again: tuple[int, ...] = ()

    @property
    def others(self) -> list[Victim]:
        """Further victims of the same kind, trained from other seeds."""
        return [replace(self.from_seed(seed), name=f"{self.name}, seed {seed}") for seed in self.again]

    @property
    def next_trainings(self) -> list[Victim]:
        """What its owner would get by training again: the further victims, or one; nothing of a third party's."""
        if isinstance(self.network, Adopted):
            return []
        return self.others or [self.from_seed(ANOTHER_SEED)]

    def from_seed(self, seed: int) -> Victim:
        """The same with a network trained from another seed."""
        return replace(self, network=self.network.model_copy(update={"seed": seed}), again=())

    def is_at_hand(self, data_dir: Path | None) -> bool:
        """Whether its data can be read, and its weights if it is a third party's."""
        there = is_at_hand(self.network.data.name, data_dir)
        return there and (isinstance(self.network, Trained) or has_weights(data_dir))


class Robbed:
    """A victim whose network and images are loaded, and its answers and runtimes.

    It is asked once; what it answered is kept in the store.

    Parameters
    ----------
    victim
        What it is.
    store, data_dir
        As in `realise`.
    machine
        Name of the one whose clock it is timed by: what another one measured is not taken up.
    """

    def __init__(self, victim: Victim, store: Store, data_dir: Path | None, machine: str) -> None:
        self.victim = victim
        self.store = store
        self.data_dir = data_dir
        self.machine = machine
        self.data: ImageData = victim.network.data.load(data_dir)
        self.network = _network(victim.network, store, data_dir)
        self.network.policy = spread_policy(self.network, self.data.calibration, victim.keep)
        self.tested = self.data.test[: victim.tested]
        self.queries = _others(victim.pool.load(data_dir), self.data, victim.queries)

    def beside(self, other: Victim) -> Robbed:
        """Another victim made real, with the same store, data and machine."""
        return Robbed(other, self.store, self.data_dir, self.machine)

    @property
    def num_exits(self) -> int:
        """Number of exits that inputs may leave at."""
        return int(self._ranks[-1]) + 1

    @property
    def _ranks(self) -> NDArray[np.int64]:
        """Each exit's number among those that are not closed."""
        open_ = [threshold < CLOSED for threshold in self.network.policy.for_exits(self.network.num_exits - 1)]
        return np.cumsum([0, *open_])

    @cached_property
    def truth(self) -> Behaviour:
        """What the victim does with the test images; exits that are closed are not counted."""
        return behaviour(self.network, self.tested.pixels, self._ranks)

    @cached_property
    def true_exits(self) -> NDArray[np.int64]:
        """Where the queries really left, counted likewise."""
        return behaviour(self.network, self.queries, self._ranks).exits

    @cached_property
    def shares_of_time(self) -> NDArray[np.float64]:
        """How long the victim takes for each test image, as a share of its longest way: by the queries' times."""
        usual, exits = condense(self.inquiry.steady), self.true_exits
        each = np.array(
            [np.median(usual[exits == exit]) if (exits == exit).any() else np.nan for exit in range(self.num_exits)]
        )
        return (each / np.nanmax(each))[self.truth.exits]

    @cached_property
    def inquiry(self) -> Inquiry:
        """What it answered to the queries in this process, by the wall clock; asked once and kept."""
        specification = {
            "stealing": KIND,
            "victim": self.victim.network.key,
            "measured on": self.machine,
            "policy": self.network.policy.thresholds,
            "queries": sha256(self.queries.numpy().tobytes()).hexdigest(),
        }
        path = self.store.get(specification, self._ask)
        header, tensors = load_tensors(path, KIND)
        seconds = tensors["seconds"].numpy()
        steady = steadied(seconds, places(seconds.shape, SEED)) if header["clock"] == "measured" else seconds
        return Inquiry(
            unit_range(self.queries),
            seconds,
            steady,
            header["clock"],
            0.0,
            1,
            None,
            tensors["probabilities"].numpy(),
            estimate_exits(steady, exact=header["clock"] != "measured"),
            header["end"],
            header["requests"],
            None,
            header["elapsed"],
        )

    def _ask(self, path: Path) -> None:
        asked = inquire(InProcess(self.network), unit_range(self.queries), seed=SEED)
        assert asked.probabilities is not None
        header = {"clock": asked.clock, "end": asked.end, "requests": asked.requests, "elapsed": asked.elapsed}
        tensors = {
            "seconds": torch.from_numpy(asked.seconds),
            "probabilities": torch.from_numpy(asked.probabilities),
        }
        save_tensors(path, KIND, header, tensors)


def _network(declared: Trained | Adopted, store: Store, data_dir: Path | None) -> MultiExitNetwork:
    if isinstance(declared, Adopted):
        return declared.realise(store, data_dir)
    return realise(declared, store, data_dir)


def declared(arch: Architecture, data: Source) -> Trained:
    """A network trained with the fast recipe, seed 0."""
    return Trained(architecture=arch, data=data, recipe=recipe("fast", arch.family, data.name), seed=0)


def is_at_hand(name: str, data_dir: Path | None) -> bool:
    """Whether a data set can be read: in the folder of data sets where there is one, else from the hub."""
    folder = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    return name == "digits" or folder is None or (Path(folder) / name).is_dir()


def _others(pool: ImageData, own: ImageData, wanted: int) -> Tensor:
    """Images of the pool that the victim's owner did not train or calibrate with."""
    known = {image.numpy().tobytes() for part in (own.train, own.calibration) for image in part.pixels}
    pixels = torch.cat([pool.train.pixels[:], pool.calibration.pixels[:]])
    new = [i for i, image in enumerate(pixels) if image.numpy().tobytes() not in known]
    if len(new) < wanted:
        raise ExitprintError(f"{len(new)} images of {pool.name} are new to the victim, and not {wanted}.")
    order = torch.randperm(len(new), generator=torch.Generator().manual_seed(0))[:wanted]
    return pixels[torch.tensor(new)[order]]


def exit_names(found: NDArray[np.intp], true_exits: NDArray[np.int64]) -> NDArray[np.int64]:
    """The victim's exit that each exit found in runtimes stands for: where most of its inputs really left."""
    return np.array([np.bincount(true_exits[found == exit]).argmax() for exit in range(found.max() + 1)])


def as_words(victim: Victim) -> str:
    """What it is, in one line."""
    arch, data = victim.network.architecture, victim.network.data
    return f"{arch.title}, {data.name} ({json.dumps(data.limit)} images)"
