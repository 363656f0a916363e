"""`study forgeries`: fingerprints that were made to claim networks which are nobody's copies.

Decided by the product's own `verify` on the cost model's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors, write_bytes
from exitprint.fingerprints import Fingerprint, verify
from exitprint.fingerprints.shares import logits_of, share_of_pairs
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.training import leaving_policy, recipe
from exitprint_studies.ours.banks import Replayed, seconds_of
from exitprint_studies.ours.forgers import STRATEGIES, Forger, shrunk
from exitprint_studies.ours.makers import DEPTHS, RADS, Workshop, of_the_maker
from exitprint_studies.ours.third_party import has_weights
from exitprint_studies.population.declare import Source, Trained, realise
from exitprint_studies.population.jobs import realise_all
from exitprint_studies.study import Preset, Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

DIGITS = Source(name="digits")
KINDS = (("resnet", 8, 8), ("resnet", 8, 16), ("resnet", 14, 8), ("resnet", 14, 12))
"""Family, depth and width of the networks on digits, in turn."""
AT_HAND, SUSPECTS = 10, 20
LARGEST = (1.0, 0.5)
"""The largest mean L2 of the change that is tried, beside as much as a file may hold."""
COPIES = (None, "fine-tuned 2 epochs, new ICs")
"""What the forger has of each of the maker's networks: itself, and copies whose backbones differ."""
PARTS = ("chosen", "late", "samples")
LEAVE = (0.4, 0.7)
"""Shares of images that leave in the first half of a network on digits: RAD says nothing where all exits are right."""
STRICT = f"{LEAVE[0]:.0%} leave early"
VERSION = 2


@dataclass(frozen=True)
class Arena:
    """A forger and those whom he claims.

    Attributes
    ----------
    name
        In tables.
    forger
        With his networks.
    suspects
        Networks that he never saw, by name, with the policies that each is asked under, by name.
    """

    name: str
    forger: Forger
    suspects: dict[str, tuple[MultiExitNetwork, dict[str, ExitPolicy]]]


def digits_networks() -> list[Trained]:
    """The forger's own, those at hand, and the suspects: all trained independently of each other."""
    found = []
    for seed in range(1 + AT_HAND + SUSPECTS):
        family, depth, width = KINDS[seed % len(KINDS)]
        found.append(
            Trained(
                architecture=architecture(family, (1, 8, 8), 10, depth, width),
                data=DIGITS,
                recipe=recipe("fast", family, DIGITS.name),
                seed=100 + seed,
            )
        )
    return found


def on_digits(run: Run) -> Arena:
    """All of them on the embedded digits."""
    data = DIGITS.load(run.data_dir)
    networks = [realise(spec, run.store, run.data_dir) for spec in digits_networks()]
    policies = [
        {f"{share:.0%} leave early": leaving_policy(network, data.calibration, share) for share in LEAVE}
        for network in networks
    ]
    known = 1 + AT_HAND
    forger = Forger(networks[0], networks[1:known], [own[STRICT] for own in policies[:known]], data.test)
    suspects = {f"digits {n}": (networks[n], policies[n]) for n in range(known, len(networks))}
    return Arena("digits, 8×8", forger, suspects)


def on_one_maker(run: Run) -> Arena:
    """The forger has two well trained networks and their copies; the suspects are the same maker's third and its."""
    workshop = Workshop(run.store, run.data_dir)
    kept = [(of_the_maker(depth), theft) for depth in DEPTHS[:2] for theft in COPIES]
    third = [(of_the_maker(DEPTHS[2]), theft) for theft in (*COPIES, "ICs retrained")]
    own, *at_hand = [workshop.network(*each) for each in kept]
    forger = Forger(own, at_hand, [workshop.policies(*each)[0][1] for each in kept], workshop.images(kept[0][0]).test)
    suspects = {
        f"ResNet-{adopted.depth}, {theft or 'as it is'}": (
            workshop.network(adopted, theft),
            dict(zip((f"RAD={rad:g}" for rad in RADS[1:]), workshop.policies(adopted, theft)[0][1:], strict=True)),
        )
        for adopted, theft in third
    }
    return Arena("CIFAR-10, one maker", forger, suspects)


def forged(arena: Arena, strategy: str, run: Run) -> Fingerprint:
    """The forger's file before it is made small, kept in the store."""

    def make(to: Path) -> None:
        made = STRATEGIES[strategy](arena.forger)
        save_tensors(to, "forgery", {}, {part: getattr(made, part) for part in PARTS})

    key = {"forgery": VERSION, "arena": arena.name, "strategy": strategy}
    parts = load_tensors(run.store.get(key, make), "forgery")[1]
    return arena.forger.file(parts["chosen"], parts["late"], parts["samples"])


def rows_of(arena: Arena, run: Run) -> Iterator[Row]:
    """One row for each strategy, size of the change, suspect and policy."""
    for strategy in STRATEGIES:
        whole = forged(arena, strategy, run)
        benign = {name: logits_of(network, whole.originals) for name, (network, _) in arena.suspects.items()}
        for largest in (None, *(size for size in LARGEST if size < float(whole.l2.mean()))):
            try:
                made = shrunk(whole, largest)
            except ExitprintError as error:
                yield _row(arena, strategy, largest, None) | {"said": f"refused: {error}"}
                continue
            for name, (network, policies) in arena.suspects.items():
                crafted, seconds = logits_of(network, made.samples), seconds_of(network)
                for rule, policy in policies.items():
                    exits = policy.exits(crafted), policy.exits(benign[name])
                    about = {"suspect": name, "rule": rule}
                    yield _row(arena, strategy, largest, made) | _asked(made, exits, seconds) | about


def _row(arena: Arena, strategy: str, largest: float | None, made: Fingerprint | None) -> dict[str, Any]:
    return {
        "images": arena.name,
        "strategy": strategy,
        "largest L2": largest,
        "L2": float(made.l2.mean()) if made else None,
        "suspect": "",
        "rule": "",
        "share": None,
        "nature": None,
        "p0": None,
        "said": "",
    }


def _asked(made: Fingerprint, exits: tuple[Tensor, Tensor], seconds: Tensor) -> dict[str, Any]:
    share, nature = (share_of_pairs("contrast", each, each, made.late) for each in exits)
    found: dict[str, Any] = {"share": share, "nature": nature}
    try:
        verdict = verify(made, Replayed.of(made, *exits, seconds))
    except ExitprintError as error:
        return {**found, "said": f"refused: {error}"}
    return {**found, "said": verdict.decision, "p0": verdict.p0}


def table(rows: Sequence[Row]) -> list[Row]:
    """For each strategy and size of the change how many were claimed."""
    found: list[Row] = []
    for about in dict.fromkeys((row["images"], row["strategy"], row["largest L2"]) for row in rows):
        cell = [row for row in rows if (row["images"], row["strategy"], row["largest L2"]) == about]
        asked = [row for row in cell if row["share"] is not None]
        found.append(
            {
                "images": about[0],
                "strategy": about[1],
                "L2": cell[0]["L2"],
                "suspects × policies": len(asked),
                "share, mean": float(np.mean([row["share"] for row in asked])) if asked else None,
                "largest": max((row["share"] for row in asked), default=None),
                "nature, largest": max((row["nature"] for row in asked), default=None),
                "derived": sum(row["said"] == "derived" for row in cell),
                "refused": sum(row["said"].startswith("refused") for row in cell),
            }
        )
    return found


def _networks(preset: Preset) -> list[Trained]:
    return digits_networks()


def _make(run: Run) -> list[Path]:
    realise_all(digits_networks(), run.store, run.data_dir, run.pool)
    arenas = [on_digits(run)]
    if has_weights(run.data_dir, DEPTHS[2]):
        arenas.append(on_one_maker(run))
    rows = [row for arena in arenas for row in rows_of(arena, run)]
    page, file = run.out / "forgeries.md", run.out / "forgeries.parquet"
    write_parquet(rows, file)
    write_bytes(page, f"# Forgeries\n\n{markdown(table(rows))}".encode())
    return [page, file]


STUDY = Study("forgeries", "Fingerprints made to claim networks that are nobody's copies.", _networks, _make)
