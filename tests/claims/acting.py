"""Parts of a case: suspects that are quick to ask, verifications under a claim, and the script of a pack."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
from torch import Tensor

from exitprint.claims.verification import begin
from exitprint.fingerprints import Verdict, load_fingerprint, verify
from exitprint.networks import MultiExitNetwork
from exitprint.suspects import Answer, CostModel


class Noisy:
    """A network at the end of a line: its time by the cost model, and noise, on a clock that says that it measures."""

    def __init__(self, network: MultiExitNetwork, noise: float, seed: int) -> None:
        self._network = CostModel(network)
        self._rng = np.random.default_rng(seed)
        self._noise = noise
        self.requests = self.bytes_sent = self.bytes_received = 0
        self.amplification = 1

    def limit(self, requests: int) -> None:
        pass

    def floor(self) -> float:
        self.requests += 1
        return self._delay(1).item()

    def ask(self, x: Tensor) -> Answer:
        self.requests += 1
        answer = self._network.ask(x)
        return Answer(answer.seconds + self._delay(len(x)), "measured", answer.labels)

    def _delay(self, size: int) -> np.ndarray:
        return 1e-3 + self._noise * self._rng.exponential(size=size)


def verified(
    claim: Path, fingerprint: Path, suspect: object, name: str, references: dict[str, Path] | None = None
) -> Verdict:
    """Verify under a claim."""
    clock = "measured" if isinstance(suspect, Noisy) else "cost-model"
    under = begin(claim, fingerprint, name, clock, 1, False, references=references)
    return verify(
        load_fingerprint(fingerprint),
        suspect,
        alpha=under.claim.alpha,
        beta=under.claim.beta,
        budget=under.claim.budget,
        seed=under.claim.seed,
        journal=under.journal,
        subject=under.subject,
        references=under.references,
    )


def script(pack: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the script of a pack, in a Python that does not look for installed packages of the user's."""
    command = [sys.executable, "-s", str(pack / "check.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=pack)


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def chained(path: Path, lines: list[dict]) -> None:
    """Write lines as a journal whose chain holds, as somebody does who knows how."""
    before, whole = "", b""
    for number, line in enumerate(lines):
        line.pop("before", None)
        text = json.dumps(line | ({"before": before} if number else {})).encode()
        before, whole = sha256(text).hexdigest(), whole + text + b"\n"
    path.write_bytes(whole)


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]
