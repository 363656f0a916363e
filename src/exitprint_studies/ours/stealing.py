"""`study stealing`: substitutes for victims that can only be asked, against conventional model stealing.

Runtimes are measured, in this process. Where inputs really left is read from the victim only to judge with. Costs are
FLOPs, as a share of a network's own whole run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cached_property, partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from exitprint.data import ImageData, Images
from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors, write_bytes
from exitprint.fingerprints import contrast_fingerprint, paper_fingerprint, verify
from exitprint.networks import (
    Architecture,
    ExitPolicy,
    MultiExitNetwork,
    architecture,
    calibrate,
    exit_costs,
    load_network,
    save_network,
)
from exitprint.stealing import (
    Lessons,
    SubstituteRecipe,
    place_exits,
    substitute_architecture,
    train_substitute,
)
from exitprint.stealing.agreement import Agreement, agreement, behaviour
from exitprint.stealing.depths import costs_at, timed_costs
from exitprint.stealing.steal import split_lessons
from exitprint.stealing.substitute import logits_of, victim_thresholds, with_searched_policy
from exitprint.suspects import CostModel
from exitprint.timing.exits import condense
from exitprint.training import BackboneRecipe, HeadRecipe, train_heads
from exitprint_studies.ours.third_party import Adopted
from exitprint_studies.ours.victims import Robbed, Victim, as_words, declared, exit_names
from exitprint_studies.population.declare import Source, Spec, Trained
from exitprint_studies.population.jobs import realise_all, run_jobs
from exitprint_studies.population.store import Store
from exitprint_studies.study import Preset, Run, Study
from exitprint_studies.tables import markdown, write_parquet

Row = dict[str, Any]
Array = NDArray[np.float64]
TIMES = "own times"
RAD = 5.0
"""Of the conventional substitute's one threshold, by the thief's own means: against the victim's labels."""
BISECTIONS = 24
SAMPLES = 40
"""Of the fingerprints that substitutes are verified with."""

SINGLE = "Knockoff Nets, one exit"
CONVENTIONAL = "Knockoff Nets, then an SDN, one threshold"
AT_COST = "the same, its one threshold set for the victim's cost"
"""The conventional substitute of a thief who measures the victim's mean time and nothing else of its strategy."""
LABELS = "label-only distillation, one threshold"
OURS = "ours"
NO_SEARCH = "ours without search"
NO_STRATEGY = "ours without strategy loss"
TRUE_EXITS = "ours with the true exits"
EXITS_ALONE = "a classifier of exits, nothing else"
"""What the queries tell of where an image leaves, asked of a network that has nothing else to learn."""
ANEW = "the victim trained again by its owner, from another seed"
"""How alike two networks are that differ by chance only: same images, labels, settings and rule for thresholds; the
mean of its further victims where it has some."""
SCAN: dict[str, dict[str, float | bool]] = {
    "strategy 0": {"strategy": 0.0},
    "strategy 0.1": {"strategy": 0.1},
    "as it is: strategy 0.3, early 0.5, damped": {},
    "strategy 1": {"strategy": 1.0},
    "early 0": {"early": 0.0},
    "early 1": {"early": 1.0},
    "not damped": {"damp": False},
    "not damped, early 0.1": {"damp": False, "early": 0.1},
}
"""Weights of the two losses that are compared, each a change to the recipe."""


def _recipe(epochs: int, rate: float, crops: bool, batch: int = 64) -> SubstituteRecipe:
    optimiser = BackboneRecipe(epochs=epochs, learning_rate=rate, batch=batch, weight_decay=5e-4)
    return SubstituteRecipe(optimiser=optimiser, crops=crops)


def victims(preset: Preset) -> list[Victim]:
    """Whom this study steals from at this size."""
    digits = Source(name="digits", limit=500)
    small, large = Source(name="cifar10", limit=20_000), Source(name="cifar10", limit=24_000, seed=1)
    fashion = tuple(Source(name="fashion-mnist", limit=20_000, seed=seed) for seed in (0, 1))
    few = (0, 2, 4, 6)
    on_digits = [
        Victim(
            f"digits, {name}",
            declared(architecture(family, (1, 8, 8), 10, depth, width), digits),
            Source(name="digits"),
            queries=790,
            tested=500,
            arch="resnet20",
            width=16,
            recipe=_recipe(100, 0.1, crops=True),
            shares=(0.125, 0.25, 0.5) if family == "resnet" else (),
            scanned=family == "resnet",
            again=() if family == "msdnet" else (4, 5, 6, 7, 8),
        )
        for name, family, depth, width in (
            ("ResNet-14", "resnet", 14, 8),
            ("MSDNet", "msdnet", 4, 8),
            ("BranchyNet", "branchynet", None, 16),
        )
    ]
    if preset == "gpu":
        whole, pool = Source(name="cifar10", limit=30_000), Source(name="cifar10", seed=1)
        return [
            *on_digits,
            *(
                Victim(
                    f"CIFAR-10, {name}",
                    declared(architecture(name, (3, 32, 32), 10), whole),
                    pool,
                    queries=15_000,
                    tested=10_000,
                    arch=thief,
                    width=width,
                    recipe=_recipe(60, 0.05, crops=True, batch=128),
                    shares=(0.0625, 0.125, 0.25, 0.5),
                )
                for name, thief, width in (("resnet56", "resnet110", 16), ("vgg16", "vgg19", 64))
            ),
            Victim(
                "Fashion-MNIST, ResNet-20",
                declared(architecture("resnet20", (1, 28, 28), 10), fashion[0]),
                fashion[1],
                queries=15_000,
                tested=10_000,
                arch="resnet32",
                width=16,
                recipe=_recipe(40, 0.05, crops=True, batch=128),
            ),
        ]
    return [
        *on_digits,
        Victim(
            "CIFAR-10, VGG-11",
            declared(architecture("vgg11", (3, 32, 32), 10, width=16).model_copy(update={"exits": few}), small),
            large,
            queries=10_000,
            tested=3000,
            arch="vgg13",
            width=12,
            recipe=_recipe(10, 0.05, crops=False),
            shares=(0.4,),
        ),
        Victim(
            "CIFAR-10, ResNet-20",
            declared(architecture("resnet20", (3, 32, 32), 10, width=8), small),
            large,
            queries=4000,
            tested=3000,
            arch="vgg13",
            width=12,
            recipe=_recipe(30, 0.05, crops=True),
        ),
        Victim(
            "CIFAR-10, a third party's ResNet-20",
            Adopted(),
            large,
            queries=10_000,
            tested=3000,
            arch="vgg13",
            width=12,
            recipe=_recipe(30, 0.05, crops=True),
        ),
        Victim(
            "Fashion-MNIST, ResNet-14",
            declared(architecture("resnet14", (1, 28, 28), 10, width=8), fashion[0]),
            fashion[1],
            queries=4000,
            tested=3000,
            arch="vgg13",
            width=12,
            recipe=_recipe(8, 0.05, crops=False),
        ),
    ]


@dataclass(frozen=True)
class Booty:
    """What one victim gave.

    Attributes
    ----------
    rows
        One for each substitute.
    curve
        One for each number of queries.
    scan
        One for each weighting of the losses.
    estimate
        What its runtimes told.
    again
        One for each further victim of its kind, and each of two methods.
    owner
        One for each fingerprint and network that it was verified against.
    """

    rows: list[Row]
    curve: list[Row]
    scan: list[Row]
    estimate: Row
    again: list[Row]
    owner: list[Row]


class Thief:
    """Makes the substitutes for one victim; each is kept in the store."""

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
        self.estimated = Lessons(robbed.queries, answers, torch.from_numpy(found), flips)
        true = np.searchsorted(self.names, robbed.true_exits).clip(max=len(self.names) - 1)
        self.true = Lessons(robbed.queries, answers, torch.from_numpy(true), flips)
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
        specification = {"stealing": TIMES, "clock": clock, "architecture": arch.model_dump(mode="json")}

        def timed(path: Path) -> None:
            seconds, costs = timed_costs(arch, self.robbed.queries, clock)
            tensors = {"times": torch.from_numpy(seconds / seconds[-1]), "costs": torch.from_numpy(costs)}
            save_tensors(path, TIMES, {}, tensors)

        tensors = load_tensors(self.robbed.store.get(specification, timed), TIMES)[1]
        return tensors["times"].numpy(), tensors["costs"].numpy()

    def made(self, arch: Architecture, lessons: Lessons, how: SubstituteRecipe) -> MultiExitNetwork:
        """The substitute of these lessons, from the store or trained now."""
        return self._kept("substitute", arch, lessons, how, lambda: train_substitute(arch, lessons, how))

    def _kept(
        self,
        what: str,
        arch: Architecture,
        lessons: Lessons,
        how: SubstituteRecipe,
        make: Callable[[], MultiExitNetwork],
        heads: HeadRecipe | None = None,
    ) -> MultiExitNetwork:
        content = sha256(lessons.pixels.numpy().tobytes() + lessons.answers.numpy().tobytes())
        if lessons.exits is not None:
            content.update(lessons.exits.numpy().tobytes())
        specification = {
            "stealing": what,
            "architecture": arch.model_dump(mode="json"),
            "recipe": how.model_dump(mode="json"),
            "lessons": content.hexdigest(),
            "flips": lessons.flips,
            **({} if heads is None else {"heads": heads.model_dump(mode="json")}),
        }
        return load_network(self.robbed.store.get(specification, lambda path: save_network(make(), path)))

    def ours(self, lessons: Lessons, **changes: float | bool) -> MultiExitNetwork:
        """Our substitute, thresholds searched; `changes` to its recipe."""
        training, searched, _ = split_lessons(lessons, 0)
        network = self.made(self.arch, training, self.robbed.victim.recipe.model_copy(update=changes))
        with_searched_policy(network, searched, self.depths)
        return network

    def not_searched(self) -> MultiExitNetwork:
        """Our substitute under the thresholds that the victim's answers tell."""
        training = split_lessons(self.estimated, 0)[0]
        network = self.made(self.arch, training, self.robbed.victim.recipe)
        network.policy = ExitPolicy(victim_thresholds(training, network.exits).tolist())
        return network

    def one_exit(self, lessons: Lessons) -> MultiExitNetwork:
        """Knockoff Nets (Orekondy et al. 2019) with the victim's probabilities: the last exit alone."""
        training = split_lessons(_silent(lessons), 0)[0]
        return self.made(self.arch.model_copy(update={"exits": ()}), training, self.robbed.victim.recipe)

    def conventional(self, lessons: Lessons) -> MultiExitNetwork:
        """That, with internal classifiers trained afterwards on the victim's labels, as an SDN is made."""
        training, searched, _ = split_lessons(_silent(lessons), 0)
        how = self.robbed.victim.recipe
        heads = HeadRecipe(epochs=how.optimiser.epochs, learning_rate=1e-3, batch=128)
        network = self._kept(
            "conventional", self.arch, training, how, lambda: self._as_sdn(lessons, training, heads), heads
        )
        return _one_threshold(network, searched)

    def conventional_at_cost(self) -> MultiExitNetwork:
        """The same with the one threshold under which it costs what the victim does, as far as its times tell."""
        network = self.conventional(self.estimated)
        searched, costs = split_lessons(self.estimated, 0)[1], np.array(exit_costs(network))
        assert searched.exits is not None
        logits, wanted = logits_of(network, searched.pixels), self.depths[searched.exits.numpy()].mean()
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            network.policy = ExitPolicy((low + high) / 2)
            cheap = costs[network.policy.exits(logits).numpy()].mean() < wanted
            low, high = ((low + high) / 2, high) if cheap else (low, (low + high) / 2)
        return network

    def _as_sdn(self, lessons: Lessons, training: Lessons, heads: HeadRecipe) -> MultiExitNetwork:
        single = self.one_exit(lessons)
        network = MultiExitNetwork.build(self.arch, 0)
        parts = {k: v for k, v in single.state_dict().items() if not k.startswith("heads.")}
        last = {f"heads.{network.exits - 1}.{k}": v for k, v in single.heads[0].state_dict().items()}
        network.load_state_dict({**network.state_dict(), **parts, **last})
        images = Images(training.pixels, training.answers.argmax(1))
        data = self.robbed.data
        own = ImageData(data.name, images, images, images, data.classes, data.mean, data.std, training.flips)
        train_heads(network, own, heads, 0)
        return network.eval()

    def label_only(self) -> MultiExitNetwork:
        """All exits trained on the victim's labels at once, one threshold."""
        lessons = Lessons(
            self.estimated.pixels,
            torch.nn.functional.one_hot(self.estimated.answers.argmax(1), self.robbed.data.classes).float(),
            None,
            self.estimated.flips,
        )
        training, searched, _ = split_lessons(lessons, 0)
        return _one_threshold(self.made(self.arch, training, self.robbed.victim.recipe), searched)

    def row(self, method: str, network: MultiExitNetwork, queries: int) -> Row:
        """How much this substitute is like the victim."""
        victim = self.robbed.truth
        names = self.names if network.exits > 1 else np.array([self.robbed.exits - 1])
        here = behaviour(network, self.robbed.tested.pixels, names)
        found = asdict(agreement(here, victim, self.robbed.tested.labels.numpy()))
        spent = float(np.interp(here.costs, self.costs, self.times).mean() / self._victims_times.mean() - 1)
        name = self.robbed.victim.name
        return {"victim": name, "method": method, "queries": queries, **found, "time_difference": spent}

    @cached_property
    def _victims_times(self) -> Array:
        """How long the victim takes for each test image, as a share of its longest way: by the queries' times."""
        usual, exits = condense(self.robbed.inquiry.steady), self.robbed.true_exits
        each = np.array(
            [np.median(usual[exits == exit]) if (exits == exit).any() else np.nan for exit in range(self.robbed.exits)]
        )
        return (each / np.nanmax(each))[self.robbed.truth.exits]

    def rows(self) -> list[Row]:
        """The victim itself, then every substitute."""
        lessons, robbed = self.estimated, self.robbed
        itself = asdict(agreement(robbed.truth, robbed.truth, robbed.tested.labels.numpy()))
        made = {
            SINGLE: self.one_exit(lessons),
            CONVENTIONAL: self.conventional(lessons),
            AT_COST: self.conventional_at_cost(),
            LABELS: self.label_only(),
            OURS: self.ours(lessons),
            NO_SEARCH: self.not_searched(),
            NO_STRATEGY: self.ours(lessons, strategy=0.0, damp=False, early=1.0),
            TRUE_EXITS: self.ours(self.true),
        }
        same = {"method": "the victim itself", "queries": 0, **itself, "time_difference": 0.0}
        rows = [{"victim": robbed.victim.name, **same}]
        substitutes = [self.row(method, network, len(lessons)) for method, network in made.items()]
        return [*rows, *substitutes, self.exits_alone(), *self.trained_again()]

    def trained_again(self) -> list[Row]:
        """How the owner's own next training agrees with the victim, as a yardstick; nothing for a third party's."""
        robbed, victim = self.robbed, self.robbed.victim
        labels = robbed.tested.labels.numpy()
        others = [
            asdict(agreement(Robbed(other, robbed.store, robbed.data_dir).truth, robbed.truth, labels))
            for other in victim.next_trainings
        ]
        if not others:
            return []
        found = {measure: float(np.mean([other[measure] for other in others])) for measure in others[0]}
        return [{"victim": victim.name, "method": ANEW, "queries": None, **found, "time_difference": None}]

    def exits_alone(self) -> Row:
        """How well this many queries let a network of the substitute's size tell the victim's exits, as a yardstick."""
        training = split_lessons(self.estimated, 0)[0]
        assert training.exits is not None
        exits = torch.nn.functional.one_hot(training.exits, len(self.names)).float()
        lessons = Lessons(training.pixels, exits, None, training.flips)
        arch = self.arch.model_copy(update={"exits": (), "classes": len(self.names)})
        classifier = self.made(arch, lessons, self.robbed.victim.recipe)
        told = self.names[logits_of(classifier, self.robbed.tested.pixels)[:, -1].argmax(1).numpy()]
        distance = np.abs(told - self.robbed.truth.exits)
        return {
            "victim": self.robbed.victim.name,
            "method": EXITS_ALONE,
            "queries": len(self.estimated),
            **dict.fromkeys([*(field.name for field in fields(Agreement)), "time_difference"]),
            "same_exit": float((distance == 0).mean()),
            "within_one": float((distance <= 1).mean()),
        }

    def curve(self) -> list[Row]:
        """Ours and the conventional substitute with fewer queries."""
        return [row for share in (*self.robbed.victim.shares, 1.0) for row in self.against_each_other(share)]

    def against_each_other(self, share: float = 1.0) -> list[Row]:
        """Ours and the conventional substitute with this share of the queries."""
        number = round(share * len(self.estimated))
        part = self.estimated.at(torch.arange(number))
        return [
            self.row(OURS, self.ours(part), number),
            self.row(CONVENTIONAL, self.conventional(part), number),
        ]

    def scan(self) -> list[Row]:
        """Ours with other weights of the losses."""
        lessons = self.estimated
        return [self.row(name, self.ours(lessons, **changes), len(lessons)) for name, changes in SCAN.items()]

    def estimate(self) -> Row:
        """What the victim's measured runtimes told of its exits."""
        inquiry, truth = self.robbed.inquiry, self.robbed.true_exits
        return {
            "victim": self.robbed.victim.name,
            "network": as_words(self.robbed.victim),
            "exits": self.robbed.exits,
            "found": inquiry.estimate.count,
            "ARI": float(adjusted_rand_score(truth, inquiry.estimate.exits)),
            "queries": len(truth),
            "repeats": inquiry.seconds.shape[1],
            "ended": inquiry.end,
            "substitute": f"{self.arch.family} {self.arch.depth}, width {self.arch.width}",
        }

    def owner(self) -> list[Row]:
        """Does a fingerprint of the victim recognise what was stolen by asking? On the cost model."""
        network, images = self.robbed.network, self.robbed.data.test
        made = {
            "paper": paper_fingerprint(network, images, samples=SAMPLES),
        }
        with suppress(ExitprintError):  # refused where the images are too small for it
            made["contrast"] = contrast_fingerprint(network, images, [network.policy], SAMPLES)
        suspects = {
            "the victim itself": network,
            CONVENTIONAL: self.conventional(self.estimated),
            OURS: self.ours(self.estimated),
        }
        return [
            _verdict_row(self.robbed.victim.name, kind, name, verify(fingerprint, CostModel(suspect)))
            for kind, fingerprint in made.items()
            for name, suspect in suspects.items()
        ]


def _verdict_row(victim: str, kind: str, name: str, verdict: Any) -> Row:
    return {
        "victim": victim,
        "fingerprint": kind,
        "suspect": name,
        "statistic": verdict.statistic,
        "value": verdict.value,
        "threshold": verdict.threshold,
        "p": verdict.p_value,
        "verdict": verdict.decision,
    }


def _silent(lessons: Lessons) -> Lessons:
    """The same answers without the exits."""
    return Lessons(lessons.pixels, lessons.answers, None, lessons.flips)


def _one_threshold(network: MultiExitNetwork, searched: Lessons) -> MultiExitNetwork:
    logits = logits_of(network, searched.pixels)
    right = logits.argmax(2) == searched.answers.argmax(1)[:, None]
    network.policy = calibrate(network.policy.certainty(logits), right, RAD)
    return network


def rob(victim: Victim, store: Store, data_dir: Path | None) -> Booty:
    """Everything that one victim gives."""
    thief = Thief(Robbed(victim, store, data_dir))
    rows, estimate, owner = thief.rows(), thief.estimate(), thief.owner()
    curve = thief.curve() if victim.shares else []
    scan = thief.scan() if victim.scanned else []
    again = [row for other in victim.others for row in Thief(Robbed(other, store, data_dir)).against_each_other()]
    return Booty(rows, curve, scan, estimate, again, owner)


def _make(run: Run) -> list[Path]:
    planned = victims(run.preset)
    at_hand = [victim for victim in planned if victim.is_at_hand(run.data_dir)]
    absent = [victim.name for victim in planned if victim not in at_hand]
    realise_all(_networks(at_hand), run.store, run.data_dir, run.pool)
    booty = run_jobs(partial(rob, store=run.store, data_dir=run.data_dir), at_hand, run.pool, "stealing (victims)")
    return written(booty, absent, run.out)


def written(booty: Sequence[Booty], absent: Sequence[str], folder: Path) -> list[Path]:
    """Page, table of all substitutes and curve, as files in this folder; the page first."""
    page, table, picture = folder / "stealing.md", folder / "stealing.parquet", folder / "stealing-queries.png"
    rows = [row for one in booty for row in one.rows]
    curve = [row for one in booty for row in one.curve]
    scan = [row for one in booty for row in one.scan]
    again = [row for one in booty for row in one.again]
    write_parquet([*rows, *curve, *scan, *again], table)
    files = [page, table]
    if curve:
        write_bytes(picture, _drawn(curve))
        files.append(picture)
    write_bytes(page, _page(booty, absent, picture.name if curve else None).encode())
    return files


def _page(booty: Sequence[Booty], absent: Sequence[str], picture: str | None) -> str:
    estimates = [one.estimate for one in booty]
    columns = {
        "method": "method",
        "accuracy": "accuracy",
        "fidelity": "fidelity",
        "same_exit": "same exit",
        "within_one": "within one",
        "cost": "mean cost",
        "cost_difference": "cost against the victim's",
        "time_difference": "time against the victim's",
        "exit_distance": "distance of exit distributions",
    }
    parts = ["# Stealing multi-exit networks\n", "## Exits found in measured runtimes\n", markdown(estimates)]
    for one in booty:
        parts += [f"## {one.estimate['victim']}: {one.estimate['queries']} queries\n", markdown(one.rows, columns)]
        parts.append(_goals(one.rows))
        if one.again:
            parts += [
                f"Of {len(one.again) // 2} further victims, trained from other seeds:\n",
                markdown(_means(one.again)),
            ]
        if one.scan:
            parts += ["Weights of the losses, thresholds searched:\n", markdown(one.scan, columns)]
    if picture:
        parts += ["## Agreement against the number of queries\n", f"![agreement against queries]({picture})\n"]
        shown = ("victim", "method", "queries", "fidelity", "same_exit", "within_one", "cost_difference")
        parts.append(markdown([row for one in booty for row in one.curve], {name: name for name in shown}))
    owner = [row for one in booty for row in one.owner]
    parts += ["## The owner's side, on the cost model\n", markdown(owner)]
    if absent:
        parts.append(f"Left out, because the data is not there: {', '.join(absent)}.\n")
    return "\n".join(parts)


def _means(rows: Sequence[Row]) -> list[Row]:
    """Means, least and largest of the two methods over several victims."""

    def told(method: str, measure: str) -> str:
        values = [row[measure] for row in rows if row["method"] == method]
        return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"

    measures = {"fidelity": "fidelity", "same_exit": "same exit", "within_one": "within one"}
    measures["cost_difference"] = "cost against the victim's"
    return [
        {"method": method, **{title: told(method, measure) for measure, title in measures.items()}}
        for method in (OURS, CONVENTIONAL)
    ]


def _goals(rows: Sequence[Mapping[str, Any]]) -> str:
    by_method = {row["method"]: row for row in rows}
    ours, conventional, single = by_method[OURS], by_method[CONVENTIONAL], by_method[SINGLE]
    factor, at_cost, alone = (
        ours["same_exit"] / max(other["same_exit"], 1e-9)
        for other in (conventional, by_method[AT_COST], by_method[EXITS_ALONE])
    )
    accuracy = 100 * (ours["accuracy"] - max(conventional["accuracy"], single["accuracy"]))
    fidelity = 100 * (ours["fidelity"] - max(conventional["fidelity"], single["fidelity"]))
    anew = f" The owner's next training: same exit {by_method[ANEW]['same_exit']:.3f}." if ANEW in by_method else ""
    return (
        f"Same exit {factor:.2f} times the conventional substitute's (goal: 2), {at_cost:.2f} times where its "
        f"threshold is set for the victim's cost, and {alone:.2f} times that of the classifier of exits; within one "
        f"{ours['within_one']:.2f} (goal: 0.75); cost {100 * ours['cost_difference']:+.1f} % (goal: within 5 %); "
        f"accuracy {accuracy:+.1f} and fidelity {fidelity:+.1f} points against the better conventional variant (goal: "
        f"not below -1).{anew}\n"
    )


def _drawn(curve: Sequence[Mapping[str, Any]]) -> bytes:
    names = list(dict.fromkeys(row["victim"] for row in curve))
    figure = Figure(figsize=(5 * len(names) + 1, 3.8), layout="constrained")
    for position, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), position + 1)
        for method, colour in ((OURS, "#2b6cb0"), (CONVENTIONAL, "#c05621")):
            mine = [row for row in curve if row["victim"] == name and row["method"] == method]
            queries = [row["queries"] for row in mine]
            for measure, style in (("same_exit", "-"), ("within_one", "--"), ("fidelity", ":")):
                label = f"{method}: {measure.replace('_', ' ')}"
                axes.plot(queries, [row[measure] for row in mine], style, marker="o", color=colour, label=label)
        axes.set_xscale("log", base=2)
        axes.set_xticks(queries, [f"{number:,}" for number in queries])
        axes.minorticks_off()
        axes.set_ylim(0, 1)
        axes.set_xlabel("queries")
        axes.set_ylabel("share of test images")
        axes.set_title(name, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def _networks(robbed: Sequence[Victim]) -> list[Spec]:
    every = [each for victim in robbed for each in (victim, *victim.next_trainings)]
    return list(dict.fromkeys(each.network for each in every if isinstance(each.network, Trained)))


STUDY = Study(
    "stealing",
    "Substitutes that stop where their victims stop, against conventional ones.",
    lambda preset: _networks(victims(preset)),
    _make,
    ("laptop", "gpu"),
)  # fmt: skip
