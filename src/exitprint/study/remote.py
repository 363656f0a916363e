"""`study remote`: what verification at an address costs and how often it errs, with jitter and hostile operators.

Every network is served on loopback and its runtimes are measured through real requests. The many verdicts behind an
error rate are *resampled*: the real test runs, and each of its requests draws one of the times measured for its input
and adds jitter as the hostile server does. One verdict of each kind is *measured* from beginning to end besides, the
jitter being made by a server in another process. Tables say which is which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.fingerprints import Fingerprint, Verdict, contrast_fingerprint, load_fingerprint, save_fingerprint
from exitprint.fingerprints.sequential import BUDGET, verify_sequentially
from exitprint.fingerprints.verdict import Decision
from exitprint.networks import Architecture, architecture, save_network
from exitprint.progress import progress
from exitprint.serving import running
from exitprint.serving.hostile import PARETO_DEVIATION, PARETO_SHAPE, TROUBLES, misbehaving
from exitprint.study.jobs import realise_all
from exitprint.study.population import Member, Role, Source, Spec, Tampered, Trained, realise, source
from exitprint.study.store import Store
from exitprint.study.study import Run, Study
from exitprint.study.tables import markdown, write_parquet
from exitprint.suspects import Answer, KServeSuspect
from exitprint.timing.sequential import SignTest
from exitprint.timing.simulation import Noise, Outcomes, simulate, simulate_times
from exitprint.training import BackboneRecipe, HeadRecipe, Recipe, calibrated_policy

Row = dict[str, Any]
DATA = Source(name="cifar10", limit=6000)
ARCHITECTURE = architecture("resnet", (3, 32, 32), classes=10, depth=56, width=16)
"""A ResNet-56 with all its exits, whose full run takes about 10 ms where it is served, on one thread."""
HEADS = HeadRecipe(epochs=6, learning_rate=1e-3, batch=128)
RECIPE = Recipe(backbone=BackboneRecipe(epochs=9, learning_rate=0.1, batch=64, weight_decay=5e-4), heads=HEADS)
SAMPLES = 100
ASKED = {1: 20, 8: 4}
"""How often each fingerprint input is timed, by amplification."""
BENIGN_ASKED = 5
VERDICTS = 70
RUNS = 10_000
LEVELS = (0.05, 0.01, 1e-3)
OPERATOR_BUDGET = 400
PATIENCE = 5.0


@dataclass(frozen=True)
class Jitter:
    """Delay that the path adds to a request: of which kind, with which standard deviation in milliseconds."""

    kind: str
    milliseconds: float
    amplification: int = 1
    measured: bool = True

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
    Jitter("jitter", 20, measured=False),
    Jitter("jitter", 20, amplification=8),
    Jitter("heavy-tail", 5),
)


@dataclass(frozen=True)
class Heard:
    """What a served network's real requests took.

    Attributes
    ----------
    late, early
        Seconds of the fingerprint's halves by amplification, each of shape (inputs, times asked).
    benign
        Seconds of its originals, shape (inputs, times asked).
    """

    late: Mapping[int, np.ndarray]
    early: Mapping[int, np.ndarray]
    benign: np.ndarray

    @property
    def full_run(self) -> float:
        """Seconds of the longest run: what 98 % of the benign inputs keep within."""
        return float(np.quantile(np.median(self.benign, axis=1), 0.98))


class Resampled:
    """A suspect whose times are drawn from measured ones, with jitter added."""

    def __init__(self, fingerprint: Fingerprint, heard: Heard, jitter: Jitter, seed: int) -> None:
        parts = (
            (fingerprint.x[fingerprint.late], heard.late[jitter.amplification]),
            (fingerprint.x[~fingerprint.late], heard.early[jitter.amplification]),
            (fingerprint.benign, heard.benign),
        )
        self._times = {_key(image): times for x, rows in parts for image, times in zip(x, rows, strict=True)}
        self._jitter = jitter
        self._rng = np.random.default_rng(seed)

    def ask(self, x: Tensor) -> Answer:
        """A time measured for this input, and a new delay."""
        seconds = self._rng.choice(self._times[_key(x[0])]) + float(self._jitter.draw(self._rng))
        return Answer(np.array([seconds]), "measured")


def _key(image: Tensor) -> bytes:
    return image.numpy().tobytes()


def remote_members(data: Source = DATA, arch: Architecture = ARCHITECTURE, recipe: Recipe = RECIPE) -> list[Member]:
    """The target, three stolen copies and three independents, calibrated for RAD=5."""
    heads = recipe.heads.model_dump(mode="json")

    def trained(seed: int) -> Trained:
        return Trained(architecture=arch, data=data, recipe=recipe, seed=seed)

    target = trained(0)
    networks: list[tuple[str, Role, str, Spec]] = [
        ("target", "target", "target", target),
        ("ICs retrained", "stolen", "ICs retrained", _tampered(target, "retrain-exits", heads=heads)),
        ("fine-tuned", "stolen", "fine-tuned", _tampered(target, "finetune", epochs=2, heads=heads)),
        ("pruned 0.2", "stolen", "pruned", _tampered(target, "prune", rate=0.2, heads=heads)),
        *((f"independent {i}", "independent", "independent", trained(100 + i)) for i in (1, 2, 3)),
    ]
    return [Member(name=name, role=role, group=group, network=spec) for name, role, group, spec in networks]


def _tampered(parent: Spec, kind: str, **parameters: Any) -> Tampered:
    return Tampered(parent=parent, kind=kind, parameters=parameters, seed=1)


def remote_fingerprint(members: Sequence[Member], store: Store, data_dir: Path | None = None) -> Fingerprint:
    """The target's contrast fingerprint, for its own policy and those of RAD=0 and 15; from the store where it is."""
    target = members[0].network

    def make(path: Path) -> None:
        network = realise(target, store, data_dir)
        images = source(target).load(data_dir)
        policies = [network.policy, *(calibrated_policy(network, images.calibration, rad) for rad in (0.0, 15.0))]
        save_fingerprint(contrast_fingerprint(network, images.test, policies, SAMPLES, seed=0), path)

    return load_fingerprint(store.get({"contrast": target.key, "samples": SAMPLES}, make))


def study_remote(
    members: Sequence[Member],
    store: Store,
    data_dir: Path | None = None,
    verdicts: int = VERDICTS,
    runs: int = RUNS,
    seed: int = 0,
) -> dict[str, list[Row]]:
    """All tables of the study; networks and fingerprint are made first where the store lacks them.

    Measuring needs a quiet machine, and about a quarter of an hour on one.

    Parameters
    ----------
    members
        The target first, then stolen copies and independents; see `remote_members`.
    store, data_dir
        As in `realise`.
    verdicts
        How many are resampled for each network and each jitter.
    runs
        Simulated tests in each row of the null table.
    seed
        Of everything that is drawn.

    Returns
    -------
    dict
        Rows by table: ``networks``, ``jitter``, ``null`` and ``operators``.
    """
    fingerprint = remote_fingerprint(members, store, data_dir)
    with TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for member in members:
            files[member.name] = Path(folder) / f"{len(files)}.safetensors"
            save_network(realise(member.network, store, data_dir), files[member.name])
        heard = {}
        with progress("measuring served networks", len(members)) as advance:
            for member in members:
                heard[member.name] = measure_served(files[member.name], fingerprint, seed)
                advance(1)
        return {
            "networks": [network_row(member, heard[member.name]) for member in members],
            "jitter": jitter_rows(members, files, heard, fingerprint, verdicts, seed),
            "null": null_rows(members, heard, runs, seed),
            "operators": operator_rows(members, files, fingerprint, seed),
        }


def measure_served(file: Path, fingerprint: Fingerprint, seed: int = 0) -> Heard:
    """Serve a network file on loopback and time its answers, all inputs in a new random order each time."""
    x = torch.cat([fingerprint.x, fingerprint.benign])
    samples = len(fingerprint)
    rng = np.random.default_rng(seed)
    late = fingerprint.late.numpy()
    halves: dict[int, np.ndarray] = {}
    with running(file) as url:
        benign = _asked(KServeSuspect(url), x[samples:], BENIGN_ASKED, rng)
        for amplification, times in ASKED.items():
            halves[amplification] = _asked(KServeSuspect(url, amplification=amplification), x[:samples], times, rng)
    return Heard({k: t[late] for k, t in halves.items()}, {k: t[~late] for k, t in halves.items()}, benign)


def _asked(suspect: KServeSuspect, x: Tensor, times: int, rng: np.random.Generator) -> np.ndarray:
    seconds = np.empty((len(x), times + 1))
    for column in range(times + 1):
        for one in rng.permutation(len(x)):
            seconds[one, column] = suspect.ask(x[one : one + 1]).seconds[0]
    suspect.close()
    return seconds[:, 1:]


def network_row(member: Member, heard: Heard) -> Row:
    """What a network is, how long it takes and how its halves compare."""
    late, early = (np.median(part[1], axis=1) for part in (heard.late, heard.early))
    return {
        "network": member.name,
        "truth": member.role,
        "full run, ms": 1e3 * heard.full_run,
        "late, ms": 1e3 * float(np.median(late)),
        "early, ms": 1e3 * float(np.median(early)),
        "AUC": float(np.mean(late[:, None] > early)),
    }


def jitter_rows(
    members: Sequence[Member],
    files: Mapping[str, Path],
    heard: Mapping[str, Heard],
    fingerprint: Fingerprint,
    verdicts: int = VERDICTS,
    seed: int = 0,
) -> list[Row]:
    """For each jitter and each truth: how verdicts came out and what they cost, resampled and measured."""
    rows = []
    with progress("verdicts with jitter", len(JITTERS) * len(members)) as advance:
        for jitter in JITTERS:
            drawn: list[tuple[Role, Verdict]] = []
            real: list[tuple[Role, Verdict]] = []
            for member in members:
                for number in range(verdicts):
                    suspect = Resampled(fingerprint, heard[member.name], jitter, seed + number)
                    drawn.append((member.role, verify_sequentially(fingerprint, suspect, seed=seed + number)))
                if jitter.measured:
                    with misbehaving(files[member.name], jitter.kind, jitter.milliseconds, seed=seed) as url:
                        asked = KServeSuspect(url, amplification=jitter.amplification)
                        real.append((member.role, verify_sequentially(fingerprint, asked, seed=seed)))
                advance(1)
            rows += [_outcome(jitter, "resampled from measured", drawn, copies) for copies in (True, False)]
            if real:
                rows += [_outcome(jitter, "measured", real, copies) for copies in (True, False)]
    return rows


def _outcome(jitter: Jitter, how: str, verdicts: Sequence[tuple[Role, Verdict]], copies: bool) -> Row:
    chosen = [verdict for role, verdict in verdicts if (role != "independent") == copies]
    decisions = [verdict.decision for verdict in chosen]
    requests = [verdict.requests for verdict in chosen]
    right: Decision = "derived" if copies else "independent"
    wrong: Decision = "independent" if copies else "derived"
    return {
        **asdict(jitter),
        "how": how,
        "truth": "target and stolen" if copies else "independent",
        "verdicts": len(chosen),
        "right": decisions.count(right),
        "wrong": decisions.count(wrong),
        "inconclusive": decisions.count("inconclusive"),
        "requests, median": float(np.median(requests)),
        "requests, 95 %": float(np.quantile(requests, 0.95)),
    }


def null_rows(members: Sequence[Member], heard: Mapping[str, Heard], runs: int = RUNS, seed: int = 0) -> list[Row]:
    """Share of `derived` where it would be false, over many runs that each stop at their first decision.

    Coins; benign images against themselves, dealt anew in each run; and independents' own times, dealt anew.
    """
    rng = np.random.default_rng(seed)
    independents = [heard[member.name] for member in members if member.role == "independent"]
    one = np.median(independents[0].benign, axis=1)
    dealt = rng.permuted(np.tile(one, (runs, 1)), axis=1)
    half = len(one) // 2
    which = rng.integers(len(independents), size=runs)
    late, early = (
        np.stack([np.median(getattr(each, name)[1], axis=1) for each in independents])[which]
        for name in ("late", "early")
    )
    cases: list[tuple[str, str, Callable[[SignTest], Outcomes]]] = [
        ("coins", "simulated", lambda test: simulate(0.5, 0.0, test=test, runs=runs, seed=seed)),
    ]
    for jitter in (Jitter("jitter", 0), Jitter("jitter", 1), Jitter("jitter", 5), Jitter("heavy-tail", 5)):
        noise = partial(_noise, jitter)
        label = f"{'heavy-tailed ' if jitter.kind == 'heavy-tail' else ''}{jitter.milliseconds:g} ms"
        cases += [
            (
                f"benign against themselves, {label}",
                "resampled from measured",
                partial(_simulated, dealt[:, :half], dealt[:, half : 2 * half], noise, seed),
            ),
            (f"independents, {label}", "resampled from measured", partial(_simulated, late, early, noise, seed)),
        ]
    rows = []
    with progress("tests under the null", len(cases) * len(LEVELS)) as advance:
        for name, how, run in cases:
            for alpha in LEVELS:
                outcomes = run(SignTest(alpha=alpha, beta=1e-12))
                rows.append({"null": name, "how": how, "alpha": alpha, "runs": runs, "derived": outcomes.derived})
                advance(1)
    return rows


def _simulated(late: np.ndarray, early: np.ndarray, noise: Noise, seed: int, test: SignTest) -> Outcomes:
    return simulate_times(late, early, noise, test=test, rounds=2, seed=seed)


def _noise(jitter: Jitter, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return jitter.draw(rng, shape)


def operator_rows(
    members: Sequence[Member], files: Mapping[str, Path], fingerprint: Fingerprint, seed: int = 0
) -> list[Row]:
    """Each hostile operator against a stolen copy and an independent, each verdict measured from beginning to end."""
    rows = []
    chosen = [next(m for m in members if m.role == role) for role in ("stolen", "independent")]
    with progress("hostile operators", len(TROUBLES) * len(chosen)) as advance:
        for name, trouble in TROUBLES.items():
            for member in chosen:
                start = perf_counter()
                row = {"operator": trouble.does.format(amount=trouble.amount), "network": member.name}
                with misbehaving(files[member.name], name, seed=seed) as url:
                    rows.append({**row, **_under(url, fingerprint, member.role, seed)})
                rows[-1]["seconds"] = perf_counter() - start
                advance(1)
    return rows


def _under(url: str, fingerprint: Fingerprint, truth: Role, seed: int) -> Row:
    right = "independent" if truth == "independent" else "derived"
    try:
        suspect = KServeSuspect(url, timeout=PATIENCE, patience=PATIENCE)
        verdict = verify_sequentially(fingerprint, suspect, budget=OPERATOR_BUDGET, seed=seed)
    except ExitprintError as error:
        return {"verdict": "error", "wrong": False, "pairs right": None, "requests": None, "why": str(error)}
    return {
        "verdict": verdict.decision,
        "wrong": verdict.decision not in (right, "inconclusive"),
        "pairs right": verdict.value if right == "derived" else 1 - verdict.value,
        "requests": verdict.requests,
        "why": verdict.reason,
    }


def remote_page(tables: Mapping[str, Sequence[Row]]) -> str:
    """The tables of `study_remote` as Markdown."""
    jitter = {
        "kind": "jitter",
        "milliseconds": "standard deviation, ms",
        "amplification": "amplification",
        "how": "how",
        "truth": "truth",
        "verdicts": "verdicts",
        "right": "right",
        "wrong": "wrong",
        "inconclusive": "inconclusive",
        "requests, median": "requests, median",
        "requests, 95 %": "requests, 95 %",
    }
    parts = [
        "# Verification at an address\n",
        "Alpha and beta are 0.001 and the budget is "
        f"{BUDGET:,} requests, unless said otherwise. *Measured*: real requests to a server in another process, from "
        "beginning to end. *Resampled from measured*: the same test, each request drawing one of the times measured "
        "for its input on the served network and adding jitter. Requests include those of the warm-up.\n",
        "## Networks, served on loopback\n",
        markdown(tables["networks"]),
        "AUC: share of pairs whose late input took longer, by the median of repeated requests.\n",
        "## Requests and errors with jitter\n",
        markdown(tables["jitter"], jitter, digits=0),
        "## Under the null hypothesis\n",
        "Share of runs that ever said `derived`, each stopped at its first decision; it has to stay below alpha.\n",
        markdown(tables["null"], digits=5),
        "## Hostile and unlucky operators\n",
        f"Each verdict is measured; budget {OPERATOR_BUDGET} requests, {PATIENCE:g} s of patience. *Pairs right*: "
        "share of comparisons on the side of the truth, which is what is lost where images are altered.\n",
        markdown(tables["operators"]),
    ]
    return "\n".join(parts)


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
