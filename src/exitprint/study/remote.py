"""`study remote`: what verification at an address costs and how often it errs, with jitter and hostile operators.

The many verdicts behind an error rate are *resampled*: the real test runs, and each of its requests draws one of the
processor times that the network took for its input, which no other work on the machine changes, and adds jitter as the
hostile server does. One verdict of each kind, and each against a hostile operator, is *measured* from beginning to end
besides, through real requests to a server in another process. Tables say which is which.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors, write_bytes
from exitprint.fingerprints import Fingerprint, contrast_fingerprint, load_fingerprint, save_fingerprint
from exitprint.fingerprints.sequential import BUDGET, run_digest, verify_sequentially
from exitprint.fingerprints.verdict import Decision
from exitprint.networks import MultiExitNetwork, save_network
from exitprint.progress import progress
from exitprint.serving.hostile import PARETO_DEVIATION, PARETO_SHAPE, TROUBLES, misbehaving
from exitprint.study.contrast import LAPTOP_DATA, population
from exitprint.study.jobs import realise_all
from exitprint.study.population import Member, Role, Source, realise, source
from exitprint.study.store import Store
from exitprint.study.study import Run, Study
from exitprint.study.tables import markdown, write_parquet
from exitprint.suspects import Answer, KServeSuspect, Suspect
from exitprint.threads import single_thread
from exitprint.timing.sequential import SignTest
from exitprint.timing.simulation import Noise, Outcomes, simulate, simulate_times
from exitprint.training import calibrated_policy

Row = dict[str, Any]
CHOSEN = (
    "target", "retrained 1", "fine-tuned 2", "pruned 0.2", "independent 0", "independent 1", "independent 2",
)  # fmt: skip
COPIES = 64
"""An image is so many times in a request, and so often times the amplification: a full run then takes about 10 ms."""
SAMPLES = 100
LOOSER_RAD = 15.0
ASKED = {1: 5, 8: 2}
"""How often each fingerprint input is timed, by amplification."""
BENIGN_ASKED = 2
WARM_UP = 5
HEARD = "processor times of a network"
VERDICTS = 70
RUNS = 10_000
LEVELS = (0.05, 1e-3)
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
    """Processor time that a network takes for requests.

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

    def save(self, path: Path) -> None:
        """Write to a file, whole or not at all."""
        halves = {f"{name} {k}": t for name in ("late", "early") for k, t in getattr(self, name).items()}
        parts = {"benign": self.benign, **halves}
        save_tensors(path, HEARD, {}, {name: torch.from_numpy(seconds) for name, seconds in parts.items()})

    @classmethod
    def load(cls, path: Path) -> Heard:
        """Read what `save` wrote."""
        parts = {name: tensor.numpy() for name, tensor in load_tensors(path, HEARD)[1].items()}
        late, early = ({k: parts[f"{name} {k}"] for k in ASKED} for name in ("late", "early"))
        return cls(late, early, parts["benign"])


class Resampled:
    """A suspect whose times are drawn from processor times, with jitter added."""

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
        """A time that this input took, and a new delay."""
        seconds = self._rng.choice(self._times[_key(x[0])]) + float(self._jitter.draw(self._rng))
        return Answer(np.array([seconds]), "measured")


def _key(image: Tensor) -> bytes:
    return image.numpy().tobytes()


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

    Measuring needs a quiet machine, and about a quarter of an hour on one. What was measured on this machine is kept in
    the store too, and not measured again.

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
    measured = Measured(store, run_digest(fingerprint, subject="study", alpha=0, beta=0, seed=seed))
    with TemporaryDirectory() as folder:
        files: dict[str, Path] = {}
        for member in members:
            files[member.name] = Path(folder) / f"{len(files)}.safetensors"
            save_network(realise(member.network, store, data_dir), files[member.name])
        heard = {}
        with progress("processor times of networks", len(members)) as advance:
            for member in members:
                network = realise(member.network, store, data_dir)
                heard[member.name] = measured.heard(member, partial(measure_network, network, fingerprint, seed))
                advance(1)
        served = served_verdicts(members, files, fingerprint, measured, seed)
        operators = operator_rows(members, files, fingerprint, measured, seed)
    return {
        "networks": [network_row(member, heard[member.name]) for member in members],
        "jitter": jitter_rows(members, heard, served, fingerprint, verdicts, seed),
        "null": null_rows(members, heard, runs, seed),
        "operators": operators,
    }


@dataclass(frozen=True)
class Measured:
    """What was measured on this machine with one fingerprint, found again in a store."""

    store: Store
    fingerprint: str

    def heard(self, member: Member, measure: Callable[[], Heard]) -> Heard:
        """A network's processor times."""
        asked = {"asked": list(ASKED.items()), "benign": BENIGN_ASKED}
        return Heard.load(self.store.get(self._key(member, **asked), lambda path: measure().save(path)))

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


def measure_network(network: MultiExitNetwork, fingerprint: Fingerprint, seed: int = 0) -> Heard:
    """Take a network's processor times, all inputs in a new random order each time."""
    rng = np.random.default_rng(seed)
    late = fingerprint.late.numpy()
    benign = _processor_seconds(network, fingerprint.benign, COPIES, BENIGN_ASKED, rng)
    halves = {k: _processor_seconds(network, fingerprint.x, COPIES * k, times, rng) for k, times in ASKED.items()}
    return Heard({k: t[late] for k, t in halves.items()}, {k: t[~late] for k, t in halves.items()}, benign)


def _processor_seconds(
    network: MultiExitNetwork, x: Tensor, copies: int, times: int, rng: np.random.Generator
) -> np.ndarray:
    seconds = np.empty((len(x), times))
    with single_thread(), torch.inference_mode():
        for one in range(WARM_UP):
            network.predict(x[one : one + 1].repeat(copies, 1, 1, 1))
        for column in range(times):
            for one in rng.permutation(len(x)):
                request = x[one : one + 1].repeat(copies, 1, 1, 1)
                start = process_time()
                network.predict(request)
                seconds[one, column] = process_time() - start
    return seconds


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


def served_verdicts(
    members: Sequence[Member],
    files: Mapping[str, Path],
    fingerprint: Fingerprint,
    measured: Measured,
    seed: int = 0,
) -> dict[Jitter, list[Row]]:
    """For each jitter one verdict on each network, measured from beginning to end."""
    jitters = [jitter for jitter in JITTERS if jitter.measured]
    rows: dict[Jitter, list[Row]] = {jitter: [] for jitter in jitters}
    with progress("measured verdicts with jitter", len(jitters) * len(members)) as advance:
        for jitter in jitters:
            for member in members:
                measure = partial(_served, files[member.name], jitter, fingerprint, seed)
                rows[jitter].append(measured.row(member, measure, **asdict(jitter), seed=seed))
                advance(1)
    return rows


def jitter_rows(
    members: Sequence[Member],
    heard: Mapping[str, Heard],
    served: Mapping[Jitter, Sequence[Row]],
    fingerprint: Fingerprint,
    verdicts: int = VERDICTS,
    seed: int = 0,
) -> list[Row]:
    """For each jitter and each truth: how verdicts came out and what they cost, resampled and measured."""
    rows = []
    roles = [member.role for member in members]
    with progress("resampled verdicts with jitter", len(JITTERS) * len(members)) as advance:
        for jitter in JITTERS:
            drawn: list[tuple[Role, Row]] = []
            for member in members:
                for number in range(seed, seed + verdicts):
                    suspect = Resampled(fingerprint, heard[member.name], jitter, number)
                    drawn.append((member.role, _judged(fingerprint, suspect, number)))
                advance(1)
            rows += [_outcome(jitter, "resampled", drawn, copies) for copies in (True, False)]
            if jitter in served:
                real = list(zip(roles, served[jitter], strict=True))
                rows += [_outcome(jitter, "measured", real, copies) for copies in (True, False)]
    return rows


def _judged(fingerprint: Fingerprint, suspect: Suspect, seed: int) -> Row:
    verdict = verify_sequentially(fingerprint, suspect, seed=seed)
    return {"decision": verdict.decision, "requests": verdict.requests}


def _served(file: Path, jitter: Jitter, fingerprint: Fingerprint, seed: int) -> Row:
    with misbehaving(file, jitter.kind, jitter.milliseconds, seed=seed) as url:
        return _judged(fingerprint, KServeSuspect(url, amplification=COPIES * jitter.amplification), seed)


def _outcome(jitter: Jitter, how: str, verdicts: Sequence[tuple[Role, Row]], copies: bool) -> Row:
    chosen = [verdict for role, verdict in verdicts if (role != "independent") == copies]
    decisions = [verdict["decision"] for verdict in chosen]
    requests = [verdict["requests"] for verdict in chosen]
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
                "resampled",
                partial(_simulated, dealt[:, :half], dealt[:, half : 2 * half], noise, seed),
            ),
            (f"independents, {label}", "resampled", partial(_simulated, late, early, noise, seed)),
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
                measure = partial(_under, files[member.name], name, fingerprint, member.role, seed)
                rows.append(
                    {
                        "operator": does,
                        "network": member.name,
                        **measured.row(member, measure, operator=does, seed=seed),
                    }
                )
                advance(1)
    return rows


def _under(file: Path, trouble: str, fingerprint: Fingerprint, truth: Role, seed: int) -> Row:
    right = "independent" if truth == "independent" else "derived"
    start = perf_counter()
    with misbehaving(file, trouble, seed=seed) as url:
        suspect = KServeSuspect(url, amplification=COPIES, timeout=PATIENCE, patience=PATIENCE)
        try:
            verdict = verify_sequentially(fingerprint, suspect, budget=OPERATOR_BUDGET, seed=seed)
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
        f"Alpha and beta are 0.001 and the budget is {BUDGET:,} requests, unless said otherwise. An image is {COPIES} "
        "times in a request, so that a full run takes about 10 ms, and so often times the amplification. *Measured*: "
        "real requests to a server in another process, from beginning to end. *Resampled*: the same test, each request "
        "drawing one of the processor times that the network took for its input, and a new jitter. Requests include "
        "those of the warm-up; resampled ones lack the seven for metadata and for the cheapest request.\n",
        "## Networks, in processor time\n",
        markdown(tables["networks"]),
        "Full run: of the slowest 2 % of ordinary images. AUC: share of pairs whose late image took longer.\n",
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
