"""`study error-rates`: how often the test claims strangers and clears copies, over thousands of simulated suspects.

Nothing is trained and nothing is asked. A simulated suspect gives the times; matching, asking in turns, quiet times,
bets and decisions are the product's own (`exitprint.fingerprints.statistic.run`), so that the simulation cannot drift
from it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import getsource
from pathlib import Path

import numpy as np
from scipy.stats import beta as beta_distribution

from exitprint.evidence import betting, eprocess
from exitprint.files import write_bytes
from exitprint.fingerprints import statistic
from exitprint.fingerprints.statistic import Stream, Test, run
from exitprint.fingerprints.threshold import CAUTIOUS
from exitprint.progress import progress
from exitprint.timing import pairs, timings
from exitprint_studies.ours.recorded import (
    AT_DEFAULT,
    NEAREST,
    TIED,
    TIED_COPY,
    WITH_REFERENCE,
    WORST_COPY,
    Record,
)
from exitprint_studies.population.store import Store
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

RUNS = 10_000
LEVELS = (0.05, 1e-3)
BUDGET = 400
"""Most requests of a simulated run, besides the warm-up."""
GAP = 1e-3
"""Seconds between two exits."""
EXITS = 10
DECIDING = (statistic, eprocess, betting, pairs, timings)
"""What a row depends on besides this module."""
SIZES = (5, 10, 25, 100)
"""Samples in a half."""
LARGE = 200

Times = dict[str, np.ndarray]
Chances = Sequence[float] | np.ndarray
Ask = Callable[[str, int], float]


class Spent(Exception):  # noqa: N818
    """A simulated run has made all its requests."""


@dataclass(frozen=True)
class Case:
    """A kind of suspect.

    Attributes
    ----------
    name
        In words.
    claims, clears
        Whether it is within the null hypothesis of a claim, and of clearing.
    times
        Draws the seconds of each kind of input without noise, from a generator and the size of a half.
    path
        Makes what is seen of them, from a generator and the times.
    p0
        What a claim must beat.
    half
        Samples in each half.
    kind
        Of the fingerprint.
    """

    name: str
    claims: bool
    clears: bool
    times: Callable[[np.random.Generator, int], Times]
    path: Callable[[np.random.Generator, Times], Ask]
    p0: float = CAUTIOUS[0]
    half: int = 50
    kind: str = "contrast"


def halves(
    late: Chances, early: Chances, late_original: Chances, early_original: Chances
) -> Callable[[np.random.Generator, int], Times]:
    """Exits drawn with these probabilities, each for all ten exits, for each kind of input."""
    chances = {"late": late, "early": early, "late original": late_original, "early original": early_original}

    def draw(rng: np.random.Generator, half: int) -> Times:
        return {kind: GAP * (1 + rng.choice(EXITS, size=half, p=chance)) for kind, chance in chances.items()}

    return draw


def shares(crafted: float, nature: float) -> Callable[[np.random.Generator, int], Times]:
    """Times of which a late sample's is the longer one in this share of pairs, an early original's in that one."""

    def pair(rng: np.random.Generator, half: int, share: float) -> tuple[np.ndarray, np.ndarray]:
        # one of two uniform times, moved by d, is the longer one with probability 1 - (1 - d)^2 / 2
        d = 1 - np.sqrt(2 * (1 - max(share, 1 - share)))
        slow, quick = rng.random(half) + d, rng.random(half)
        return (slow, quick) if share >= 0.5 else (quick, slow)

    def draw(rng: np.random.Generator, half: int) -> Times:
        (late, early), (early_original, late_original) = pair(rng, half, crafted), pair(rng, half, nature)
        times = {"late": late, "early": early, "late original": late_original, "early original": early_original}
        return {kind: GAP * (1 + EXITS * seconds) for kind, seconds in times.items()}

    return draw


def spread(low: int, high: int) -> list[float]:
    """Every exit from `low` to `high`, counted from 1, alike."""
    return [1 / (high - low + 1) if low <= exit <= high else 0.0 for exit in range(1, EXITS + 1)]


def mixed(share: float, one: Sequence[float], other: Sequence[float]) -> list[float]:
    """The first distribution with this share, the second otherwise."""
    return [share * a + (1 - share) * b for a, b in zip(one, other, strict=True)]


QUICK, SLOW = spread(1, 4), spread(5, 10)
LAST, FIRST = spread(10, 10), spread(1, 1)
STRANGER = halves(mixed(0.3, SLOW, QUICK), mixed(0.3, QUICK, SLOW), QUICK, SLOW)
"""A network of other origin whose times follow a third of what was crafted."""
COPY = halves(mixed(0.95, LAST, QUICK), mixed(0.95, FIRST, SLOW), QUICK, SLOW)
"""A copy on which one sample in twenty has lost what was put into it."""
WORN = halves(mixed(0.7, LAST, QUICK), mixed(0.7, FIRST, SLOW), QUICK, SLOW)
"""A copy on which three in ten have."""
COINS = halves(spread(1, 10), spread(1, 10), spread(1, 10), spread(1, 10))


def plain(rng: np.random.Generator, times: Times) -> Ask:
    """A clock without noise."""
    return lambda kind, index: float(times[kind][index])


def noise(draw: Callable[[np.random.Generator], float]) -> Callable[[np.random.Generator, Times], Ask]:
    """A new delay for each request."""

    def path(rng: np.random.Generator, times: Times) -> Ask:
        return lambda kind, index: float(times[kind][index]) + draw(rng)

    return path


def ticking(tick: float, jitter: float = 2e-4) -> Callable[[np.random.Generator, Times], Ask]:
    """A clock that ticks."""

    def path(rng: np.random.Generator, times: Times) -> Ask:
        return lambda kind, index: tick * np.floor((times[kind][index] + rng.exponential(jitter)) / tick)

    return path


def drifting(rng: np.random.Generator, times: Times) -> Ask:
    """A load that wanders, and a server that becomes four times as slow within the run."""
    load, asked = [0.0], [0]

    def ask(kind: str, index: int) -> float:
        asked[0] += 1
        load[0] = 0.98 * load[0] + 0.2 * rng.standard_normal()
        return float(times[kind][index] * (1 + 3 * asked[0] / BUDGET) * np.exp(0.3 * load[0]))

    return ask


def cached(rng: np.random.Generator, times: Times) -> Ask:
    """A cache in front: an input's second answer comes at once."""
    known: set[tuple[str, int]] = set()

    def ask(kind: str, index: int) -> float:
        if (kind, index) in known:
            return float(rng.exponential(1e-4))
        known.add((kind, index))
        return float(times[kind][index] + rng.exponential(1e-4))

    return ask


def delayed(gaps: float) -> Callable[[np.random.Generator, Times], Ask]:
    """A delay that belongs to the image, uniform over so many gaps between exits, the same whenever it is asked."""

    def path(rng: np.random.Generator, times: Times) -> Ask:
        own = {kind: seconds + rng.uniform(0, gaps * GAP, len(seconds)) for kind, seconds in times.items()}
        return lambda kind, index: float(own[kind][index] + rng.exponential(1e-5))

    return path


def recorded(record: Record) -> Callable[[np.random.Generator, int], Times]:
    """Exits drawn from those that images were seen to leave at."""
    chances = [np.array([*counts, 0]) / sum(counts) for counts in record]
    return halves(*chances)


def rare_last(share: float, exit: int) -> Callable[[np.random.Generator, int], Times]:
    """The paper's kind: samples leave at this exit, and this share of ordinary images takes the last one."""

    def draw(rng: np.random.Generator, half: int) -> Times:
        ordinary = [0.58 - share, *[0.0] * 7, 0.42, share]
        return {
            "sample": np.full(2 * half, GAP * exit),
            "original": GAP * (1 + rng.choice(EXITS, size=2 * half, p=ordinary)),
        }

    return draw


def gaussian(rng: np.random.Generator) -> float:
    """As large as the network's own differences."""
    return max(0.0, float(rng.normal(15 * GAP, 5 * GAP)))


def heavy(rng: np.random.Generator) -> float:
    """A Pareto delay with a tail of 2.5."""
    return float(rng.pareto(2.5)) * 2 * GAP


def swapped(times: Callable[[np.random.Generator, int], Times]) -> Callable[[np.random.Generator, int], Times]:
    """A file in which nothing was crafted and the halves are swapped: samples are the originals."""

    def draw(rng: np.random.Generator, half: int) -> Times:
        drawn = times(rng, half)
        late, early = drawn["early original"], drawn["late original"]
        return {"late": late, "early": early, "late original": late, "early original": early}

    return draw


def cases() -> list[Case]:
    """Every kind of suspect in the table."""
    found = [
        Case("coins: no image differs from another", True, True, COINS, plain),
        Case("benign images against themselves, noise", True, True, COINS, noise(gaussian)),
        Case("nothing crafted, halves swapped", True, False, swapped(STRANGER), plain),
        Case("stranger", True, False, STRANGER, plain),
        Case("stranger, Gaussian noise", True, False, STRANGER, noise(gaussian)),
        Case("stranger, heavy tails", True, False, STRANGER, noise(heavy)),
        Case("stranger, drift", True, False, STRANGER, drifting),
        Case("stranger, cache", True, False, STRANGER, cached),
        *(Case(f"stranger, clock ticks in {tick} ms", True, False, STRANGER, ticking(tick / 1e3)) for tick in (1, 16)),
        *(Case(f"stranger, delay by image of {g} gaps", True, False, STRANGER, delayed(g)) for g in (2, 4, 10, 20)),
        *(
            Case(f"stranger just at p0 = {p0:g}, {2 * half} samples", True, False, shares(p0, 0.97), plain, p0, half)
            for p0 in (0.5, 0.65, 0.8, 0.95)
            for half in ((50,) if p0 == 0.65 else (*SIZES, LARGE) if p0 == 0.8 else SIZES)
        ),
        *(
            Case(f"independent as recorded: {name}", True, False, recorded(record), path, p0, half)
            for name, record, path, p0, half in (
                ("the nearest of all", NEAREST, plain, CAUTIOUS[0], LARGE),
                ("the nearest of all, Gaussian noise", NEAREST, noise(gaussian), CAUTIOUS[0], LARGE),
                ("the nearest of all, delay by image of 4 gaps", NEAREST, delayed(4), CAUTIOUS[0], LARGE),
                ("the nearest at default settings", AT_DEFAULT, plain, CAUTIOUS[0], 100),
                ("nearly all run through", TIED, plain, CAUTIOUS[0], 100),
                ("the nearest with one reference", WITH_REFERENCE, plain, CAUTIOUS[1], 100),
            )
        ),
        *(
            Case(
                f"paper's kind, {share:.0%} at the last exit, samples one earlier",
                True,
                False,
                rare_last(share, EXITS - 1),
                plain,
                kind="paper",
            )
            for share in (0.01, 0.02, 0.05)
        ),
        *(
            Case(
                f"paper's kind, copy, {share:.0%} at the last exit as its samples",
                False,
                True,
                rare_last(share, EXITS),
                plain,
                kind="paper",
            )
            for share in (0.01, 0.02, 0.05)
        ),
        Case("copy", False, True, COPY, plain),
        Case("copy, p0 = 0.65", False, True, COPY, plain, CAUTIOUS[2]),
        Case("copy, Gaussian noise", False, True, COPY, noise(gaussian)),
        Case("copy, heavy tails", False, True, COPY, noise(heavy)),
        Case("copy, drift", False, True, COPY, drifting),
        Case("copy, cache", False, True, COPY, cached),
        *(Case(f"copy, clock ticks in {tick} ms", False, True, COPY, ticking(tick / 1e3)) for tick in (1, 16)),
        *(Case(f"copy, delay by image of {g} gaps", False, True, COPY, delayed(g)) for g in (2, 4, 10, 20)),
        Case("copy as recorded: the least at default settings", False, True, recorded(WORST_COPY), plain, half=100),
        Case("copy as recorded: nearly all run through", False, True, recorded(TIED_COPY), plain, half=100),
        Case("worn copy", False, True, WORN, plain),
        Case("worn copy, Gaussian noise", False, True, WORN, noise(gaussian)),
        Case("worn copy, delay by image of 10 gaps", False, True, WORN, delayed(10)),
        Case("crafted samples just at one half", False, True, shares(0.5, 0.97), plain),
    ]
    return found


BEYOND = Case(
    "beyond: noise that hides small differences and not large ones",
    False,
    False,
    halves(mixed(0.4, LAST, spread(1, 1)), spread(2, 2), QUICK, SLOW),
    noise(lambda rng: float(rng.uniform(0, 4 * GAP))),
    CAUTIOUS[2],
)
"""A stranger on which 40 % of the late samples are far slower and 60 % a little quicker: noise turns the 60 % into
coins.
The share of pairs as seen is 0.65 then, at the threshold, where without noise it is 0.40."""


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


def every() -> list[Case]:
    """All cases, that beyond the promise last."""
    return [*cases(), BEYOND]


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
