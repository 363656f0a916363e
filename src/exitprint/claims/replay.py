"""A verification over again from its journal: the same code, and a suspect that has nothing more to say."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from exitprint.claims.register import Begun, Register
from exitprint.claims.statement import Claim
from exitprint.claims.verification import UnderClaim
from exitprint.errors import ExitprintError
from exitprint.evidence.eprocess import slice_of
from exitprint.evidence.limits import Decision
from exitprint.fingerprints import Fingerprint, Verdict
from exitprint.suspects.suspect import Answer, BudgetSpent
from exitprint.timing.session import FLOOR


class Exhausted:
    """What answers a verification once its journal is at an end: that the budget is spent."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, x: object) -> Answer:
        """Nothing any more."""
        self.asked = True
        raise BudgetSpent("the journal ends here.")


class ExhaustedServer(Exhausted):
    """The same in the place of a suspect behind a path, whose cheapest request was asked as well."""

    requests = bytes_sent = bytes_received = 0
    amplification = 1

    def limit(self, requests: int) -> None:
        """There is nothing to limit."""

    def floor(self) -> float:
        """Nothing any more."""
        self.asked = True
        raise BudgetSpent("the journal ends here.")


@dataclass(frozen=True)
class Replayed:
    """What one verification came to.

    Attributes
    ----------
    begun
        Its line in the register.
    verdict
        What its answers say; None where its fingerprint stays secret.
    log_e, log_e_independent
        Natural logarithms of the evidence for a copy and for independence at the end: e-values, since the end was
        a stopping time. Without its fingerprint a verification counts as if it had none.
    requests
        What it cost, by its journal's last line; on a cost model's clock the inputs that were needed.
    head
        SHA-256 of its journal's last line, which vouches for all lines.
    labels
        What each input was said to be, by kind and index, where the suspect says so.
    """

    begun: Begun
    verdict: Verdict | None
    log_e: float
    log_e_independent: float
    requests: int
    head: str
    labels: Mapping[tuple[str, int], int] = field(default_factory=dict)


def replay(register: Register, begun: Begun, fingerprint: Fingerprint, claim: Claim) -> Replayed:
    """Recompute a verification from its journal.

    Raises `ExitprintError` if the journal is missing, was changed, is of another claim, fingerprint, seed or settings,
    asks something else than the seed says, goes on after the verdict, or is over the budget.
    """
    path = register.journal(begun.number)
    if not path.is_file():
        raise ExitprintError(f"the journal {str(path)!r} is missing: a verification that was begun counts.")
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / path.name
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        copy.write_bytes(whole)
        if not whole:
            raise ExitprintError(f"the journal {str(path)!r} is empty: it was cut off before its first line.")
        floors = f'"kind": "{FLOOR}"'.encode() in content
        silent = ExhaustedServer() if floors else Exhausted()
        try:
            verdict = replace(UnderClaim.of(claim, register, begun), journal=copy).ask(fingerprint, silent)
        except ExitprintError as error:
            raise ExitprintError(f"{path.name} of {register.folder.name}: {error}") from error
    _, *rows = map(json.loads, whole.splitlines())
    head = sha256(whole[:-1].rpartition(b"\n")[2]).hexdigest()
    course = verdict.course
    if not silent.asked and (course is None or len(course.asked) != len(rows)):
        raise ExitprintError(f"the journal {str(path)!r} goes on after its verdict: answers were added.")
    requests = rows[-1]["requests"] if rows else 0
    if requests > claim.budget:
        raise ExitprintError(f"the journal {str(path)!r} is of {requests} requests, and {claim.budget} are allowed.")
    if rows and (verdict.clock == "cost-model") != (begun.clock == "cost-model"):
        raise ExitprintError(f"the journal {str(path)!r} is of another clock than the register says.")
    requests = len(rows) if verdict.clock == "cost-model" else requests
    labels = {(row["kind"], row["index"]): row["label"] for row in rows if row.get("label") is not None}
    if course is None:
        nothing = math.log(slice_of(1))
        return Replayed(begun, verdict, nothing, nothing, requests, head, labels)
    claimed, clear = float(course.log_claim[-1]), float(course.log_clear[-1])
    if fingerprint.kind == "contrast":
        nature = float(course.log_nature[-1])
        claimed, clear = min(nature, claimed), min(nature, clear)
    return Replayed(begun, verdict, claimed, clear, requests, head, labels)


def combined(found: Sequence[Replayed], claim: Claim) -> tuple[Decision, float, float]:
    """Several verifications of one suspect together: the decision, and the mean e-values' logarithms.

    The mean of e-values is an e-value however they depend on each other, and these may: they are of the same images.
    So a verification that brought nothing weakens one that brought much, and trying again until it fits does not pay.
    """
    copy = log_mean([each.log_e for each in found])
    clear = log_mean([each.log_e_independent for each in found])
    derived, independent = copy >= -math.log(claim.alpha), clear >= -math.log(claim.beta)
    if derived == independent:
        return "inconclusive", copy, clear
    return ("derived" if derived else "independent"), copy, clear


def log_mean(logs: Sequence[float]) -> float:
    """Logarithm of the mean of numbers from their logarithms."""
    return float(np.logaddexp.reduce(logs)) - math.log(len(logs))
