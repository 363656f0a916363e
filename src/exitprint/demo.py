"""The main job on embedded data: one target, three stolen copies, three independents, seven verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from exitprint.data import load_data
from exitprint.fingerprints import paper_fingerprint, verify
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.progress import progress
from exitprint.reports import SuspectRow, demo_report, write_report
from exitprint.suspects import InProcess
from exitprint.tampering import finetune, prune, retrain_exits
from exitprint.training import recipe, train_network

ARCHITECTURE, WIDTH = "resnet20", 8
POLICY = ExitPolicy(0.9)
"""Digits are so easy that a policy for RAD=5 would send every image out at the first exit."""
SAMPLES, REPEATS = 100, 20


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
                "t_n": row.verdict.t_n,
                "threshold": row.verdict.threshold,
                "benign_t_n": row.verdict.benign_t_n,
                "p_value": row.verdict.p_value,
            }
            for row in self.rows
        ]
        return {"suspects": suspects, "seconds": self.seconds, "report": str(self.report)}


def run_demo(report: Path, seed: int = 0) -> Demo:
    """Train, steal, fingerprint and verify on `digits`, by measured time, and write the page.

    Parameters
    ----------
    report
        Where to write the page.
    seed
        Of everything random; the runtimes are measured all the same.
    """
    start = perf_counter()
    data = load_data("digits")
    arch = architecture(ARCHITECTURE, data.input_shape, data.classes, width=WIDTH)
    how = recipe("fast", arch.family, data.name)

    def trained(number: int) -> MultiExitNetwork:
        return train_network(arch, data, how, seed=10 * seed + number)

    target: MultiExitNetwork | None = None

    def stolen(kind: Callable[..., MultiExitNetwork], **options: Any) -> MultiExitNetwork:
        assert target is not None
        return kind(target, data, seed=10 * seed + 9, **options)

    jobs: list[tuple[str, Literal["target", "stolen", "independent"], Callable[[], MultiExitNetwork]]] = [
        ("target", "target", lambda: trained(0)),
        ("exits retrained", "stolen", lambda: stolen(retrain_exits)),
        ("fine-tuned", "stolen", lambda: stolen(finetune, epochs=4)),
        ("pruned by 20 %", "stolen", lambda: stolen(prune, rate=0.2)),
        *((f"independent {i}", "independent", lambda i=i: trained(i)) for i in (1, 2, 3)),
    ]
    networks: list[tuple[str, Literal["target", "stolen", "independent"], MultiExitNetwork]] = []
    rows: list[SuspectRow] = []
    with progress("making seven networks", len(jobs)) as advance:
        for name, truth, make in jobs:
            network = make()
            network.policy = POLICY
            target = target or network
            networks.append((name, truth, network))
            advance(1)
    assert target is not None
    fingerprint = paper_fingerprint(target, data.test, samples=SAMPLES, seed=seed)
    with progress("verifying seven suspects", len(networks)) as advance:
        for name, truth, network in networks:
            verdict = verify(fingerprint, InProcess(network), REPEATS, seed)
            rows.append(SuspectRow(name, truth, verdict, verdict.timings))
            advance(1)
    write_report(demo_report(rows, fingerprint), report)
    return Demo(rows, perf_counter() - start, report)
