"""Networks declared, not made: what each is trained on, made from and tampered with; and how one becomes real."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from exitprint.data import ImageData, Images, load_data
from exitprint.files import write_bytes
from exitprint.networks import Architecture, ExitPolicy, MultiExitNetwork, load_network, save_network
from exitprint.networks.policy import Criterion, ExitRule
from exitprint.tampering import KINDS, checked_parameters, tamper, uses_seed
from exitprint.threads import single_thread
from exitprint.training import Recipe, calibrated_policy, train_network
from exitprint_studies.population.store import Store

Role = Literal["target", "stolen", "independent"]
BASE_RAD = 5.0
"""RAD that a stored network is calibrated for; another one is a `Calibrated` of it."""


class Declared(BaseModel):
    """A frozen declaration without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def key(self) -> dict[str, Any]:
        """Everything that the network depends on, as plain JSON, but for what has its default value.

        So a new parameter does not make a network another one; a changed default needs a new `CODE_VERSION`.
        """
        return self.model_dump(mode="json", exclude_defaults=True)


class Source(Declared):
    """A data set by name, as `load_data` takes it; where its files lie does not matter."""

    name: str
    limit: int | None = None
    seed: int = 0

    def load(self, data_dir: Path | None = None) -> ImageData:
        """The images, kept in memory from one call to the next."""
        return _loaded(self, data_dir)

    def read(self, data_dir: Path | None) -> ImageData:
        """The images, read anew."""
        return load_data(self.name, data_dir, self.limit, self.seed)


class Grouped(Source):
    """A data set whose classes are lumped together.

    Attributes
    ----------
    groups
        Classes below the first of these numbers are one group, those from there to below the second another, and so on.
    """

    groups: Annotated[tuple[int, ...], Field(min_length=1)]

    def read(self, data_dir: Path | None) -> ImageData:
        """The images, read anew, with their group in place of their class."""
        data, bounds = super().read(data_dir), torch.tensor(self.groups)
        train, calibration, test = (
            Images(part.pixels, torch.bucketize(part.labels, bounds, right=True))
            for part in (data.train, data.calibration, data.test)
        )
        return replace(data, train=train, calibration=calibration, test=test, classes=len(self.groups) + 1)


@lru_cache(maxsize=2)
def _loaded(source: Source, data_dir: Path | None) -> ImageData:
    return source.read(data_dir)


class Trained(Declared):
    """A network trained from scratch."""

    spec: Literal["trained"] = "trained"
    architecture: Architecture
    data: Source | Grouped
    recipe: Recipe
    seed: int


class Tampered(Declared):
    """A copy of `parent` after one kind of tampering, with the kind's own parameters."""

    spec: Literal["tampered"] = "tampered"
    parent: Spec
    kind: str
    parameters: dict[str, JsonValue] = {}
    seed: int = 0

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"must be one of {', '.join(KINDS)}")
        return kind

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and fields.get("kind") in KINDS:
            kind = fields["kind"]
            fields = {**fields, "parameters": checked_parameters(kind, fields.get("parameters", {}))}
            if not uses_seed(kind):
                fields["seed"] = 0
        return fields


class Calibrated(Declared):
    """`parent` with its policy calibrated for another RAD or criterion; its weights are the parent's."""

    spec: Literal["calibrated"] = "calibrated"
    parent: Spec
    rad: float = Field(ge=0, lt=100)
    criterion: Criterion = "confidence"


Spec = Annotated[Trained | Tampered | Calibrated, Field(discriminator="spec")]


class Member(Declared):
    """One network of a population.

    Attributes
    ----------
    name
        Unique in its population.
    role
        ``target``, ``stolen`` (derived from the target) or ``independent``.
    group
        What was done to it, the same for members that a table lumps together.
    network
        How it comes about.
    """

    name: str
    role: Role
    group: str
    network: Spec

    def at(self, rad: float) -> Member:
        """The same member, its policy calibrated for this RAD, unless its policy is what was tampered with."""
        if isinstance(self.network, Calibrated):
            return self
        return self.model_copy(update={"network": Calibrated(parent=self.network, rad=rad)})


Tampered.model_rebuild()
Calibrated.model_rebuild()


def source(spec: Spec) -> Source:
    """The data that a network and all it was made from are trained on."""
    return spec.data if isinstance(spec, Trained) else source(spec.parent)


def architecture_of(spec: Spec) -> Architecture:
    """The architecture that a network's oldest ancestor was trained with."""
    return spec.architecture if isinstance(spec, Trained) else architecture_of(spec.parent)


def with_ancestors(specs: Iterable[Spec]) -> list[Spec]:
    """These networks and all they are made from, each once, parents first."""
    found: dict[str, Spec] = {}
    for spec in specs:
        for each in _line(spec):
            found.setdefault(each.model_dump_json(), each)
    return list(found.values())


def _line(spec: Spec) -> Iterator[Spec]:
    if not isinstance(spec, Trained):
        yield from _line(spec.parent)
    yield spec


def suffix(spec: Spec) -> str:
    """How the artefact's file name ends: a calibration is a policy only."""
    return ".policy" if isinstance(spec, Calibrated) else ".safetensors"


def is_there(spec: Spec, store: Store) -> bool:
    """Whether the network is in the store."""
    return store.has(spec.key, suffix(spec))


def realise(spec: Spec, store: Store, data_dir: Path | None = None) -> MultiExitNetwork:
    """The network that was declared: from the store, or made now and put there, with all that it is made from.

    On a CPU one thread makes it, so that it is the same wherever it is made; several at once need several processes.

    Parameters
    ----------
    spec
        The declaration.
    store
        Where networks are kept.
    data_dir
        Folder of data sets, as `load_data` takes it. No image is read where the network is there.

    Raises
    ------
    ExitprintError
        As training and tampering do.
    Interrupted
        On Ctrl-C; what was finished is kept.
    """
    if isinstance(spec, Calibrated):
        network = realise(spec.parent, store, data_dir)
        path = store.get(spec.key, lambda path: _make_policy(spec, network, path, data_dir), suffix(spec))
        network.policy = _Policy.model_validate_json(path.read_bytes()).policy
        return network
    return load_network(store.get(spec.key, lambda path: _make(spec, store, path, data_dir), suffix(spec)))


class _Policy(Declared):
    thresholds: tuple[float, ...]
    criterion: Criterion

    @property
    def policy(self) -> ExitPolicy:
        return ExitPolicy(self.thresholds, self.criterion)


def _make(spec: Trained | Tampered, store: Store, path: Path, data_dir: Path | None) -> None:
    if isinstance(spec, Trained):
        unfinished = path.with_suffix(".unfinished")
        data = spec.data.load(data_dir)
        with single_thread():
            network = train_network(spec.architecture, data, spec.recipe, spec.seed, BASE_RAD, unfinished)
    else:
        parent = realise(spec.parent, store, data_dir)
        with single_thread():
            network = tamper(parent, source(spec).load(data_dir), spec.kind, spec.parameters, spec.seed)
    save_network(network, path)


def _make_policy(spec: Calibrated, network: MultiExitNetwork, path: Path, data_dir: Path | None) -> None:
    with single_thread():
        policy = calibrated_policy(network, source(spec).load(data_dir).calibration, spec.rad, ExitRule(spec.criterion))
    kept = _Policy(thresholds=policy.thresholds, criterion=policy.criterion)
    write_bytes(path, kept.model_dump_json().encode())
