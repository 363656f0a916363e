"""The main job on embedded data: one target, three stolen copies, three independents, seven verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import torch

from exitprint.data import Images, load_data
from exitprint.fingerprints import ContrastMethod, contrast_fingerprint, verify
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.progress import progress
from exitprint.reports import SuspectRow, demo_report, provenance, write_report
from exitprint.suspects import CostModel, InProcess
from exitprint.tampering import finetune, prune, retrain_exits
from exitprint.training import recipe, train_network

ARCHITECTURE, WIDTH = "resnet20", 8
POLICY = ExitPolicy(0.9)
"""Digits are so easy that a policy for RAD=5 would send every image out at the first exit."""
SAMPLES, MARGIN, REFERENCES = 200, 0.3, 2
"""Digits are so few and so alike that a larger margin would change them by as much as they differ."""

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

    def stolen(kind: Callable[..., MultiExitNetwork], **options: Any) -> MultiExitNetwork:
        return kind(made["target"][1], data, seed=10 * seed + 9, **options)

    jobs: list[tuple[str, Truth | Literal["reference"], Callable[[], MultiExitNetwork]]] = [
        ("target", "target", lambda: trained(0)),
        ("exits retrained", "stolen", lambda: stolen(retrain_exits)),
        ("fine-tuned", "stolen", lambda: stolen(finetune, epochs=4)),
        ("pruned by 20 %", "stolen", lambda: stolen(prune, rate=0.2)),
        *((f"independent {i}", "independent", lambda i=i: trained(i)) for i in (1, 2, 3)),
        *((f"reference {i}", "reference", lambda i=i: trained(3 + i)) for i in range(1, REFERENCES + 1)),
    ]
    made: dict[str, tuple[Truth | Literal["reference"], MultiExitNetwork]] = {}
    with progress("making nine networks", len(jobs)) as advance:
        for name, truth, make in jobs:
            network = make()
            network.policy = POLICY
            made[name] = truth, network
            advance(1)
    references = {name: network for name, (truth, network) in made.items() if truth == "reference"}
    fingerprint = contrast_fingerprint(
        made["target"][1],
        _all(data.train, data.calibration, data.test),
        [POLICY],
        SAMPLES,
        seed,
        ContrastMethod(margin_log_odds=MARGIN),
        references,
    )
    known = {name: CostModel(network) for name, network in references.items()}
    suspects = [(name, truth, network) for name, (truth, network) in made.items() if truth != "reference"]
    rows = []
    with progress("verifying seven suspects", len(suspects)) as advance:
        for name, truth, network in suspects:
            rows.append(SuspectRow(name, truth, verify(fingerprint, InProcess(network), seed=seed, references=known)))
            advance(1)
    write_report(demo_report(rows, fingerprint, notes=provenance({}) | {"seed": str(seed)}), report)
    return Demo(rows, perf_counter() - start, report)


def _all(*parts: Images) -> Images:
    """All images there are: the more to choose from, the more extreme are those that are chosen."""
    return Images(torch.cat([part.pixels[:] for part in parts]), torch.cat([part.labels for part in parts]))
