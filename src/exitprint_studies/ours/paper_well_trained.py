"""`study paper-well-trained`: the paper's measurements on a third party's well trained ResNets.

An internal classifier after every block, as in SDN. All times are the cost model's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from exitprint.files import write_bytes
from exitprint.fingerprints import (
    Fingerprint,
    PaperMethod,
    contrast_fingerprint,
    load_fingerprint,
    measure_t_n,
    paper_fingerprint,
    save_fingerprint,
    verify,
)
from exitprint.fingerprints.shares import logits_of, share_of_pairs
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.networks.policy import Criterion, ExitRule
from exitprint.progress import progress
from exitprint.threads import single_thread
from exitprint.training import calibrated_policy
from exitprint_studies.conferrable import conferrable_fingerprint, load_labels, save_labels
from exitprint_studies.ours.banks import Replayed, rules, seconds_of
from exitprint_studies.ours.beside_the_paper import OTHER, USELESS, beside_the_paper
from exitprint_studies.ours.makers import DEPTHS, FURTHER, THEFTS, Workshop, of_the_maker
from exitprint_studies.ours.same_maker import USEFUL
from exitprint_studies.ours.third_party import Adopted, Depth
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

RADS = (5.0, 15.0)
SAMPLES = 100
CONTRAST_SAMPLES = 200
POOL = 1000
TESTED = 500
PAPER_STEPS = 50
"""Of the paper's method where it stops no sample early; 1,000 in the paper."""
BASELINE_STEPS = 20
"""500 in the paper."""
SURROGATES = ("fine-tuned 2 epochs, new ICs", "pruned 0.4, new ICs")
"""Of the target's copies, those that the baseline is crafted on; they are not among its suspects."""
EXITS_ONLY = ("ICs retrained", "every 2nd IC removed", "every 2nd IC trained anew")
POLICIES: tuple[tuple[str, float, Criterion], ...] = (
    ("T_c of RAD + 5", 5.0, "confidence"),
    ("T_c of RAD + 10", 10.0, "confidence"),
    ("entropy", 0.0, "entropy"),
    ("margin", 0.0, "margin"),
)
"""Changes of the policy alone: name, what is added to RAD, criterion."""
VERSION = 1


@dataclass(frozen=True)
class Suspect:
    """Who is measured.

    Attributes
    ----------
    network
        Of the maker's.
    theft
        What was done to it, if anything.
    change
        ``none``, ``exits``, ``policy``, ``backbone``, ``both`` or ``OTHER``.
    policy
        Name, what is added to RAD, criterion.
    """

    network: Adopted
    theft: str | None
    change: str
    policy: tuple[str, float, Criterion] = ("", 0.0, "confidence")

    @property
    def name(self) -> str:
        """In tables."""
        said = [f"ResNet-{self.network.depth}", self.theft, self.policy[0]]
        return ", ".join(each for each in said if each)


def target(depth: Depth) -> Adopted:
    """The maker's network with an internal classifier after every block but the last, whose exit is the network's."""
    return of_the_maker(depth, exits=(depth - 2) // 2 - 1)


def suspects(depth: Depth) -> list[Suspect]:
    """The target, its copies by what was changed, and the maker's other networks."""
    own = target(depth)
    done = [*THEFTS, *FURTHER]
    backbones = [name for name in done if name.endswith("own ICs")]
    both = [name for name in done if name.endswith("new ICs")]
    return [
        Suspect(own, None, "none"),
        *(Suspect(own, None, "policy", policy) for policy in POLICIES),
        *(Suspect(own, theft, "exits") for theft in EXITS_ONLY),
        *(Suspect(own, theft, "backbone") for theft in backbones),
        *(Suspect(own, theft, "both") for theft in both),
        *(
            Suspect(target(other), theft, OTHER)
            for other in DEPTHS
            if other != depth
            for theft in (None, "ICs retrained")
        ),
    ]


def fingerprints(depth: Depth, workshop: Workshop) -> dict[str, Fingerprint]:
    """The target's fingerprints by name, from the store or crafted now."""
    network, data = workshop.network(target(depth)), workshop.images(target(depth))
    strictest = calibrated_policy(network, data.calibration, RADS[-1])
    paper = partial(paper_fingerprint, network, data.test, [strictest], SAMPLES, check=False)
    made = {
        "paper, stopped early": paper,
        "contrast": partial(
            contrast_fingerprint, network, data.test[:POOL], rules(data), CONTRAST_SAMPLES, check=False
        ),
        f"paper, {PAPER_STEPS} steps": partial(paper, method=PaperMethod(steps=PAPER_STEPS, stop_early=False)),
    }

    def craft(name: str, to: Path) -> None:
        with single_thread():
            save_fingerprint(made[name](), to)

    key = {"well trained": VERSION, "target": target(depth).key}
    return {
        name: load_fingerprint(workshop.store.get({**key, "fingerprint": name}, partial(craft, name))) for name in made
    }


def baseline(depth: Depth, workshop: Workshop) -> Path:
    """The file of the baseline's labelled images, from the store or crafted now against one of the others."""
    own, known = target(depth), next(target(other) for other in DEPTHS if other != depth)

    def craft(to: Path) -> None:
        networks = [workshop.network(own, theft) for theft in SURROGATES]
        with single_thread():
            made = conferrable_fingerprint(
                workshop.network(own),
                networks,
                [workshop.network(known)],
                workshop.images(own).test,
                SAMPLES,
                steps=BASELINE_STEPS,
            )
            save_labels(made, to)

    return workshop.store.get({"well trained": VERSION, "baseline": own.key, "steps": BASELINE_STEPS}, craft)


def rows_of(depth: Depth, workshop: Workshop) -> Iterator[Row]:
    """One row for each suspect and RAD."""
    made = fingerprints(depth, workshop)
    labels = load_labels(baseline(depth, workshop))
    known = next(target(other) for other in DEPTHS if other != depth)
    kept: dict[float, float] = {}
    for suspect in suspects(depth):
        network, data = workshop.network(suspect.network, suspect.theft), workshop.images(suspect.network)
        tested = data.test[:TESTED]
        plain = logits_of(network, tested.pixels)
        logits = {
            name: (logits_of(network, each.samples), logits_of(network, each.originals)) for name, each in made.items()
        }
        seen = suspect.network == known or (suspect.network == target(depth) and suspect.theft in SURROGATES)
        expected = None if seen else (logits_of(network, labels.samples), labels.labels)
        _, more, criterion = suspect.policy
        for rad in RADS:
            policy = calibrated_policy(network, data.calibration, rad + more, ExitRule(criterion))
            accuracy = float((policy.answered(plain) == tested.labels).double().mean())
            useful = accuracy >= USEFUL * kept.setdefault(rad, accuracy) or suspect.change == OTHER
            yield {
                "target": f"ResNet-{depth}",
                "suspect": suspect.name,
                "change": suspect.change if useful else USELESS,
                "RAD": int(rad),
                "T_c": min(policy.thresholds),
                "accuracy": accuracy,
                **_timed(made, logits, policy, network),
                "label share, baseline": expected
                and float((policy.answered(expected[0]) == expected[1]).double().mean()),
            }


def _timed(
    made: dict[str, Fingerprint],
    logits: dict[str, tuple[Tensor, Tensor]],
    policy: ExitPolicy,
    network: MultiExitNetwork,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, fingerprint in made.items():
        exits = tuple(policy.exits(each) for each in logits[name])
        asked = Replayed.of(fingerprint, exits[0], exits[1], seconds_of(network))
        if fingerprint.kind == "contrast":
            found["share, contrast"] = share_of_pairs("contrast", exits[0], exits[0], fingerprint.late)
            found["verdict, contrast"] = verify(fingerprint, asked).decision
        else:
            measured = measure_t_n(fingerprint, asked)
            found[f"T_N, {name}"] = measured.T_N
            found["benign T_N"] = measured.benign_T_N
    return found


def parted(rows: Sequence[Row]) -> list[Row]:
    """For each target, RAD and measurement: the useful copy least like the target, the stranger most like it."""
    found: list[Row] = []
    for depth, rad in dict.fromkeys((row["target"], row["RAD"]) for row in rows):
        cell = [row for row in rows if (row["target"], row["RAD"]) == (depth, rad)]
        for name in cell[0]:
            if not name.startswith(("T_N", "share", "label share")):
                continue
            sign = -1 if name.startswith("T_N") else 1
            copies, strangers = (
                [
                    sign * row[name]
                    for row in cell
                    if (row["change"] == OTHER) == other and row["change"] != USELESS and row[name] is not None
                ]
                for other in (False, True)
            )
            if copies and strangers:
                found.append(
                    {
                        "target": depth,
                        "RAD": rad,
                        "measured": name,
                        "copies": len(copies),
                        "copy least like it": abs(min(copies)),
                        "strangers": len(strangers),
                        "stranger most like it": abs(max(strangers)),
                        "parted": min(copies) > max(strangers),
                    }
                )
    return found


def by_change(rows: Sequence[Row]) -> list[Row]:
    """Means over the suspects with one kind of change."""
    found: list[Row] = []
    for about in dict.fromkeys((row["target"], row["RAD"], row["change"]) for row in rows):
        cell = [row for row in rows if (row["target"], row["RAD"], row["change"]) == about]
        measured = [name for name in cell[0] if name.startswith(("T_N", "benign", "share", "label share"))]
        found.append(
            {
                **dict(zip(("target", "RAD", "change"), about, strict=True)),
                "suspects": len(cell),
                **{name: _mean([row[name] for row in cell]) for name in measured},
                "derived": sum(row["verdict, contrast"] == "derived" for row in cell),
            }
        )
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def page_of(rows: Sequence[Row]) -> str:
    """The tables as Markdown."""
    tables: dict[str, Sequence[Row]] = {
        "Beside the paper's ResNet-56 on CIFAR-10 (cost model)": beside_the_paper(rows),
        "Parted or not (cost model)": parted(rows),
        "By what was changed (cost model)": by_change(rows),
        "Each network (cost model)": rows,
    }
    parts = [f"## {title}\n\n{markdown(table)}" for title, table in tables.items()]
    return "# The paper's measurements on well trained networks\n\n" + "\n".join(parts)


def _make(run: Run) -> list[Path]:
    workshop, rows = Workshop(run.store, run.data_dir), list[Row]()
    page, file = run.out / "paper-well-trained.md", run.out / "paper-well-trained.parquet"
    with progress("targets", len(DEPTHS)) as advance:
        for depth in DEPTHS:
            rows += rows_of(depth, workshop)
            write_parquet(rows, file)
            write_bytes(page, page_of(rows).encode())
            advance(1)
    return [page, file]


STUDY = Study(
    "paper-well-trained",
    "The paper's measurements on a third party's well trained ResNets.",
    lambda preset: [],
    _make,
)
