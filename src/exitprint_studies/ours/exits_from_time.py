"""`study exits-from-time`: how well exits are found in runtimes of which the truth is known.

One table is of a simulated clock: an input's runtime is the cost of its exit plus noise. The other is of measured
runtimes: networks of ours in this process, and behind KServe v2 on loopback, asked as `probe` asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from exitprint.files import write_bytes
from exitprint.networks import architecture, save_network
from exitprint.serving import running
from exitprint.suspects import InProcess, KServeSuspect
from exitprint.timing.exits import METHODS, estimate_exits
from exitprint.timing.exits.simulated import POPULATIONS, Clock
from exitprint.timing.inquiry import inquire
from exitprint.training import spread_policy
from exitprint_studies.ours.victims import KEEP, declared, is_at_hand
from exitprint_studies.population.declare import Source, Spec, Trained, realise
from exitprint_studies.population.jobs import realise_all
from exitprint_studies.population.store import Store
from exitprint_studies.study import Preset, Run, Study
from exitprint_studies.tables import markdown, write_parquet

USED = 3
"""Inputs that an exit must have had to be counted: one or two times could as well be strays."""


def table(seed: int = 0) -> list[dict[str, Any]]:
    """One row for each method and setting; `seconds` is the processor time that the estimate took on this machine.

    `used` is the number of exits that at least three inputs left at, `found` what the method says of it.
    """
    rows = []
    for number, (clock, inputs, repeats) in enumerate(_settings()):
        seconds, left_at = clock.draw(inputs, repeats, np.random.default_rng([seed, number]))
        for method in METHODS:
            started = time.process_time()
            estimate = estimate_exits(seconds, method, seed)
            took = time.process_time() - started
            rows.append(
                {
                    "method": method,
                    "n": inputs,
                    "exits": clock.num_exits,
                    "ratio": clock.ratio,
                    "repeats": repeats,
                    "populations": clock.populations,
                    "uneven": clock.uneven,
                    "used": int((np.bincount(left_at) >= USED).sum()),
                    "found": estimate.count,
                    "certainty": estimate.certainty,
                    "ARI": float(adjusted_rand_score(left_at, estimate.exits)),
                    "seconds": took,
                }
            )
    return rows


def _settings() -> Iterator[tuple[Clock, int, int]]:
    for exits_, ratio, repeats in ((10, 10, 1), (28, 10, 1), (10, 5, 1), (10, 5, 5)):
        for populations in POPULATIONS:
            for uneven in (0.0, 0.3):
                yield Clock(exits_, ratio, populations, uneven), 2000, repeats
    yield Clock(28, 10), 500, 1
    yield Clock(28, 5), 2000, 1
    yield Clock(28, 5), 2000, 5
    yield Clock(1, 10), 2000, 1
    yield Clock(10, 10), 10_000, 1
    yield Clock(28, 10, "dirichlet", 0.3), 10_000, 1


@dataclass(frozen=True)
class Subject:
    """A network whose runtimes are measured.

    Attributes
    ----------
    name
        In the table.
    network
        How it is trained.
    images
        How many test images it is asked with.
    repeats
        How often each at most, in process and over HTTP.
    amplification
        How often an image is sent in one request over HTTP: a path's noise does not grow with it.
    """

    name: str
    network: Trained
    images: int
    repeats: tuple[int, int]
    amplification: int


def subjects() -> list[Subject]:
    """The networks that are timed; those whose data is not there are left out."""
    digits, cifar = Source(name="digits", limit=500), Source(name="cifar10", limit=20_000)
    small = architecture("resnet14", (1, 8, 8), 10, width=8)
    large = architecture("resnet20", (3, 32, 32), 10, width=8)
    return [
        Subject("digits, ResNet-14", declared(small, digits), images=500, repeats=(16, 48), amplification=64),
        Subject("CIFAR-10, ResNet-20", declared(large, cifar), images=500, repeats=(16, 32), amplification=16),
    ]


def measured(subject: Subject, store: Store, data_dir: Path | None, seed: int = 0) -> list[dict[str, Any]]:
    """One row for each way to ask: in this process, and over KServe v2 on loopback."""
    network = realise(subject.network, store, data_dir)
    data = subject.network.data.load(data_dir)
    network.policy = spread_policy(network, data.calibration, KEEP)
    x = data.test.x[: subject.images]
    truth = network.predict(x).exits.numpy()
    in_process = inquire(InProcess(network), x, repeats=subject.repeats[0], seed=seed)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "network.safetensors"
        save_network(network, file)
        with running(file) as url:
            suspect = KServeSuspect(url, amplification=subject.amplification)
            served = inquire(suspect, x, repeats=subject.repeats[1], seed=seed)
    ways = {"in process": (1, in_process), "KServe v2 on loopback": (subject.amplification, served)}
    return [
        {
            "network": subject.name,
            "asked": way,
            "images": len(truth),
            "amplification": amplification,
            "repeats": inquiry.seconds.shape[1],
            "used": int((np.bincount(truth) >= USED).sum()),
            "found": inquiry.estimate.count,
            "ARI": float(adjusted_rand_score(truth, inquiry.estimate.exits)),
            "gap_ms": 1e3 * float(np.median(np.diff(inquiry.estimate.centres))) if inquiry.estimate.count > 1 else None,
            "ended": inquiry.end,
        }
        for way, (amplification, inquiry) in ways.items()
    ]


GOALS = {
    "ratio 10, one time each: number right, ARI at least 0.99": (10.0, 1, 0, 0.99),
    "10 exits at ratio 5, five times each: number within 1, ARI at least 0.90": (5.0, 5, 1, 0.90),
}
"""What must be shown: ratio, repeats, tolerated error in the number, least ARI; of even gaps and 2,000 inputs."""


def _against_goals(rows: list[dict[str, Any]]) -> str:
    lines = []
    for name, (ratio, repeats, error, least) in GOALS.items():
        these = [
            row
            for row in rows
            if row["method"] == "blocks"
            and (row["ratio"], row["repeats"], row["n"]) == (ratio, repeats, 2000)
            and row["exits"] in (10, 28)
            and (row["exits"] == 10 or repeats == 1)
        ]
        met = sum(abs(row["found"] - row["used"]) <= error and row["ARI"] >= least for row in these)
        lines.append(f"- blocks, {name}: met in {met} of {len(these)} settings.\n")
    return "".join(lines)


def _make(run: Run) -> list[Path]:
    at_hand = [subject for subject in subjects() if is_at_hand(subject.network.data.name, run.data_dir)]
    realise_all([subject.network for subject in at_hand], run.store, run.data_dir, run.pool)
    timed = [row for subject in at_hand for row in measured(subject, run.store, run.data_dir)]
    rows = table()
    page, file, times = (run.out / f"exits-from-time{end}" for end in (".md", ".parquet", "-measured.parquet"))
    write_parquet(rows, file)
    write_parquet(timed, times)
    parts = (
        "# Exits out of runtimes\n",
        "## Measured runtimes\n",
        markdown(timed),
        "## Simulated clock\n",
        _against_goals(rows),
        markdown(rows),
    )
    write_bytes(page, "\n".join(parts).encode())
    return [page, file, times]


def _networks(preset: Preset) -> list[Spec]:
    return [subject.network for subject in subjects()]


STUDY = Study("exits-from-time", "How well exits are found in runtimes.", _networks, _make)
