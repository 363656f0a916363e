"""`study error-rates`: how often the test claims strangers and clears copies, over thousands of simulated suspects.

Nothing is trained and nothing is asked. A simulated suspect gives the times; matching, asking in turns, quiet times,
bets and decisions are the product's own (`exitprint.fingerprints.statistic.run`), so that the simulation cannot drift
from it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from inspect import getsource
from pathlib import Path

import numpy as np
from scipy.stats import beta as beta_distribution

from exitprint.evidence import betting, eprocess
from exitprint.files import write_bytes
from exitprint.fingerprints import statistic
from exitprint.fingerprints.statistic import Stream, Test, run
from exitprint.progress import progress
from exitprint.timing import pairs, timings
from exitprint_studies.ours import simulated_paths, simulated_suspects, simulated_times
from exitprint_studies.ours.simulated_paths import BUDGET, plain
from exitprint_studies.ours.simulated_suspects import Case, every
from exitprint_studies.population.store import Store
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

RUNS = 10_000
LEVELS = (0.05, 1e-3)
DECIDING = (statistic, eprocess, betting, pairs, timings, simulated_times, simulated_paths, simulated_suspects)
"""What a row depends on besides this module."""


class Spent(Exception):  # noqa: N818
    """A simulated run has made all its requests."""


def outcome(case: Case, level: float, seed: int) -> tuple[str, int]:
    """The decision of one run, and its requests."""
    rng = np.random.default_rng([seed, 7])
    ask, made = case.path(rng, case.times(rng, case.half)), [0]
    parts: tuple[Stream, ...]
    if case.kind == "paper":
        parts = (Stream("crafted", "sample", "original", (2 * case.half, 2 * case.half), same=True),)
    else:
        size = (case.half, case.half)
        parts = (Stream("nature", "early original", "late original", size), Stream("crafted", "late", "early", size))
    test = Test(case.p0, level, level, nature=len(parts) > 1)

    def counted(kind: str, index: int) -> float:
        if made[0] == BUDGET:
            raise Spent
        made[0] += 1
        return ask(kind, index)

    try:
        for _ in run(parts, test, counted, seed, noisy=lambda: case.path is not plain):
            pass
    except Spent:
        pass
    return test.decision, made[0]


def outcomes(number: int, level: float, start: int, runs: int) -> list[tuple[str, int]]:
    """Several runs of a case, by its number in `every`."""
    case = every()[number]
    return [outcome(case, level, seed) for seed in range(start, start + runs)]


def upper(found: int, runs: int) -> float:
    """Upper end of the exact (Clopper-Pearson) one-sided 95 % interval of a share."""
    return 1.0 if found == runs else float(beta_distribution.ppf(0.95, found + 1, runs - found))


def rows_of(store: Store, runs: int = RUNS) -> list[Row]:
    """One row for each case and level, from the store or simulated now."""
    todo = [(number, level) for number in range(len(every())) for level in LEVELS]
    table = list[Row]()
    with progress("simulated cases", len(todo)) as advance:
        for number, level in todo:
            table.append(row_of(store, number, level, runs))
            advance(1)
    return table


def row_of(store: Store, number: int, level: float, runs: int) -> Row:
    """One row; a row of another version of the code is not found."""
    case = every()[number]

    def make(to: Path) -> None:
        write_bytes(to, json.dumps(_row(case, level, outcomes(number, level, 0, runs))).encode())

    code = [hashlib.sha256(getsource(module).encode()).hexdigest() for module in (sys.modules[__name__], *DECIDING)]
    key = {"simulated": case.name, "number": number, "level": level, "runs": runs, "code": code}
    row: Row = json.loads(store.get(key, make, ".row").read_bytes())
    return row


def _row(case: Case, level: float, found: Sequence[tuple[str, int]]) -> Row:
    said = [decision for decision, _ in found]
    derived, independent = said.count("derived"), said.count("independent")
    decided = [requests for decision, requests in found if decision != "inconclusive"]
    return {
        "suspect": case.name,
        "p0": case.p0,
        "samples": 2 * case.half,
        "alpha = beta": level,
        "runs": len(found),
        "derived": derived / len(found),
        "at most": upper(derived, len(found)),
        "independent": independent / len(found),
        "at most ": upper(independent, len(found)),
        "requests, median": int(np.median(decided)) if decided else None,
        "promised": " and ".join(["no claim"] * case.claims + ["not cleared"] * case.clears or ["nothing"]),
        "kept": not (case.claims and derived > level * len(found) + 3 * np.sqrt(level * len(found)))
        and not (case.clears and independent > level * len(found) + 3 * np.sqrt(level * len(found))),
    }


def page_of(rows: Sequence[Row]) -> str:
    """The table as Markdown."""
    broken = [row["suspect"] for row in rows if not row["kept"]]
    summary = (
        f"Not kept: {', '.join(broken)}."
        if broken
        else "No row exceeds its promise by more than chance explains (three standard deviations)."
    )
    return "\n".join(
        [
            "# Error rates\n",
            "*Command:* `exitprint study error-rates --out DIR`. Nothing is trained or asked: suspects are simulated, "
            "and matched, asked, timed and judged by the product's own code (`exitprint.fingerprints.statistic.run`). "
            f"A run may make {BUDGET} requests; warm-up comes on top. *As recorded*: exits are drawn from those at "
            "which images left the third party's networks ([One maker's networks](same-maker.md)).\n",
            f"{summary} *derived* and *independent* are shares of the runs, *at most* is the upper end of an exact "
            "one-sided 95 % interval. What is *promised* of a row has to stay at or below alpha = beta. The last rows, "
            "*beyond*, are outside the promise, which the verdict's assumptions say.\n",
            markdown(rows, digits=4),
        ]
    )


def _make(run_: Run) -> list[Path]:
    rows = rows_of(run_.store)
    page, file = run_.out / "error-rates.md", run_.out / "error-rates.parquet"
    write_parquet(rows, file)
    write_bytes(page, page_of(rows).encode())
    return [page, file]


STUDY = Study("error-rates", "How often verification errs, simulated by its own code.", lambda preset: [], _make)
