"""The cells of the paper's tables: an architecture, a data set, and all the networks that its figures rest on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from random import Random
from typing import Any

from exitprint.networks import architecture
from exitprint.tampering import parameter_model
from exitprint.training import HeadRecipe, Recipe, recipe
from exitprint_studies.population import laptop
from exitprint_studies.population.declare import Calibrated, Member, Role, Source, Spec, Tampered, Trained
from exitprint_studies.study import Preset

RADS = (5.0, 15.0)
FAMILIES = ("resnet", "vgg", "mobilenet")
FULL_SIZE = {"resnet": "resnet56", "vgg": "vgg16", "mobilenet": "mobilenet"}
TITLES = {"resnet": "ResNet", "vgg": "VGG", "mobilenet": "MobileNet"}
DATA_TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "tiny-imagenet": "Tiny-ImageNet", "digits": "digits"}
FIRST_REFERENCE_SEED = 901
SHADOWS = 100
DIGITS_HEADS = HeadRecipe(epochs=6, learning_rate=1e-3, batch=128)
"""For digits: after the paper's 25 epochs the first IC there is right as often as the last, and T_c falls to chance."""


@dataclass(frozen=True)
class Effort:
    """How fingerprints of a cell are crafted.

    Attributes
    ----------
    samples
        In each of them; 100 in the paper.
    steps
        Of the paper's method, all of which are taken; 2,000 for ResNet-56, which has twice as many exits as others, and
        1,000 otherwise in the paper.
    baseline_steps
        Of the baseline; 500 in the paper.
    epsilon
        Largest change of a pixel that the baseline makes.
    otherwise
        T_c to craft for where a hardly trained target has no usable one, as in a rehearsal; None refuses such a target.
    """

    samples: int = 100
    steps: int = 1000
    baseline_steps: int = 500
    epsilon: float = 0.1
    otherwise: float | None = None


@dataclass(frozen=True)
class Cell:
    """One column of the paper's tables.

    Attributes
    ----------
    family, data
        Architecture and data set.
    members
        The target first, then the stolen and independent networks that rates and ROC curves rest on.
    more
        Further stolen copies for single tables and figures: averages over many retrained ICs, several series of
        adversarial training.
    surrogates, references
        The owner's own copies and further independents, from which the baseline is crafted; nowhere among the suspects.
    effort
        How fingerprints are crafted.
    """

    family: str
    data: Source
    members: tuple[Member, ...]
    more: tuple[Member, ...]
    surrogates: tuple[Spec, ...]
    references: tuple[Spec, ...]
    effort: Effort = Effort()

    @property
    def title(self) -> str:
        """As a heading shows it."""
        return f"{TITLES[self.family]}, {DATA_TITLES.get(self.data.name, self.data.name)}"

    @property
    def target(self) -> Spec:
        """The owner's network."""
        return self.members[0].network

    @property
    def networks(self) -> list[Spec]:
        """All that it declares, in the order in which they are worth having, at the RAD that networks are kept for."""
        first, rest = self.members[:1], self.members[1:]
        baseline = [*self.surrogates, *self.references]
        return [first[0].network, *baseline, *(m.network for m in rest), *(m.network for m in self.more)]

    def at(self, rad: float, chosen: Sequence[Member] | None = None) -> list[Member]:
        """Members calibrated for this RAD, by default all that rates rest on, changed policies among them."""
        if chosen is not None:
            return [member.at(rad) for member in chosen]
        return laptop.at_rad(list(self.members), rad)


def amount(spec: Spec) -> float | None:
    """How much of its kind of tampering a network has seen: the pruning rate, or epochs in all; None for others."""
    if isinstance(spec, Calibrated):
        return amount(spec.parent)
    if not isinstance(spec, Tampered):
        return None
    if spec.kind == "prune":
        return float(str(spec.parameters["rate"]))
    if spec.kind not in ("finetune", "adversarial"):
        return None
    before = spec.parent
    earlier = isinstance(before, Tampered) and (before.kind, before.seed) == (spec.kind, spec.seed)
    epochs = parameter_model(spec.kind).model_validate(spec.parameters).model_dump()["epochs"]
    return float(epochs) + ((amount(before) or 0.0) if earlier else 0.0)


def made_by(member: Member, kind: str, **parameters: Any) -> bool:
    """Whether nothing but this kind of tampering was done to a member, last with these parameters among its own."""
    spec = member.network.parent if isinstance(member.network, Calibrated) else member.network
    if not isinstance(spec, Tampered) or spec.kind != kind:
        return False
    origin: Spec = spec
    while isinstance(origin, Tampered) and origin.kind == kind:
        origin = origin.parent
    given = parameter_model(kind).model_validate(spec.parameters)
    return isinstance(origin, Trained) and all(getattr(given, name) == value for name, value in parameters.items())


def cells(preset: Preset) -> list[Cell]:
    """The cells of a preset.

    ``laptop``: small networks on a CIFAR-10 subset and on digits, the population of `study contrast` and further
    copies. ``gpu``: the paper's networks on CIFAR-10, few of each kind. ``paper``: the paper's grid.
    """
    if preset == "laptop":
        sources = (laptop.LAPTOP_DATA, Source(name="digits"))
        return [laptop_cell(family, data) for data in sources for family in FAMILIES]
    if preset == "gpu":
        return [gpu_cell(family) for family in FAMILIES]
    return [paper_cell(family, name) for name in ("cifar10", "cifar100", "tiny-imagenet") for family in FAMILIES]


def in_turn(networks: Iterable[Sequence[Spec]]) -> list[Spec]:
    """The first network of each cell, then the second of each, and so on: what a run that is stopped has, it has of
    all."""
    return [spec for row in zip_longest(*networks) for spec in row if spec is not None]


def laptop_cell(family: str, data: Source) -> Cell:
    """The population of `study contrast`, with more of what single tables average over.

    Most of that is declared on digits only, where it takes seconds.
    """
    recipe_ = DIGITS_HEADS if data.name == "digits" else laptop.HEADS
    members = tuple(
        member.model_copy(update={"network": with_heads(member.network, recipe_)})
        for member in laptop.population(family, data)
    )
    target = members[0].network
    heads = recipe_.model_dump(mode="json")
    more = [
        *_series(target, "ICs retrained, pruned 0.2", "prune", range(61, 63), rate=0.2, heads=heads),
        *_series(target, "ICs retrained, pruned 0.4", "prune", range(61, 63), rate=0.4, heads=heads),
        *_series(target, "ICs retrained, 8-bit", "quantise", range(61, 62), heads=heads),
    ]
    if data.name == "digits":
        more += [
            *_series(target, "ICs retrained", "retrain-exits", range(61, 73), heads=heads),
            *_saved(target, "adversarial", "adversarial", (32, 33), 3, share=0.25, heads=heads),
        ]
    return Cell(
        family,
        data,
        members,
        tuple(more),
        surrogates=tuple(_surrogates(target, (91, 92), heads=heads)),
        references=(with_heads(laptop.trained(family, data, FIRST_REFERENCE_SEED), recipe_),),
        effort=Effort(epsilon=0.2 if data.name == "digits" else Effort.epsilon),
    )


def with_heads(spec: Spec, heads: HeadRecipe) -> Spec:
    """The same network with its internal classifiers trained by this recipe, wherever they were trained."""
    if isinstance(spec, Trained):
        return spec.model_copy(update={"recipe": spec.recipe.model_copy(update={"heads": heads})})
    parent = with_heads(spec.parent, heads)
    if isinstance(spec, Tampered) and "heads" in spec.parameters:
        parameters = {**spec.parameters, "heads": heads.model_dump(mode="json")}
        return Tampered(parent=parent, kind=spec.kind, parameters=parameters, seed=spec.seed)
    return spec.model_copy(update={"parent": parent})


def gpu_cell(family: str) -> Cell:
    """The paper's network on CIFAR-10, trained as preset ``fast`` does: few of each kind, for half an hour of a GPU.

    Batches are four times as large at twice the learning rate: smaller ones leave a GPU waiting for its instructions.
    """
    data = Source(name="cifar10")
    fast = recipe("fast", family, data.name)
    large = {"batch": 4 * fast.backbone.batch, "learning_rate": 2 * fast.backbone.learning_rate}
    recipe_ = fast.model_copy(update={"backbone": fast.backbone.model_copy(update=large)})
    heads = recipe_.heads.model_dump(mode="json")
    target = _full_size(family, data, recipe_, 0)
    independents = _independents(family, data, recipe_, 4)
    retrained = _series(target, "ICs retrained", "retrain-exits", range(1, 5), heads=heads)
    tuned = _saved(target, "fine-tuned", "finetune", (21,), 2, heads=heads)
    hardened = _saved(target, "adversarial", "adversarial", (31,), 1, share=0.5, heads=heads)
    own = _own_exits(target, (0.2, 0.4))
    ordered = [
        independents[0],
        own[0],
        retrained[0],
        tuned[0],
        own[1],
        own[2],
        independents[1],
        hardened[0],
        *retrained[1:],
    ]
    return Cell(
        family,
        data,
        (_member("target", "target", "target", target), *ordered, *independents[2:], tuned[1]),
        (
            *_series(target, "ICs retrained, pruned 0.2", "prune", (61,), rate=0.2, heads=heads),
            *_series(target, "ICs retrained, pruned 0.4", "prune", (61,), rate=0.4, heads=heads),
            *_series(target, "ICs retrained, 8-bit", "quantise", (61,), heads=heads),
        ),
        surrogates=tuple(_surrogates(target, (91,), heads=heads)),
        references=(_full_size(family, data, recipe_, FIRST_REFERENCE_SEED),),
        effort=Effort(steps=2000 if family == "resnet" else 1000),
    )


def paper_cell(family: str, data_name: str) -> Cell:
    """The paper's grid: 100 independents, 80 fine-tuned and 30 or 50 adversarially trained copies, 100 of other kinds.

    Rates rest on 100 stolen networks, chosen at random among pruned, quantised and further trained ones.
    """
    data = Source(name=data_name)
    recipe_ = recipe("paper", family, data_name)
    heads = recipe_.heads.model_dump(mode="json")
    target = _full_size(family, data, recipe_, 0)
    saves = 3 if data_name == "cifar10" else 5
    modified = [
        *_own_exits(target, (0.1, 0.2, 0.3, 0.4)),
        *_saved(target, "fine-tuned", "finetune", range(10), 8, heads=heads),
        *_saved(target, "adversarial", "adversarial", range(10), saves, heads=heads),
    ]
    chosen = set(Random(0).sample(range(len(modified)), SHADOWS))
    more = [
        *(member for i, member in enumerate(modified) if i not in chosen),
        *_series(target, "ICs retrained", "retrain-exits", range(100), heads=heads),
        *_series(target, "ICs retrained, pruned 0.2", "prune", range(100), rate=0.2, heads=heads),
        *_series(target, "ICs retrained, pruned 0.4", "prune", range(100), rate=0.4, heads=heads),
        *_series(target, "ICs retrained, 8-bit", "quantise", range(100), heads=heads),
    ]
    return Cell(
        family,
        data,
        (
            _member("target", "target", "target", target),
            *_independents(family, data, recipe_, 100),
            *(member for i, member in enumerate(modified) if i in chosen),
        ),
        tuple(more),
        surrogates=tuple(_surrogates(target, range(501, 504), heads=heads)),
        references=tuple(_full_size(family, data, recipe_, FIRST_REFERENCE_SEED + i) for i in range(3)),
        effort=Effort(steps=2000 if family == "resnet" else 1000),
    )


def _full_size(family: str, data: Source, recipe_: Recipe, seed: int) -> Trained:
    shape = laptop.INPUT_SHAPES.get(data.name, (3, 32, 32))
    arch = architecture(FULL_SIZE[family], shape, laptop.CLASSES.get(data.name, 10))
    return Trained(architecture=arch, data=data, recipe=recipe_, seed=seed)


def _independents(family: str, data: Source, recipe_: Recipe, count: int) -> list[Member]:
    first = laptop.FIRST_INDEPENDENT_SEED
    return [
        _member(f"independent {i}", "independent", "independent", _full_size(family, data, recipe_, first + i))
        for i in range(count)
    ]


def _surrogates(target: Spec, seeds: Iterable[int], **parameters: Any) -> list[Spec]:
    return [
        Tampered(parent=target, kind="finetune", parameters={"epochs": 2, "share": 0.5, **parameters}, seed=seed)
        for seed in seeds
    ]


def _own_exits(target: Spec, rates: Iterable[float]) -> list[Member]:
    """Pruned and quantised with their exits as they are."""
    return [
        *(
            _member(
                f"pruned {rate}, own ICs",
                "stolen",
                "pruned",
                _tampered(target, "prune", rate=rate, retrain_heads=False),
            )
            for rate in rates
        ),
        _member("8-bit, own ICs", "stolen", "8-bit", _tampered(target, "quantise", retrain_heads=False)),
    ]


def _series(target: Spec, group: str, kind: str, seeds: Iterable[int], **parameters: Any) -> list[Member]:
    return [
        _member(f"{group}, seed {seed}", "stolen", group, _tampered(target, kind, seed, **parameters)) for seed in seeds
    ]


def _saved(target: Spec, group: str, kind: str, seeds: Iterable[int], saves: int, **parameters: Any) -> list[Member]:
    """Copies saved every 2 epochs of further training, each made from the one before."""
    members = []
    for seed in seeds:
        last = target
        for save in range(1, saves + 1):
            last = _tampered(last, kind, seed, epochs=2, **parameters)
            members.append(_member(f"{group} {2 * save}, seed {seed}", "stolen", group, last))
    return members


def _tampered(parent: Spec, kind: str, seed: int = 0, **parameters: Any) -> Tampered:
    return Tampered(parent=parent, kind=kind, parameters=parameters, seed=seed)


def _member(name: str, role: Role, group: str, network: Spec) -> Member:
    return Member(name=name, role=role, group=group, network=network)
