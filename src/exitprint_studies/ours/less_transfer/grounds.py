"""Where ideas are tried: a target, networks known to be independent, others that are not seen, and copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from exitprint.data import ImageData
from exitprint.fingerprints.exits_anew import sets_of_exits
from exitprint.fingerprints.shares import Rule
from exitprint.fingerprints.thefts import new_exits
from exitprint.networks import MultiExitNetwork
from exitprint.training import calibrated_policy, evaluate
from exitprint_studies.ours.less_transfer.ideas import Idea
from exitprint_studies.ours.makers import RADS, THEFTS, Workshop, of_the_maker
from exitprint_studies.ours.strength.asked import SEED
from exitprint_studies.ours.strength.bench import HAPPENS, Bench
from exitprint_studies.ours.strength.cases import Case, Network, fashionable, name_of
from exitprint_studies.study import Run

Named = tuple[str, MultiExitNetwork]

RECIPE, RECIPE_2, OTHER = "of its recipe", "of its recipe, 2", "of another maker"
NONE = Idea("no reference")
ONE = Idea("one reference of its recipe", (RECIPE,))
WITH_ONE = (
    Idea("the same, images chosen by it too", (RECIPE,), chosen_by_references=True),
    Idea("the same, smooth changes", (RECIPE,), smooth=True),
    Idea("the same, images past the first exit", (RECIPE,), past_first=True),
    Idea("the same, early at one exit", (RECIPE,), early_exits=1),
)
FURTHER = (
    Idea("two references of its recipe", (RECIPE, RECIPE_2)),
    Idea("one reference of another maker", (OTHER,)),
    Idea("one of its recipe and one of another maker", (RECIPE, OTHER)),
    Idea("one reference of its recipe, on two sets of new exits", (RECIPE,), new_exits=2),
)


@dataclass(frozen=True)
class Ground:
    """One target and its surroundings.

    Attributes
    ----------
    name
        In tables.
    ideas, margins
        What is tried on it.
    samples
        Of each fingerprint.
    about
        All that measurements depend on, as plain JSON.
    images
        The owner's.
    network
        The target.
    rules
        By which each network gets its policies.
    known
        Makes the networks known to be independent, by name.
    copies, strangers
        Make the suspects, and keep them.
    right
        Accuracies that were measured already, by name.
    """

    name: str
    ideas: Sequence[Idea]
    margins: Sequence[float]
    samples: int
    about: Mapping[str, object]
    images: ImageData
    network: MultiExitNetwork
    rules: Sequence[Rule]
    known: Callable[[], Mapping[str, MultiExitNetwork]]
    copies: Callable[[], Sequence[Named]]
    strangers: Callable[[], Sequence[Named]]
    right: dict[str, float] = field(default_factory=dict)

    def keeps(self, name: str, network: MultiExitNetwork) -> float:
        """Accuracy of a copy of this name at its last exit, as a share of the target's."""
        for each, known in (("", self.network), (name, network)):
            if each not in self.right:
                self.right[each] = evaluate(known, self.images.test).exit_accuracies[-1]
        return self.right[name] / self.right[""]

    def sets_of_exits(self, count: int) -> list[MultiExitNetwork]:
        """The target with exits trained anew, from seeds that no copy has."""
        return sets_of_exits(self.network, self.images, count, seed=0)


def branchynet(run: Run) -> Ground:
    """A BranchyNet on Fashion-MNIST, whose exits were trained with the backbone."""
    bench = Bench(run)
    spec, recipe, other = (
        fashionable("branchynet", 2),
        [fashionable("branchynet", seed) for seed in (0, 1)],
        fashionable("msdnet", 0),
    )
    unseen = [fashionable("branchynet", seed) for seed in (3, 4, 5, 6)] + [fashionable("msdnet", 1)]
    network = bench.network(spec)
    own, *_, looser = bench.rules(Case("", spec, (), ()))
    return Ground(
        "BranchyNet on Fashion-MNIST",
        (NONE, ONE, *WITH_ONE, *FURTHER),
        (0.5, 1.5),
        60,
        {"target": spec.key, "unseen": [each.key for each in unseen], "seed": SEED},
        bench.images(spec),
        network,
        [own, looser],
        cache(lambda: dict(zip((RECIPE, RECIPE_2, OTHER), map(bench.network, (*recipe, other)), strict=True))),
        cache(lambda: list(_stolen(bench, spec))),
        cache(lambda: [(name_of(each), bench.network(each)) for each in unseen]),
    )


def _stolen(bench: Bench, spec: Network) -> Iterator[Named]:
    for change in HAPPENS:
        for exits in (None, *new_exits(bench.network(spec))):
            if change or exits:
                name = ", ".join(part for part in (change, exits or "exits kept") if part)
                yield name, bench.copy(spec, change, exits, SEED)


def resnet(run: Run) -> Ground:
    """The third party's ResNet-20; exits were trained on a finished backbone."""
    workshop = Workshop(run.store, run.data_dir)
    target, known, unseen = (of_the_maker(depth) for depth in (20, 32, 44))
    data = workshop.images(target)
    rules = [partial(calibrated_policy, images=data.calibration, rad=rad) for rad in RADS[1:]]

    def made(depth: int) -> Iterator[Named]:
        adopted = target if depth == 20 else unseen
        for theft in THEFTS if depth == 20 else (None, *THEFTS):
            yield f"ResNet-{depth}" + (f", {theft}" if theft else ""), workshop.network(adopted, theft)

    return Ground(
        "ResNet-20 on CIFAR-10",
        (NONE, ONE, *WITH_ONE),
        (0.5, 1.5),
        100,
        {"target": target.key, "known": known.key, "unseen": unseen.key},
        data,
        workshop.network(target),
        rules,
        cache(lambda: {RECIPE: workshop.network(known)}),
        cache(lambda: list(made(20))),
        cache(lambda: list(made(44))),
    )
