"""Suspects of `study strength`, each under every policy: what was promised of it, and what `verify` says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.fingerprints import Fingerprint, Strength, verify
from exitprint.fingerprints.fingerprint import TENSORS
from exitprint.fingerprints.promises import Theft
from exitprint.fingerprints.shares import Rule, logits_of, policy_of, share_of_pairs
from exitprint.fingerprints.thefts import OWN, SDN, new_exits
from exitprint.networks import MultiExitNetwork
from exitprint.training import evaluate
from exitprint_studies.ours.banks import Replayed, seconds_of
from exitprint_studies.ours.strength.bench import HAPPENS, OF_EXITS, OTHER_THEFTS, SAME_MAKER, TABLE, Bench
from exitprint_studies.ours.strength.cases import Case, name_of
from exitprint_studies.ours.third_party import Adopted
from exitprint_studies.tables import Row

VERSION = 2
"""Raised whenever the same suspect would be asked otherwise than before."""
NOT_SIMULATED = "not simulated"
"""In place of a word, where `fingerprint` says nothing."""
SIZES = (100, 200)
SEED = 101
"""Of the thefts that happen; the simulated ones have 1 and 2."""
TESTED = 2000
"""Test images that accuracies are measured on."""
RUNS = 10
"""Verifications of each suspect, policy and number of samples."""


@dataclass(frozen=True)
class Suspect:
    """Who is asked.

    Attributes
    ----------
    name
        What was simulated, or which stranger it is.
    made
        By whom, where the same theft happened twice.
    promise
        What the table says of it; None of a stranger and of what was not simulated.
    network
        The suspect.
    stolen
        Whether it is a copy.
    """

    name: str
    made: str
    promise: Theft | None
    network: MultiExitNetwork
    stolen: bool = True


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
        right = evaluate(target, bench.images(case.target).test[:TESTED]).exit_accuracies[-1]
        return cls(case.name, made, rules, right)


def rows_of(case: Case, bench: Bench) -> Iterator[Row]:
    """One row for each suspect, policy and number of samples, from the store or asked now."""
    asking = Asking.of(case, bench)
    promised = {theft.name: theft for theft in asking.table.thefts}

    def ask(suspect: Suspect, to: Path) -> None:
        right = evaluate(suspect.network, bench.images(case.target).test[:TESTED]).exit_accuracies[-1]
        write_bytes(to, json.dumps(list(rows_on(asking, suspect, right))).encode())

    for suspect in chain(strangers(case, bench), copies(case, bench, promised)):
        key = {**bench.key(case), "table": TABLE, "asked": VERSION, "suspect": [suspect.name, suspect.made]}
        found: list[Row] = json.loads(bench.run.store.get(key, partial(ask, suspect), ".rows").read_bytes())
        yield from ({**row, "case": case.name} for row in found)


def strangers(case: Case, bench: Bench) -> Iterator[Suspect]:
    """Independents as they are and with exits trained again."""
    for spec in filter(bench.can, case.strangers):
        yield Suspect(name_of(spec), "", None, bench.network(spec), stolen=False)
        for exits in (SDN, OWN):
            if exits in new_exits(bench.network(spec)) and bench.can_copy(spec, "", exits, SEED):
                yield Suspect(f"{name_of(spec)}, {exits}", "", None, bench.copy(spec, "", exits, SEED), stolen=False)


def copies(case: Case, bench: Bench, promised: Mapping[str, Theft]) -> Iterator[Suspect]:
    """What thieves made, with what was promised of it."""
    happened = [(change, exits) for change in HAPPENS for exits in (None, *new_exits(bench.network(case.target)))]
    for change, exits in (*happened, *((change, None) for change in OF_EXITS)):
        kept = "exits kept" if change in HAPPENS else ""
        name = ", ".join(part for part in (change, exits or kept) if part)
        if name not in promised:
            continue
        if bench.can_copy(case.target, change, exits, SEED):
            yield Suspect(name, f"seed {SEED}", promised[name], bench.copy(case.target, change, exits, SEED))
        if isinstance(case.target, Adopted) and name in SAME_MAKER:
            yield Suspect(name, "same-maker", promised[name], bench.of_same_maker(case.target, SAME_MAKER[name]))
    for change in OTHER_THEFTS:
        if bench.can_copy(case.target, change, None, SEED):
            yield Suspect(change, "", None, bench.copy(case.target, change, None, SEED))


def rows_on(asking: Asking, suspect: Suspect, right: float) -> Iterator[Row]:
    """The rows of one suspect, of which `right` is the accuracy at its last exit."""
    made, table, promise = asking.made, asking.table, suspect.promise
    samples, originals = logits_of(suspect.network, made.samples), logits_of(suspect.network, made.originals)
    seconds = seconds_of(suspect.network)
    for number, rule in enumerate(asking.rules):
        policy = policy_of(suspect.network, rule)
        if suspect.stolen and policy.criterion != suspect.network.policy.criterion:
            continue  # the thief has changed it
        exits = policy.exits(samples), policy.exits(originals)
        for size in (size for size in SIZES if size <= len(made)):
            said = [_verdict(made, exits, seconds, size, seed) for seed in range(RUNS)]
            yield {
                "case": asking.case,
                "suspect": suspect.name,
                "made by": suspect.made,
                "truth": "stolen" if suspect.stolen else "stranger",
                "right": right,
                "keeps": right / asking.right,
                "T_c": table.policies[number],
                "samples": size,
                "simulated share": promise.share[number] if promise else None,
                "share": share_of_pairs("contrast", *exits, made.late),
                "simulated claims": promise.claimed[number][table.sizes.index(size)] if promise else None,
                "word": table.word(promise, number, size) if promise else NOT_SIMULATED if suspect.stolen else None,
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
