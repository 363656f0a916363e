"""`study front-door`: how far a fingerprint gets behind a service that re-encodes or resizes what it is sent.

The third party's ResNet-20 is the owner's, his ResNet-32 a reference, his ResNet-44 and what a thief makes of that are
unseen. Shares are a cost model's; verdicts are measured, at a real server in another process that does it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.fingerprints import (
    ContrastMethod,
    Fingerprint,
    contrast_fingerprint,
    load_fingerprint,
    save_fingerprint,
    verify,
)
from exitprint.fingerprints.shares import shares
from exitprint.networks import save_network
from exitprint.progress import progress
from exitprint.serving import running
from exitprint.suspects import CostModel, KServeSuspect
from exitprint.suspects.through import Through, ways
from exitprint.threads import single_thread
from exitprint.training import calibrated_policy
from exitprint_studies.ours.makers import RADS, THEFTS, Workshop, of_the_maker
from exitprint_studies.ours.same_maker import USEFUL
from exitprint_studies.ours.third_party import Depth
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

TARGET, KNOWN, UNSEEN = of_the_maker(20), of_the_maker(32), of_the_maker(44)
WAYS = ways(["jpeg:90", "jpeg:75", "resize:0.5"])
HALF = WAYS[-1]
ASKED_RADS = RADS[1:]
SAMPLES, MARGIN, SMALLER = 100, 1.5, 1.0
BUDGET, AMPLIFICATION = 1200, 4
VERSION = 2
"""Raised whenever the same parameters would craft or ask otherwise than before."""
SHARES: dict[Through | None, str] = {None: "as sent", **{way: f"behind {way}" for way in WAYS}}


@dataclass(frozen=True)
class Made:
    """A fingerprint of the study.

    Attributes
    ----------
    through
        The ways behind which it has to hold.
    margin
        In log-odds.
    """

    through: tuple[Through, ...]
    margin: float = MARGIN

    @property
    def name(self) -> str:
        """In tables."""
        ways_in = " and ".join(way.text for way in self.through) or "nothing"
        return ways_in if self.margin == MARGIN else f"{ways_in}, margin {self.margin:g}"

    @property
    def key(self) -> dict[str, object]:
        """All that it depends on."""
        return {
            "front door": VERSION,
            "target": TARGET.key,
            "known": KNOWN.key,
            "through": [way.text for way in self.through],
            "samples": SAMPLES,
            "margin": self.margin,
            "rads": ASKED_RADS,
        }

    def fingerprint(self, workshop: Workshop) -> Fingerprint:
        """From the store, or crafted now."""
        path = workshop.store.get(self.key, partial(self._craft, workshop), ".fingerprint")
        return load_fingerprint(path, largest_change=float("inf"))

    def _craft(self, workshop: Workshop, to: Path) -> None:
        network, data = workshop.network(TARGET), workshop.images(TARGET)
        rules = [partial(calibrated_policy, images=data.calibration, rad=rad) for rad in ASKED_RADS]
        with single_thread():
            made = contrast_fingerprint(
                network,
                data.test,
                rules,
                SAMPLES,
                method=ContrastMethod(margin_log_odds=self.margin),
                references={"ResNet-32": workshop.network(KNOWN)},
                through=self.through,
                check=False,
            )
        save_fingerprint(made, to, largest_change=float("inf"))


@dataclass(frozen=True)
class Asked:
    """Who is asked: the target or the unseen network, as it is or as a thief made it."""

    depth: Depth
    theft: str | None

    @property
    def name(self) -> str:
        """In tables."""
        return f"ResNet-{self.depth}" + (f", {self.theft}" if self.theft else "")

    @property
    def copy(self) -> bool:
        """Whether it comes from the target."""
        return self.depth == TARGET.depth


def fingerprints() -> list[Made]:
    """What is crafted: without a front door, for each way in, for all of them, and for half size with less margin."""
    return [Made(()), *(Made((way,)) for way in WAYS), Made(WAYS), Made((HALF,), SMALLER)]


def suspects() -> list[Asked]:
    """The target, the unseen network, and what a thief makes of each."""
    return [Asked(adopted.depth, theft) for adopted in (TARGET, UNSEEN) for theft in (None, *THEFTS)]


def share_rows(made: Made, workshop: Workshop) -> Iterator[Row]:
    """The share of pairs on each suspect, as sent and behind each way, by the cost model."""
    fingerprint = made.fingerprint(workshop)
    crafted = (fingerprint.samples, fingerprint.originals, fingerprint.late)
    for suspect in suspects():
        adopted = of_the_maker(suspect.depth)
        policies, accuracies = workshop.policies(adopted, suspect.theft)
        asked = policies[1:]
        found = shares(workshop.network(adopted, suspect.theft), asked, "contrast", *crafted, WAYS)
        keeps = [own / all_ for own, all_ in zip(accuracies, workshop.policies(adopted)[1], strict=True)][1:]
        for place, rad in enumerate(ASKED_RADS):
            yield {
                "crafted through": made.name,
                "L2": float(fingerprint.l2.mean()),
                "change": fingerprint.change,
                "reached": float(fingerprint.reached.float().mean()),
                "passes": fingerprint.record["passes"],
                "suspect": suspect.name,
                "copy": suspect.copy,
                "RAD": int(rad),
                "keeps": keeps[place],
                **{name: found[place + number * len(asked)] for number, name in enumerate(SHARES.values())},
            }


def verdict_key(made: Made, way: Through, suspect: Asked, rad: float) -> dict[str, object]:
    """All that a verdict behind a real server depends on, but for what else the machine does."""
    asked = {"served through": way.text, "suspect": suspect.name, "rad": rad, "budget": BUDGET}
    return {**made.key, **asked, "asker's references": KNOWN.key}


def verdict_row(made: Made, way: Through, suspect: Asked, rad: float, workshop: Workshop) -> Row:
    """What `verify` says of a suspect behind a real server that does this to every image."""
    key = verdict_key(made, way, suspect, rad)
    path = workshop.store.get(key, partial(_served, made, way, suspect, rad, workshop), ".verdict")
    row: Row = json.loads(path.read_bytes())
    return row


def _served(made: Made, way: Through, suspect: Asked, rad: float, workshop: Workshop, to: Path) -> None:
    adopted, at = of_the_maker(suspect.depth), RADS.index(rad)
    network = workshop.network(adopted, suspect.theft)
    network.policy = workshop.policies(adopted, suspect.theft)[0][at]
    known = workshop.network(KNOWN)
    known.policy = workshop.policies(KNOWN)[0][at]
    keeps = workshop.policies(adopted, suspect.theft)[1][at] / workshop.policies(adopted)[1][at]
    row = {"crafted through": made.name, "served through": way.text, "suspect": suspect.name, "copy": suspect.copy}
    row |= {"RAD": int(rad), "keeps": keeps}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "suspect.safetensors"
        save_network(network, file)
        with running(file, through=way) as url, KServeSuspect(url, amplification=AMPLIFICATION) as server:
            try:
                references = {"ResNet-32": CostModel(known)}
                verdict = verify(made.fingerprint(workshop), server, budget=BUDGET, references=references)
            except ExitprintError as refused:
                row |= {"said": "refused", "share": None, "p0": None, "requests": 0, "why": str(refused)}
            else:
                row |= {
                    "said": verdict.decision,
                    "share": verdict.share,
                    "p0": verdict.p0,
                    "requests": verdict.requests,
                    "why": verdict.reason,
                }
            row["load"] = os.getloadavg()[0]
    write_bytes(to, json.dumps(row).encode())


def curve(rows: Sequence[Row]) -> list[Row]:
    """For each fingerprint and way in: the least share of useful copies, and the largest of what is unseen."""
    table: list[Row] = []
    for name in dict.fromkeys(row["crafted through"] for row in rows):
        cell = [row for row in rows if row["crafted through"] == name]
        useful = [row for row in cell if row["copy"] and row["keeps"] >= USEFUL]
        for what, those, worst in (
            ("useful copies, least", useful, min),
            ("unseen, largest", [row for row in cell if not row["copy"]], max),
        ):
            table.append(
                {
                    "crafted through": name,
                    "L2": cell[0]["L2"],
                    "of whom": what,
                    **{each: worst(row[each] for row in those) for each in SHARES.values()},
                }
            )
    return table


def decided(rows: Sequence[Row]) -> list[Row]:
    """For each way in and RAD: how many useful copies are found, and how many unseen networks claimed."""
    table: list[Row] = []
    for about in dict.fromkeys((row["crafted through"], row["served through"], row["RAD"]) for row in rows):
        cell = [row for row in rows if (row["crafted through"], row["served through"], row["RAD"]) == about]
        useful = [row for row in cell if row["copy"] and row["keeps"] >= USEFUL]
        for who, those in (("useful copies", useful), ("unseen", [row for row in cell if not row["copy"]])):
            said = [row["said"] for row in those]
            table.append(
                {
                    **dict(zip(("crafted through", "served through", "RAD"), about, strict=True)),
                    "of whom": who,
                    **{what: said.count(what) for what in ("derived", "independent", "inconclusive", "refused")},
                }
            )
    return table


def served() -> list[tuple[Made, Through, Asked, float]]:
    """Whom a real server is: every suspect behind each way in, asked with the fingerprint that was made for it."""
    asked = [Made((way,), SMALLER if way == HALF else MARGIN) for way in WAYS]
    return [(made, made.through[0], suspect, rad) for made in asked for rad in ASKED_RADS for suspect in suspects()]


def _make(run: Run) -> list[Path]:
    workshop = Workshop(run.store, run.data_dir)
    crafted = [made for made in fingerprints() if not run.present or run.store.has(made.key, ".fingerprint")]
    asked = [each for each in served() if not run.present or run.store.has(verdict_key(*each), ".verdict")]
    rows, verdicts = list[Row](), list[Row]()
    with progress("fingerprints behind a front door", len(crafted)) as advance:
        for made in crafted:
            rows += share_rows(made, workshop)
            advance(1)
    with progress("verdicts at a real server", len(asked)) as advance:
        for each in asked:
            verdicts.append(verdict_row(*each, workshop))
            advance(1)
    page, table, decisions = (run.out / f"front-door{end}" for end in (".md", ".parquet", "-served.parquet"))
    write_parquet(rows, table)
    write_parquet(verdicts, decisions)
    tables = {
        "Power and transfer (cost model)": curve(rows),
        "At a real server (measured)": decided(verdicts),
        "Each verdict (measured)": verdicts,
        "Each suspect (cost model)": rows,
    }
    parts = [f"## {title}\n\n{markdown(shown)}" for title, shown in tables.items()]
    write_bytes(page, ("# Behind a front door\n\n" + "\n".join(parts)).encode())
    return [page, table, decisions]


STUDY = Study(
    "front-door",
    "How far a fingerprint gets behind a service that re-encodes or resizes what it is sent.",
    lambda preset: [],
    _make,
    partial_runs=True,
)
