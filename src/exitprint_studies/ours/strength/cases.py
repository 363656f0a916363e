"""What `study strength` crafts fingerprints for, and which networks it knows to be independent."""

from __future__ import annotations

from dataclasses import dataclass

from exitprint.networks import Architecture, architecture
from exitprint.training import recipe
from exitprint_studies.ours.makers import of_the_maker
from exitprint_studies.ours.third_party import Adopted
from exitprint_studies.population.declare import Grouped, Source, Trained

SAMPLES = 200
FASHION = Source(name="fashion-mnist", limit=12_000)
CIFAR = Source(name="cifar10")
ANIMALS_AND_THINGS = Grouped(name="tiny-imagenet", groups=(59,))
WIDTH = {"msdnet": 8, "branchynet": 16, "vgg11": 16, "resnet20": 8}

Network = Adopted | Trained


@dataclass(frozen=True)
class Case:
    """One fingerprint.

    Attributes
    ----------
    name
        In tables.
    target
        Whose fingerprint it is.
    references, strangers
        Networks known to be independent, and independents that crafting does not see.
    samples
        Of the fingerprint.
    new_exits
        On how many sets of new exits it is crafted as well.
    """

    name: str
    target: Network
    references: tuple[Network, ...]
    strangers: tuple[Network, ...]
    samples: int = SAMPLES
    new_exits: int = 0


def fashionable(name: str, seed: int) -> Trained:
    """A network of this architecture, trained on Fashion-MNIST from this seed."""
    arch = architecture(name, (1, 28, 28), 10, 5 if name == "msdnet" else None, WIDTH[name])
    return _trained(arch, FASHION, 6, seed)


def of_another_maker(name: str, width: int, epochs: int, seed: int) -> Trained:
    """A network of this architecture, trained on all of CIFAR-10 from this seed."""
    return _trained(architecture(name, (3, 32, 32), 10, width=width), CIFAR, epochs, seed)


def of_animals_and_things(name: str, seed: int) -> Trained:
    """A network of this architecture that tells Tiny-ImageNet's animals from its things, trained from this seed."""
    width, epochs = {"vgg11": (16, 24), "branchynet": (16, 16), "resnet20": (8, 24)}[name]
    return _trained(architecture(name, (3, 64, 64), 2, width=width), ANIMALS_AND_THINGS, epochs, seed)


def _trained(arch: Architecture, data: Source | Grouped, epochs: int, seed: int) -> Trained:
    return Trained(architecture=arch, data=data, recipe=recipe("fast", arch.family, data.name, epochs), seed=seed)


def cases() -> list[Case]:
    """What is fingerprinted.

    Networks on Fashion-MNIST are strangers to each other. The BranchyNet of seed 2 is the target because its last exit
    is right on 85 %, and the others' on a little less.
    """
    resnet20, resnet32, resnet44, resnet56 = (of_the_maker(depth) for depth in (20, 32, 44, 56))
    branchynet, *branchynets = (fashionable("branchynet", seed) for seed in (2, 0, 1))
    msdnet, *msdnets = (fashionable("msdnet", seed) for seed in (0, 1, 2))
    vgg, *vggs = (fashionable("vgg11", seed) for seed in (0, 1, 2))
    resnets = [fashionable("resnet20", seed) for seed in (0, 1)]
    others = [of_another_maker("resnet20", 16, 16, 0), *(of_another_maker("vgg11", 32, 18, seed) for seed in (0, 1))]
    large, *larges = (of_animals_and_things("vgg11", seed) for seed in (0, 1, 2, 3, 4))
    others_large = [of_animals_and_things(name, 0) for name in ("branchynet", "resnet20")]
    against_branchynet = ((branchynets[0], msdnet), (branchynets[1], msdnets[0], vgg, vggs[0], *resnets))
    against_msdnet = ((msdnets[0], branchynets[0]), (msdnets[1], branchynets[1], vgg, vggs[0], *resnets))
    against_vgg = ((vggs[0], branchynets[0]), (vggs[1], branchynets[1], msdnet, msdnets[0], *resnets))
    return [
        Case("ResNet-20, one reference", resnet20, (resnet32,), (resnet44, resnet56, *others)),
        Case("VGG-11, a reference of each kind", vgg, *against_vgg),
        Case("MSDNet, a reference of each kind", msdnet, *against_msdnet),
        Case("MSDNet, a reference of each kind, on new exits", msdnet, *against_msdnet, new_exits=2),
        Case("BranchyNet, a reference of each kind", branchynet, *against_branchynet),
        Case("BranchyNet, a reference of each kind, on new exits", branchynet, *against_branchynet, new_exits=2),
        Case("VGG-11 at 64×64, one reference", large, (larges[0],), (*larges[1:], *others_large)),
    ]


def name_of(spec: Network) -> str:
    """In tables."""
    if isinstance(spec, Adopted):
        return f"ResNet-{spec.depth}"
    depth = f"-{spec.architecture.depth}" if spec.architecture.family in ("resnet", "vgg") else ""
    return f"{spec.architecture.family}{depth}, seed {spec.seed}"
