"""`study strength`: what the table of simulated thefts promises, against thefts that then happen.

Networks are well trained. Thefts are made from other seeds than the simulated ones, with all the images that the owner
has and twice the epochs. Decided by the product's own `verify` on the cost model's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.fingerprints import (
    Fingerprint,
    Strength,
    contrast_fingerprint,
    default_policies,
    load_fingerprint,
    save_fingerprint,
    strength,
    verify,
)
from exitprint.fingerprints.fingerprint import TENSORS
from exitprint.fingerprints.promises import PROMISED, Theft
from exitprint.fingerprints.shares import Rule, logits_of, policy_of, share_of_pairs
from exitprint.fingerprints.thefts import SDN, new_exits
from exitprint.networks import MultiExitNetwork, architecture, load_network, save_network
from exitprint.progress import progress
from exitprint.tampering import tamper
from exitprint.threads import single_thread
from exitprint.training import evaluate, leaving_policy, recipe
from exitprint_studies.ours.banks import Replayed, seconds_of
from exitprint_studies.ours.makers import Workshop, of_the_maker
from exitprint_studies.ours.third_party import Adopted
from exitprint_studies.population.declare import Source, Trained, realise
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

VERSION = 1
"""Raised whenever the same declaration would be crafted or measured otherwise than before."""
POOL, SAMPLES, LEAVE = 1000, 200, 0.4
SIZES = (100, 200)
SEEDS = (101,)
"""Of the thefts that happen; the simulated ones have 1 and 2."""
RUNS = 10
"""Verifications of each suspect, policy and number of samples."""
USEFUL = 0.85
"""A copy that keeps less than this share of the target's accuracy is of no use to a thief."""
HAPPENS: dict[str, tuple[str, dict[str, object]] | None] = {
    "": None,
    "pruned by 20 %": ("prune", {"rate": 0.2}),
    "pruned by 40 %": ("prune", {"rate": 0.4}),
    "in 8 bits": ("quantise", {}),
    "fine-tuned 2 epochs": ("finetune", {"epochs": 4}),
}
"""What happens to the backbone, by what was simulated."""
SAME_MAKER = {
    SDN: "ICs retrained",
    f"pruned by 20 %, {SDN}": "pruned 0.2, new ICs",
    f"pruned by 40 %, {SDN}": "pruned 0.4, new ICs",
    f"in 8 bits, {SDN}": "8-bit, new ICs",
    f"fine-tuned 2 epochs, {SDN}": "fine-tuned 2 epochs, new ICs",
}
"""What was simulated, and the copies of `study same-maker` on which the same was done, from seeds of their own."""
BINS = (0.0, 0.1, 0.5, 0.9, 1.0)
FASHION, DIGITS = Source(name="fashion-mnist", limit=12_000), Source(name="digits")

WIDTH = {"msdnet": 8, "branchynet": 16}

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
    """

    name: str
    target: Network
    references: tuple[Network, ...]
    strangers: tuple[Network, ...]
    samples: int = SAMPLES


def born(family: str, seed: int) -> Trained:
    """A network with exits of its own, trained on Fashion-MNIST from this seed."""
    arch = architecture(family, (1, 28, 28), 10, 5, WIDTH[family])
    return Trained(architecture=arch, data=FASHION, recipe=recipe("fast", family, FASHION.name, 6), seed=seed)


def small(seed: int, name: str = "resnet20") -> Trained:
    """A network trained on digits from this seed."""
    how = recipe("fast", "resnet", DIGITS.name)
    return Trained(architecture=architecture(name, (1, 8, 8), 10, width=8), data=DIGITS, recipe=how, seed=seed)


def cases() -> list[Case]:
    """What is fingerprinted."""
    resnet20, resnet32, resnet44 = (of_the_maker(depth) for depth in (20, 32, 44))
    msdnets, branchynets = ([born(family, seed) for seed in range(4)] for family in ("msdnet", "branchynet"))
    resnets = [small(seed) for seed in range(5)]
    others = (*resnets[3:], small(5, "resnet14"), small(6, "resnet14"))
    return [
        Case("digits ResNet-20, two references", resnets[0], tuple(resnets[1:3]), others, samples=100),
        Case("ResNet-20, no reference", resnet20, (), (resnet32, resnet44)),
        Case("ResNet-20, one reference", resnet20, (resnet32,), (resnet44,)),
        Case("MSDNet, one reference", msdnets[0], (msdnets[1],), (*msdnets[2:], *branchynets[:2])),
        Case("BranchyNet, one reference", branchynets[0], (branchynets[1],), (*branchynets[2:], *msdnets[:2])),
    ]


@dataclass(frozen=True)
class Bench:
    """Where a case's networks, fingerprint and suspects are found or made."""

    run: Run

    def images(self, spec: Network) -> ImageData:
        """What the network's owner has; the first test images are the pool."""
        return spec.images(self.run.data_dir) if isinstance(spec, Adopted) else spec.data.load(self.run.data_dir)

    def network(self, spec: Network) -> MultiExitNetwork:
        """The network, under a policy that tells images apart."""
        if isinstance(spec, Adopted):
            return spec.realise(self.run.store, self.run.data_dir)
        network = realise(spec, self.run.store, self.run.data_dir)
        network.policy = leaving_policy(network, self.images(spec).calibration, LEAVE, network.policy.criterion)
        return network

    def can(self, spec: Network) -> bool:
        """Whether the network is there or may be made."""
        return not self.run.present or self.run.store.has(spec.key)

    def can_copy(self, spec: Network, change: str, exits: str | None, seed: int) -> bool:
        """The same of what a thief makes."""
        wanted = self.steps(spec, change, exits, seed)
        return not self.run.present or all(self.run.store.has(key) for key, _, _ in wanted)

    def steps(
        self, spec: Network, change: str, exits: str | None, seed: int
    ) -> list[tuple[dict[str, object], str, dict[str, object]]]:
        """What a thief does, one after the other: key of the result, kind of tampering, parameters."""
        done = HAPPENS[change]
        wanted = [(done[0], done[1] | {"retrain_heads": False})] if done else []
        if exits:
            wanted.append(("retrain-exits", dict(new_exits(self.network(spec))[exits])))
        steps: list[tuple[dict[str, object], str, dict[str, object]]] = []
        key: dict[str, object] = {"stolen": VERSION, "from": spec.key, "seed": seed}
        for kind, parameters in wanted:
            key = {**key, "done": [*cast(list[object], key.get("done", [])), kind, parameters]}
            steps.append((key, kind, parameters | {"rad": None}))
        return steps

    def copy(self, spec: Network, change: str, exits: str | None, seed: int) -> MultiExitNetwork:
        """What a thief makes: something done to the backbone, and new exits or those that there are."""
        network, data = self.network(spec), self.images(spec)
        for key, kind, parameters in self.steps(spec, change, exits, seed):
            make = partial(self._steal, network, data, kind, parameters, seed)
            network = load_network(self.run.store.get(key, make))
        return network

    def of_same_maker(self, spec: Adopted, theft: str) -> MultiExitNetwork:
        """A copy of `study same-maker`, with the owner's thresholds."""
        network = Workshop(self.run.store, self.run.data_dir).network(spec, theft)
        network.policy = self.network(spec).policy
        return network

    def _steal(
        self, network: MultiExitNetwork, data: ImageData, kind: str, parameters: dict[str, object], seed: int, to: Path
    ) -> None:
        with single_thread():
            save_network(tamper(network, data, kind, parameters, seed), to)

    def rules(self, case: Case) -> list[Rule]:
        """How each network gets its policies: those that `fingerprint` takes where none are named."""
        data = self.images(case.target)
        return default_policies("contrast", self.network(case.target), data.test[:POOL], data.calibration)

    def fingerprint(self, case: Case) -> Fingerprint:
        """The fingerprint with its table of simulated thefts, from the store or made now."""

        def make(to: Path) -> None:
            data, rules = self.images(case.target), self.rules(case)
            known = {name_of(each): self.network(each) for each in case.references}
            network, pool = self.network(case.target), data.test[:POOL]
            made = contrast_fingerprint(network, pool, rules, case.samples, references=known, check=False)
            with single_thread():
                save_fingerprint(replace(made, strength=strength(made, network, data, rules)), to)

        return load_fingerprint(self.run.store.get(self.key(case), make))

    def key(self, case: Case) -> dict[str, object]:
        """Everything that a case's fingerprint depends on."""
        return {
            "strength": VERSION,
            "target": case.target.key,
            "references": [each.key for each in case.references],
            "exits": list(new_exits(self.network(case.target))),
            **({"samples": case.samples} if case.samples != SAMPLES else {}),
        }


def name_of(spec: Network) -> str:
    """In tables."""
    if isinstance(spec, Adopted):
        return f"ResNet-{spec.depth}"
    depth = f"-{spec.architecture.depth}" if spec.architecture.family == "resnet" else ""
    return f"{spec.architecture.family}{depth}, seed {spec.seed}"


@dataclass(frozen=True)
class Asking:
    """What all suspects of a case are asked with.

    Attributes
    ----------
    case
        Its name.
    made
        The fingerprint, with its table.
    rules
        By which each suspect gets the policies of the table.
    right
        Accuracy of the owner's network at its last exit.
    """

    case: str
    made: Fingerprint
    rules: Sequence[Rule]
    right: float

    @property
    def table(self) -> Strength:
        """What was promised."""
        assert self.made.strength is not None
        return self.made.strength

    @classmethod
    def of(cls, case: Case, bench: Bench) -> Asking:
        """For one case, without the policies under which nothing can be crafted."""
        made, target = bench.fingerprint(case), bench.network(case.target)
        assert made.strength is not None
        rules = [
            rule for rule in bench.rules(case) if min(policy_of(target, rule).thresholds) in made.strength.policies
        ]
        right = evaluate(target, bench.images(case.target).test).exit_accuracies[-1]
        return cls(case.name, made, rules, right)


def rows_of(case: Case, bench: Bench) -> Iterator[Row]:
    """One row for each suspect, policy and number of samples."""
    asking = Asking.of(case, bench)
    promised = {theft.name: theft for theft in asking.table.thefts}
    for name, promise, network in suspects(case, bench, promised):
        right = evaluate(network, bench.images(case.target).test).exit_accuracies[-1]
        yield from rows_on(asking, name, promise, network, right)


def suspects(
    case: Case, bench: Bench, promised: Mapping[str, Theft]
) -> Iterator[tuple[str, Theft | None, MultiExitNetwork]]:
    """Strangers as they are and with exits trained again, then copies with what was promised of them."""
    for spec in case.strangers:
        if bench.can(spec):
            yield name_of(spec), None, bench.network(spec)
            if bench.can_copy(spec, "", SDN, SEEDS[0]):
                yield f"{name_of(spec)}, {SDN}", None, bench.copy(spec, "", SDN, SEEDS[0])
    for change in HAPPENS:
        for exits in (None, *new_exits(bench.network(case.target))):
            name = ", ".join(part for part in (change, exits or "exits kept") if part)
            if name not in promised:
                continue
            for seed in SEEDS:
                if bench.can_copy(case.target, change, exits, seed):
                    yield name, promised[name], bench.copy(case.target, change, exits, seed)
            if isinstance(case.target, Adopted) and name in SAME_MAKER:
                yield name, promised[name], bench.of_same_maker(case.target, SAME_MAKER[name])


def rows_on(asking: Asking, name: str, promise: Theft | None, network: MultiExitNetwork, right: float) -> Iterator[Row]:
    """The rows of one suspect, of which `right` is the accuracy at its last exit."""
    made, table = asking.made, asking.table
    samples, originals = logits_of(network, made.samples), logits_of(network, made.originals)
    seconds = seconds_of(network)
    for number, rule in enumerate(asking.rules):
        policy = policy_of(network, rule)
        exits = policy.exits(samples), policy.exits(originals)
        for size in (size for size in SIZES if size <= len(made)):
            said = [_verdict(made, exits, seconds, size, seed) for seed in range(RUNS)]
            yield {
                "case": asking.case,
                "suspect": name,
                "truth": "stolen" if promise else "stranger",
                "right": right,
                "keeps": right / asking.right,
                "T_c": table.policies[number],
                "samples": size,
                "share": share_of_pairs("contrast", *exits, made.late),
                "promised share": promise.share[number] if promise else None,
                "promised": promise.claimed[number][table.sizes.index(size)] if promise else None,
                "claimed": said.count("derived") / RUNS,
                "cleared": said.count("independent") / RUNS,
                "refused": said.count("refused") / RUNS,
            }


def _verdict(made: Fingerprint, exits: tuple[Tensor, Tensor], seconds: Tensor, size: int, seed: int) -> str:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.cat(
        [
            half.nonzero()[:, 0][torch.randperm(int(half.sum()), generator=generator)[: size // 2]].sort().values
            for half in (made.late, ~made.late)
        ]
    )
    part = replace(made, strength=None, references=(), **{name: getattr(made, name)[drawn] for name in TENSORS})
    asked = Replayed.of(part, exits[0][drawn], exits[1][drawn], seconds)
    try:
        return verify(part, asked, seed=seed, references=made.references).decision
    except ExitprintError:
        return "refused"


def calibration(rows: Sequence[Row]) -> list[Row]:
    """For each bin of promised chances what then happened, and the cell that is farthest off."""
    cells = cells_of(rows)
    table: list[Row] = []
    for low, high in pairwise(BINS):
        mine = [each for each in cells if low <= each["promised"] and (each["promised"] < high or high == 1)]
        if not mine:
            continue
        worst = max(mine, key=lambda each: abs(each["promised"] - each["claimed"]))
        table.append(
            {
                "promised": f"{low:.0%} to {high:.0%}",
                "cells": len(mine),
                "mean promised": sum(each["promised"] for each in mine) / len(mine),
                "mean claimed": sum(each["claimed"] for each in mine) / len(mine),
                "farthest off": f"{worst['case']}: {worst['suspect']}, T_c = {worst['T_c']:.3f}, {worst['samples']}",
                "promised there": worst["promised"],
                "claimed there": worst["claimed"],
            }
        )
    return table


def cells_of(rows: Sequence[Row]) -> list[Row]:
    """What was promised of each theft under each policy and what happened, averaged over the seeds of the theft."""
    keys = ("case", "suspect", "T_c", "samples")
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row["truth"] == "stolen" and row["promised"] is not None and row["keeps"] >= USEFUL:
            found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [
        {
            **dict(zip(keys, key, strict=True)),
            "promised share": same[0]["promised share"],
            "share": sum(row["share"] for row in same) / len(same),
            "promised": same[0]["promised"],
            "claimed": sum(row["claimed"] for row in same) / len(same),
            "cleared": sum(row["cleared"] for row in same) / len(same),
        }
        for key, same in found.items()
    ]


def summary(rows: Sequence[Row]) -> list[Row]:
    """For each case and number of samples: promised copies found, others found, strangers claimed."""
    table: list[Row] = []
    cells = cells_of(rows)
    for case, size in dict.fromkeys((row["case"], row["samples"]) for row in rows):
        mine = [each for each in cells if (each["case"], each["samples"]) == (case, size)]
        sure = [each for each in mine if each["promised"] >= PROMISED]
        rest = [each for each in mine if each["promised"] < PROMISED]
        strangers = [
            row for row in rows if (row["case"], row["samples"]) == (case, size) and row["truth"] == "stranger"
        ]
        table.append(
            {
                "case": case,
                "samples": size,
                "promised cells": len(sure),
                "of them claimed": _mean([each["claimed"] for each in sure]),
                "other cells": len(rest),
                "of these claimed": _mean([each["claimed"] for each in rest]),
                "verdicts on strangers": RUNS * len(strangers),
                "strangers claimed": round(RUNS * sum(row["claimed"] for row in strangers)),
                "largest share of a stranger": max((row["share"] for row in strangers), default=None),
            }
        )
    return table


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _make(run: Run) -> list[Path]:
    bench, rows = Bench(run), list[Row]()
    said: list[str] = []
    wanted = [
        case for case in cases() if not run.present or (bench.can(case.target) and run.store.has(bench.key(case)))
    ]
    with progress("fingerprints and their thefts", len(wanted)) as advance:
        for case in wanted:
            rows += list(rows_of(case, bench))
            table = bench.fingerprint(case).strength
            assert table is not None
            said += [f"### {case.name}\n", *(f"- {sentence}" for sentence in table.sentences()), ""]
            advance(1)
    page, data = run.out / "strength.md", run.out / "strength.parquet"
    write_parquet(rows, data)
    tables = {"In short": summary(rows), "Calibration": calibration(rows), "Each cell": cells_of(rows)}
    parts = [f"## {title}\n\n{markdown(each)}" for title, each in tables.items()]
    text = "\n".join(["# Strength\n", *parts, "## What `fingerprint` said beforehand\n", *said])
    write_bytes(page, text.encode())
    return [page, data]


STUDY = Study(
    "strength",
    "What the table of simulated thefts promises, against thefts that then happen.",
    lambda preset: [spec for case in cases() for spec in (case.target, *case.strangers) if isinstance(spec, Trained)],
    _make,
    partial_runs=True,
)
