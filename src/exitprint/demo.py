"""The main job on embedded data: one target, three stolen copies, three independents, seven verdicts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Literal

import torch

from exitprint.data import Images, load_data
from exitprint.fingerprints import (
    ContrastMethod,
    Fingerprint,
    contrast_fingerprint,
    load_fingerprint,
    save_fingerprint,
    verify,
)
from exitprint.fingerprints.contrast import ChangeTooLarge
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, load_network, save_network
from exitprint.processes import processes, processors
from exitprint.progress import progress
from exitprint.reports import SuspectRow, demo_report, provenance, write_report
from exitprint.suspects import CostModel, InProcess
from exitprint.tampering import finetune, prune, retrain_exits
from exitprint.training import recipe, train_network

ARCHITECTURE, WIDTH = "resnet20", 8
POLICY = ExitPolicy(0.9)
"""Digits are so easy that a policy for RAD=5 would send every image out at the first exit."""
SAMPLES = 280
METHODS = tuple(
    ContrastMethod(margin_log_odds=margin, reference_weight=weight)
    for margin, weight in ((0.4, 4.0), (0.3, 4.0), (0.3, 2.0), (0.3, 1.7))
)
"""Tried until the change is small enough: digits are so few and so alike that a larger margin, or more regard to the
references, would change them by as much as they differ."""
TRAINED = {"target": 0, "independent 1": 1, "independent 2": 2, "independent 3": 3, "reference 1": 4, "reference 2": 5}
"""Networks of one recipe, and the seeds they differ in."""
STOLEN: dict[str, tuple[Callable[..., MultiExitNetwork], dict[str, Any]]] = {
    "exits retrained": (retrain_exits, {}),
    "fine-tuned": (finetune, {"epochs": 4}),
    "pruned by 20 %": (prune, {"rate": 0.2}),
}
REFERENCES = ("reference 1", "reference 2")

Truth = Literal["target", "stolen", "independent"]


@dataclass(frozen=True)
class Demo:
    """What the demo found."""

    rows: list[SuspectRow]
    seconds: float
    report: Path

    @property
    def right(self) -> int:
        """How many of the verdicts are the truth."""
        return sum(row.right for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        suspects = [
            {
                "name": row.name,
                "truth": row.truth,
                "decision": row.verdict.decision,
                "share": row.verdict.share,
                "p0": row.verdict.p0,
                "p_value": row.verdict.p_value,
                "requests": row.verdict.requests,
            }
            for row in self.rows
        ]
        return {"suspects": suspects, "seconds": self.seconds, "report": str(self.report)}


def run_demo(report: Path, seed: int = 0) -> Demo:
    """Train, steal, fingerprint and verify on `digits`, by measured time, and write the page.

    Two more networks of the owner's recipe, with other seeds, are references that the fingerprint is kept away from.
    The verifier asks them too, since digits are so alike that the change is large beside the distance between them.
    Everything random follows from the seed, but for the runtimes, which are measured.
    """
    start = perf_counter()
    with TemporaryDirectory() as folder, processes(min(2, processors())) as pool:
        paths = _make(pool, Path(folder), seed)
        fingerprint = _crafted(pool, Path(folder), paths, seed)
        made = {name: _loaded(path) for name, path in paths.items()}
    references = {name: made.pop(name) for name in REFERENCES}
    known = {name: CostModel(network) for name, network in references.items()}
    rows = []
    with progress("verifying seven suspects", len(made)) as advance:
        for name, network in made.items():
            verdict = verify(fingerprint, InProcess(network), seed=seed, references=known)
            truth: Truth = "stolen" if name in STOLEN else "target" if name == "target" else "independent"
            rows.append(SuspectRow(name, truth, verdict))
            advance(1)
    write_report(demo_report(rows, fingerprint, notes=provenance({}) | {"seed": str(seed)}), report)
    return Demo(rows, perf_counter() - start, report)


def _make(pool: Executor, folder: Path, seed: int) -> dict[str, Path]:
    """Nine networks as files, by name, in the order of the page."""
    names = ["target", *STOLEN, *list(TRAINED)[1:]]
    paths = {name: folder / f"{number}.safetensors" for number, name in enumerate(names)}
    with progress("making nine networks", len(paths)) as advance:
        trained = {name: pool.submit(_train, paths[name], 10 * seed + number) for name, number in TRAINED.items()}
        trained.pop("target").result()
        advance(1)
        stolen = [pool.submit(_steal, paths["target"], name, paths[name], 10 * seed + 9) for name in STOLEN]
        for done in as_completed([*trained.values(), *stolen]):
            done.result()
            advance(1)
    return paths


def _train(path: Path, seed: int) -> None:
    data = load_data("digits")
    arch = architecture(ARCHITECTURE, data.input_shape, data.classes, width=WIDTH)
    save_network(train_network(arch, data, recipe("fast", arch.family, data.name), seed=seed), path)


def _steal(target: Path, kind: str, path: Path, seed: int) -> None:
    change, options = STOLEN[kind]
    save_network(change(load_network(target), load_data("digits"), seed=seed, **options), path)


def _crafted(pool: Executor, folder: Path, paths: dict[str, Path], seed: int) -> Fingerprint:
    """By the first of the methods that changes the images by little enough; all are tried at once."""
    with progress("crafting", len(METHODS)) as advance:
        tries = [
            pool.submit(_craft, folder / f"{number}.fingerprint", paths, method, seed)
            for number, method in enumerate(METHODS)
        ]
        for each in as_completed(tries):
            each.exception()
            advance(1)
    *first, last = tries
    for each in first:
        with suppress(ChangeTooLarge):
            return load_fingerprint(each.result())
    return load_fingerprint(last.result())


def _craft(path: Path, paths: dict[str, Path], method: ContrastMethod, seed: int) -> Path:
    data = load_data("digits")
    images = _all(data.train, data.calibration, data.test)
    references = {name: _loaded(paths[name]) for name in REFERENCES}
    save_fingerprint(
        contrast_fingerprint(_loaded(paths["target"]), images, [POLICY], SAMPLES, seed, method, references), path
    )
    return path


def _loaded(path: Path) -> MultiExitNetwork:
    network = load_network(path)
    network.policy = POLICY
    return network


def _all(*parts: Images) -> Images:
    """All images there are: the more to choose from, the more extreme are those that are chosen."""
    return Images(torch.cat([part.pixels[:] for part in parts]), torch.cat([part.labels for part in parts]))
