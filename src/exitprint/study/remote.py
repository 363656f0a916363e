"""`study remote`: what verification at an address costs and how often it errs, with jitter and hostile operators.

Error rates over thousands of verdicts are *computed*: the same sequential test on the cost model's times, scaled so
that the target's full run takes 10 ms, with jitter drawn as the hostile server draws it. Verdicts on every network
behind a path with jitter, and against every hostile operator, are *measured* from beginning to end, through real
requests to a server in another process. The two are never in one table.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.fingerprints import Fingerprint, contrast_fingerprint, load_fingerprint, save_fingerprint
from exitprint.fingerprints.score import auc
from exitprint.fingerprints.sequential import BUDGET, run_digest, sign_test, verify_sequentially
from exitprint.networks import MultiExitNetwork, exit_flops, save_network
from exitprint.progress import progress
from exitprint.serving.hostile import PARETO_DEVIATION, PARETO_SHAPE, TROUBLES, misbehaving
from exitprint.study.contrast import LAPTOP_DATA, population
from exitprint.study.jobs import realise_all
from exitprint.study.population import Member, Role, Source, realise, source
from exitprint.study.store import Store
from exitprint.study.study import Run, Study
from exitprint.study.tables import markdown, write_parquet
from exitprint.suspects import CostModel, KServeSuspect
from exitprint.suspects.in_process import FLOPS_PER_SECOND
from exitprint.timing.sequential import SignTest
from exitprint.timing.simulation import Noise, Outcomes, simulate, simulate_times
from exitprint.training import calibrated_policy

Row = dict[str, Any]
CHOSEN = (
    "target", "retrained 1", "fine-tuned 2", "pruned 0.2", "independent 0", "independent 1", "independent 2",
)  # fmt: skip
FULL_RUN = 0.01
"""Seconds of the target's full run in what is computed."""
COPIES = 16
"""An image is so many times in each measured request: then a full run is long beside what HTTP costs."""
SAMPLES = 100
LOOSER_RAD = 15.0
ERROR = 1e-3
VERDICTS = 1000
RUNS = 10_000
REPEATS = (1, 4, 16, 64)
"""How often each round asks an input, as `verify_sequentially` does."""
LEVELS = (0.05, 1e-3)
BEFORE = 17
"""Requests for metadata, for the cheapest request and of the warm-up, before the first pair."""
OPERATOR_BUDGET = 400
PATIENCE = 5.0


@dataclass(frozen=True)
class Jitter:
    """Delay that the path adds to a request: of which kind, with which standard deviation in milliseconds."""

    kind: str
    milliseconds: float
    amplification: int = 1

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Seconds of delay, as the hostile server adds them."""
        s = self.milliseconds / 1000
        if self.kind == "heavy-tail":
            return rng.pareto(PARETO_SHAPE, shape) * s / PARETO_DEVIATION
        return np.maximum(0, rng.normal(3 * s, s, shape))


JITTERS = (
    Jitter("jitter", 0),
    Jitter("jitter", 1),
    Jitter("jitter", 5),
    Jitter("jitter", 20),
    Jitter("jitter", 20, amplification=8),
    Jitter("heavy-tail", 5),
)
SERVED = (Jitter("jitter", 1),)


@dataclass(frozen=True)
class Heard:
    """Seconds that a network takes for each input on a computed clock.

    Attributes
    ----------
    late, early
        Of the fingerprint's halves, shape (inputs,).
    benign
        Of its originals, shape (inputs,).
    """

    late: np.ndarray
    early: np.ndarray
    benign: np.ndarray

    @property
    def auc(self) -> float:
        """Share of pairs whose late input takes longer, ties as one half."""
        return auc(self.late, self.early)


def hear(network: MultiExitNetwork, fingerprint: Fingerprint, scale: float) -> Heard:
    """A network's times on the cost model, times `scale`."""
    suspect = CostModel(network)
    halves = (fingerprint.x[fingerprint.late], fingerprint.x[~fingerprint.late], fingerprint.benign)
    return Heard(*(scale * suspect.ask(x).seconds for x in halves))


def remote_members(data: Source = LAPTOP_DATA) -> list[Member]:
    """The target, three stolen copies and three independents, ResNet-14s calibrated for RAD=5."""
    return [member for member in population("resnet", data) if member.name in CHOSEN]


def remote_fingerprint(members: Sequence[Member], store: Store, data_dir: Path | None = None) -> Fingerprint:
    """The target's contrast fingerprint, for its own policy (RAD=5) and a looser one; from the store where it is."""
    target = members[0].network

    def make(path: Path) -> None:
        network = realise(target, store, data_dir)
        images = source(target).load(data_dir)
        policies = [network.policy, calibrated_policy(network, images.calibration, LOOSER_RAD)]
        save_fingerprint(contrast_fingerprint(network, images.test, policies, SAMPLES, seed=0), path)

    return load_fingerprint(
        store.get({"contrast": target.key, "version": 2, "samples": SAMPLES, "looser": LOOSER_RAD}, make)
    )


def study_remote(
    members: Sequence[Member],
    store: Store,
    data_dir: Path | None = None,
    verdicts: int = VERDICTS,
    runs: int = RUNS,
    seed: int = 0,
) -> dict[str, list[Row]]:
    """All tables of the study; networks and fingerprint are made first where the store lacks them.

    Measuring takes about ten minutes. What was measured on this machine is kept in the store too, and not measured
    again.

    Parameters
    ----------
    members
        The target first, then stolen copies and independents; see `remote_members`.
    store, data_dir
        As in `realise`.
    verdicts
        How many are computed for each network and each jitter.
    runs
        Tests in each row of the null table.
    seed
        Of everything that is drawn.

    Returns
    -------
    dict
        Rows by table: ``networks``, ``jitter``, ``null``, ``served`` and ``operators``.
    """
    fingerprint = remote_fingerprint(members, store, data_dir)
    measured = Measured(store, run_digest(fingerprint, subject="study", alpha=0, beta=0, seed=seed))
    networks = {member.name: realise(member.network, store, data_dir) for member in members}
    scale = FULL_RUN * FLOPS_PER_SECOND / exit_flops(networks[members[0].name])[-1]
    heard = {name: hear(network, fingerprint, scale) for name, network in networks.items()}
    with TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for name, network in networks.items():
            files[name] = Path(folder) / f"{len(files)}.safetensors"
            save_network(network, files[name])
        served = served_rows(members, files, fingerprint, measured, seed)
        operators = operator_rows(members, files, fingerprint, measured, seed)
    return {
        "networks": [network_row(member, heard[member.name]) for member in members],
        "jitter": jitter_rows(members, heard, sign_test(fingerprint.auc_threshold, ERROR, ERROR), verdicts, seed),
        "null": null_rows(members, heard, runs, seed),
        "served": served,
        "operators": operators,
    }


@dataclass(frozen=True)
class Measured:
    """What was measured on this machine with one fingerprint, found again in a store."""

    store: Store
    fingerprint: str

    def row(self, member: Member, measure: Callable[[], Row], **what: Any) -> Row:
        """One row about a network, in plain JSON."""

        def make(path: Path) -> None:
            write_bytes(path, json.dumps(measure()).encode())

        row: Row = json.loads(self.store.get(self._key(member, **what), make, ".row").read_bytes())
        return row

    def _key(self, member: Member, **what: Any) -> dict[str, Any]:
        return {
            "measured on": platform.node(),
            "copies": COPIES,
            "fingerprint": self.fingerprint,
            "network": member.network.key,
            **what,
        }


def network_row(member: Member, heard: Heard) -> Row:
    """What a network is, and how its halves compare on the computed clock."""
    return {
        "network": member.name,
        "truth": member.role,
        "late, ms": 1e3 * float(heard.late.mean()),
        "early, ms": 1e3 * float(heard.early.mean()),
        "originals, ms": 1e3 * float(heard.benign.mean()),
        "AUC": heard.auc,
    }


def jitter_rows(
    members: Sequence[Member], heard: Mapping[str, Heard], test: SignTest, verdicts: int = VERDICTS, seed: int = 0
) -> list[Row]:
    """For each jitter and each truth: how computed verdicts come out and what they cost, the warm-up included."""
    rows = []
    with progress("computed verdicts with jitter", len(JITTERS) * len(members)) as advance:
        for jitter in JITTERS:
            outcomes: dict[bool, list[Outcomes]] = {True: [], False: []}
            for number, member in enumerate(members):
                late, early = (
                    np.tile(jitter.amplification * times, (verdicts, 1))
                    for times in (heard[member.name].late, heard[member.name].early)
                )
                drawn = simulate_times(
                    late,
                    early,
                    partial(_noise, jitter),
                    test=test,
                    rounds=len(REPEATS),
                    repeats=REPEATS,
                    budget=BUDGET - BEFORE,
                    seed=seed + number,
                )
                outcomes[member.role != "independent"].append(drawn)
                advance(1)
            rows += [_outcome(jitter, drawn, copies) for copies, drawn in outcomes.items()]
    return rows


def _outcome(jitter: Jitter, drawn: Sequence[Outcomes], copies: bool) -> Row:
    decisions = np.concatenate([each.decision for each in drawn])
    requests = np.concatenate([each.requests for each in drawn]) + BEFORE
    right = 1 if copies else -1
    return {
        **asdict(jitter),
        "truth": "target and stolen" if copies else "independent",
        "verdicts": len(decisions),
        "right, %": 100 * float((decisions == right).mean()),
        "wrong": int((decisions == -right).sum()),
        "inconclusive": int((decisions == 0).sum()),
        "requests, median": int(np.median(requests)),
        "requests, 95 %": int(np.quantile(requests, 0.95)),
    }


def served_rows(
    members: Sequence[Member],
    files: Mapping[str, Path],
    fingerprint: Fingerprint,
    measured: Measured,
    seed: int = 0,
) -> list[Row]:
    """One verdict on each network behind each of `SERVED`, measured from beginning to end."""
    rows = []
    with progress("measured verdicts with jitter", len(SERVED) * len(members)) as advance:
        for jitter in SERVED:
            for member in members:
                measure = partial(
                    _under, files[member.name], jitter.kind, jitter.milliseconds, fingerprint, member.role, BUDGET, seed
                )
                found = measured.row(member, measure, **asdict(jitter), seed=seed)
                rows.append({"standard deviation, ms": jitter.milliseconds, "network": member.name, **found})
                advance(1)
    return rows


def null_rows(members: Sequence[Member], heard: Mapping[str, Heard], runs: int = RUNS, seed: int = 0) -> list[Row]:
    """Share of `derived` where it would be false, over many runs that each stop at their first decision.

    Coins; benign images against themselves, dealt anew in each run; and independents' own times, dealt anew.
    """
    rng = np.random.default_rng(seed)
    independents = [heard[member.name] for member in members if member.role == "independent"]
    one = independents[0].benign
    dealt = rng.permuted(np.tile(one, (runs, 1)), axis=1)
    half = len(one) // 2
    which = rng.integers(len(independents), size=runs)
    late, early = (np.stack([getattr(each, name) for each in independents])[which] for name in ("late", "early"))
    cases: list[tuple[str, Callable[[SignTest], Outcomes]]] = [
        ("coins", lambda test: simulate(0.5, 0.0, test=test, runs=runs, seed=seed)),
    ]
    for jitter in (Jitter("jitter", 0), Jitter("jitter", 1), Jitter("jitter", 5), Jitter("heavy-tail", 5)):
        noise = partial(_noise, jitter)
        label = f"{'heavy-tailed ' if jitter.kind == 'heavy-tail' else ''}{jitter.milliseconds:g} ms"
        cases += [
            (
                f"benign against themselves, {label}",
                partial(_simulated, dealt[:, :half], dealt[:, half : 2 * half], noise, seed),
            ),
            (f"independents, {label}", partial(_simulated, late, early, noise, seed)),
        ]
    rows = []
    with progress("tests under the null", len(cases) * len(LEVELS)) as advance:
        for name, run in cases:
            for alpha in LEVELS:
                outcomes = run(SignTest(alpha=alpha, beta=1e-12))
                rows.append({"null": name, "alpha": alpha, "runs": runs, "derived": outcomes.derived})
                advance(1)
    return rows


def _simulated(late: np.ndarray, early: np.ndarray, noise: Noise, seed: int, test: SignTest) -> Outcomes:
    return simulate_times(late, early, noise, test=test, rounds=2, seed=seed)


def _noise(jitter: Jitter, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return jitter.draw(rng, shape)


def operator_rows(
    members: Sequence[Member],
    files: Mapping[str, Path],
    fingerprint: Fingerprint,
    measured: Measured,
    seed: int = 0,
) -> list[Row]:
    """Each hostile operator against a stolen copy and an independent, each verdict measured from beginning to end."""
    rows = []
    chosen = [next(m for m in members if m.role == role) for role in ("stolen", "independent")]
    with progress("hostile operators", len(TROUBLES) * len(chosen)) as advance:
        for name, trouble in TROUBLES.items():
            for member in chosen:
                does = trouble.does.format(amount=trouble.amount)
                measure = partial(
                    _under, files[member.name], name, None, fingerprint, member.role, OPERATOR_BUDGET, seed
                )
                rows.append(
                    {
                        "operator": does,
                        "network": member.name,
                        **measured.row(member, measure, operator=does, seed=seed),
                    }
                )
                advance(1)
    return rows


def _under(
    file: Path, trouble: str, amount: float | None, fingerprint: Fingerprint, truth: Role, budget: int, seed: int
) -> Row:
    right = "independent" if truth == "independent" else "derived"
    start = perf_counter()
    with misbehaving(file, trouble, amount, seed=seed) as url:
        suspect = KServeSuspect(url, amplification=COPIES, timeout=PATIENCE, patience=PATIENCE)
        try:
            verdict = verify_sequentially(fingerprint, suspect, budget=budget, seed=seed)
            decision: str = verdict.decision
            pairs_right: float | None = verdict.value if right == "derived" else 1 - verdict.value
            requests, why = verdict.requests, verdict.reason
        except ExitprintError as error:
            decision, pairs_right, requests, why = "error", None, suspect.requests, str(error)
    return {
        "verdict": decision,
        "wrong": decision not in (right, "inconclusive", "error"),
        "pairs right": pairs_right,
        "requests": requests,
        "seconds": perf_counter() - start,
        "why": why,
    }


def remote_page(tables: Mapping[str, Sequence[Row]]) -> str:
    """The tables of `study_remote` as Markdown."""
    parts = [
        "# Verification at an address\n",
        f"Alpha and beta are 0.001, the budget is {BUDGET:,} requests. *Computed*: the test on the cost model's times, "
        f"scaled so that the target's full run takes {1e3 * FULL_RUN:g} ms, with jitter drawn; amplification takes the "
        "network so many times as long. *Measured*: real requests from beginning to end, to a server in another "
        "process; "
        f"an image is {COPIES} times in each.\n",
        "## Networks, computed\n",
        markdown(tables["networks"]),
        "Mean times. AUC: share of pairs whose late image takes longer.\n",
        "## Requests and errors with jitter, computed\n",
        f"Requests include the {BEFORE} of the warm-up.\n",
        markdown(tables["jitter"], digits=1),
        "## Under the null hypothesis, computed\n",
        "Share of runs that ever say `derived`, each stopped at its first decision; it has to stay below alpha.\n",
        markdown(tables["null"], digits=5),
        "## Networks behind a path with jitter, measured\n",
        markdown(_brief(tables["served"]), digits=2),
        "## Hostile and unlucky operators, measured\n",
        f"Budget {OPERATOR_BUDGET} requests, {PATIENCE:g} s of patience. *Pairs right*: share of comparisons on the "
        "side of the truth, which is what is lost where images are altered.\n",
        markdown(_brief(tables["operators"]), digits=2),
    ]
    return "\n".join(parts)


def _brief(rows: Sequence[Row]) -> list[Row]:
    """The rows without the reasons of verdicts that were reached."""
    return [{**row, "why": None if row["verdict"] in ("derived", "independent") else row["why"]} for row in rows]


def _make(run: Run) -> list[Path]:
    members = remote_members()
    realise_all([member.network for member in members], run.store, run.data_dir, run.pool)
    tables = study_remote(members, run.store, run.data_dir)
    files = []
    for name, rows in tables.items():
        files.append(run.out / f"remote-{name}.parquet")
        write_parquet(rows, files[-1])
    page = run.out / "remote.md"
    write_bytes(page, remote_page(tables).encode())
    return [page, *files]


STUDY = Study(
    "remote",
    "What verification at an address costs and how often it errs.",
    lambda preset: [member.network for member in remote_members()],
    _make,
)
