"""The laptop population: one architecture trained from many seeds, and every copy that an adversary makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exitprint.errors import ExitprintError
from exitprint.networks import architecture
from exitprint.networks.policy import Criterion
from exitprint.training import BackboneRecipe, HeadRecipe, Recipe
from exitprint_studies.population.declare import Calibrated, Member, Source, Spec, Tampered, Trained

INDEPENDENTS = 20
FIRST_INDEPENDENT_SEED = 101
HEADS = HeadRecipe(epochs=25, learning_rate=1e-3, batch=128, milestones=(15,))
INPUT_SHAPES = {"digits": (1, 8, 8), "fashion-mnist": (1, 28, 28), "tiny-imagenet": (3, 64, 64)}
CLASSES = {"cifar100": 100, "tiny-imagenet": 200}
LAPTOP_DATA = Source(name="cifar10", limit=6000)


@dataclass(frozen=True)
class Setting:
    """Size and training of one architecture, chosen so that exits differ in what they can do."""

    depth: int
    width: int
    epochs: int
    learning_rate: float

    @property
    def recipe(self) -> Recipe:
        """The paper's optimisers, for fewer epochs; the internal classifiers' recipe is the paper's, unaugmented."""
        backbone = BackboneRecipe(epochs=self.epochs, learning_rate=self.learning_rate, batch=64, weight_decay=5e-4)
        return Recipe(backbone=backbone, heads=HEADS)


LAPTOP = {
    "resnet": Setting(depth=14, width=8, epochs=9, learning_rate=0.1),
    "vgg": Setting(depth=11, width=8, epochs=16, learning_rate=0.02),
    "mobilenet": Setting(depth=8, width=8, epochs=14, learning_rate=0.1),
}


def trained(family: str, data: Source, seed: int, setting: Setting | None = None) -> Trained:
    """A network of this family, trained from scratch; at laptop size where no other setting is given.

    Raises
    ------
    ExitprintError
        If the family is unknown.
    """
    if family not in LAPTOP:
        raise ExitprintError(f"unknown architecture {family!r}: use one of {', '.join(LAPTOP)}.")
    setting = setting or LAPTOP[family]
    shape = INPUT_SHAPES.get(data.name, (3, 32, 32))
    arch = architecture(family, shape, CLASSES.get(data.name, 10), setting.depth, setting.width)
    return Trained(architecture=arch, data=data, recipe=setting.recipe, seed=seed)


def population(
    family: str, data: Source = LAPTOP_DATA, independents: int = INDEPENDENTS, setting: Setting | None = None
) -> list[Member]:
    """Target, stolen copies and independents of one architecture, calibrated for RAD=5.

    Members are in the order in which they are worth having: the target, cheap copies, some independents, the rest.

    Parameters
    ----------
    family
        ``resnet``, ``vgg`` or ``mobilenet``.
    data
        What all of them are trained on.
    independents
        How many networks of other seeds; architecture, data and recipe are the target's.
    setting
        Size and training, where they are to be others than `LAPTOP`'s.
    """
    target = trained(family, data, 0, setting)
    others = [
        Member(
            name=f"independent {i}",
            role="independent",
            group="independent",
            network=trained(family, data, seed, setting),
        )
        for i, seed in enumerate(range(FIRST_INDEPENDENT_SEED, FIRST_INDEPENDENT_SEED + independents))
    ]
    stolen = [
        Member(name=name, role="stolen", group=group, network=network) for group, name, network in _copies(target)
    ]
    quick, slow = stolen[:26], stolen[26:]
    owner = Member(name="target", role="target", group="target", network=target)
    return [owner, *quick[:10], *others[:4], *quick[10:], *slow[:4], *others[4:8], *slow[4:], *others[8:]]


def at_rad(members: list[Member], rad: float) -> list[Member]:
    """The population with every policy calibrated for this RAD, and the copies that differ in their policy only.

    Those leave at a lower T_c (RAD 5 and 10 per cent points further), or by another criterion at the same RAD.
    """
    target = members[0].network
    policies: list[tuple[str, str, float, Criterion]] = [
        ("lower T_c", "RAD + 5", rad + 5, "confidence"),
        ("lower T_c", "RAD + 10", rad + 10, "confidence"),
        ("other criterion", "entropy", rad, "entropy"),
        ("other criterion", "margin", rad, "margin"),
    ]
    changed = [
        Member(name=name, role="stolen", group=group, network=Calibrated(parent=target, rad=lower, criterion=criterion))
        for group, name, lower, criterion in policies
    ]
    return [*(member.at(rad) for member in members), *changed]


def _copies(target: Spec) -> list[tuple[str, str, Spec]]:
    """(group, name, network) of every copy whose weights or exits differ, cheap ones first."""
    heads = HEADS.model_dump(mode="json")

    def tampered(kind: str, seed: int = 0, parent: Spec = target, **parameters: Any) -> Tampered:
        return Tampered(parent=parent, kind=kind, parameters=parameters, seed=seed)

    def chain(kind: str, saves: int, seed: int, **parameters: Any) -> list[Tampered]:
        series: list[Tampered] = []
        for _ in range(saves):
            series.append(tampered(kind, seed, series[-1] if series else target, epochs=2, heads=heads, **parameters))
        return series

    rates = (0.1, 0.2, 0.3, 0.4)
    sparse = {every: tampered("remove-exits", every=every) for every in (2, 3)}
    pruned = tampered("prune", 12, rate=0.2, heads=heads)
    tuned = chain("finetune", 8, 21, share=0.5)
    hardened = chain("adversarial", 3, 31, share=0.25)
    return [
        *(("ICs retrained", f"retrained {seed}", tampered("retrain-exits", seed, heads=heads)) for seed in (1, 2, 3)),
        ("pruned", "pruned 0.2", pruned),
        ("pruned", "pruned 0.4", tampered("prune", 14, rate=0.4, heads=heads)),
        ("8-bit", "8-bit 1", tampered("quantise", 1, heads=heads)),
        ("ICs removed", "removed every 2nd", sparse[2]),
        ("ICs added", "every 2nd added 1", tampered("add-exits", 1, sparse[2], heads=heads)),
        ("pruned", "pruned 0.4, own ICs", tampered("prune", rate=0.4, retrain_heads=False)),
        ("8-bit", "8-bit, own ICs", tampered("quantise", retrain_heads=False)),
        *(("ICs retrained", f"retrained {seed}", tampered("retrain-exits", seed, heads=heads)) for seed in (4, 5, 6)),
        *(
            (
                "ICs retrained",
                f"retrained {seed}, half data",
                tampered("retrain-exits", seed, share=0.5, heads=heads),
            )
            for seed in (7, 8)
        ),
        ("pruned", "pruned 0.1", tampered("prune", 11, rate=0.1, heads=heads)),
        ("pruned", "pruned 0.3", tampered("prune", 13, rate=0.3, heads=heads)),
        *(("pruned", f"pruned {r}, own ICs", tampered("prune", rate=r, retrain_heads=False)) for r in rates[:3]),
        ("8-bit", "8-bit 2", tampered("quantise", 2, heads=heads)),
        ("ICs removed", "removed every 3rd", sparse[3]),
        ("ICs removed", "first two removed", tampered("remove-exits", which=[0, 1])),
        ("ICs added", "every 2nd added 2", tampered("add-exits", 2, sparse[2], heads=heads)),
        ("ICs added", "every 3rd added", tampered("add-exits", 3, sparse[3], heads=heads)),
        ("combined", "pruned 0.2, 8-bit", tampered("quantise", 41, pruned, heads=heads)),
        *(("fine-tuned", f"fine-tuned {2 * (i + 1)}", network) for i, network in enumerate(tuned)),
        *(("adversarial", f"adversarial {2 * (i + 1)}", network) for i, network in enumerate(hardened)),
        ("combined", "fine-tuned 16, pruned 0.2", tampered("prune", 42, tuned[-1], rate=0.2, heads=heads)),
    ]
