"""Verifications under a claim: by its seed and error rates, and each one that is begun is written down first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exitprint.claims.committing import Place, committed_fingerprint, load_opening
from exitprint.claims.register import Asking, Begun, Brought, Register
from exitprint.claims.signing import load_claim
from exitprint.claims.statement import Claim
from exitprint.errors import ExitprintError
from exitprint.files import file_digest
from exitprint.fingerprints import Fingerprint, Reference, Verdict, load_fingerprint, verify
from exitprint.fingerprints.threshold import check_change
from exitprint.fingerprints.verify import asked_references
from exitprint.networks import load_network
from exitprint.suspects import CostModel
from exitprint.suspects.suspect import Clock, Suspect


@dataclass(frozen=True)
class UnderClaim:
    """One verification under a claim.

    Attributes
    ----------
    claim
        Its error rates, budget and seed are those of the verification.
    journal
        Where its answers go.
    subject
        What its journal says that it is of.
    references
        What the register says of the networks that the asker brought.
    """

    claim: Claim
    journal: Path
    subject: str
    references: tuple[Reference, ...]

    @classmethod
    def of(cls, claim: Claim, register: Register, begun: Begun) -> UnderClaim:
        """The verification of a register's line."""
        return cls(claim, register.journal(begun.number), register.subject(begun), begun.seen)

    def ask(self, fingerprint: Fingerprint, suspect: Suspect) -> Verdict:
        """Verify as the claim says; what is in the journal is not asked again."""
        return verify(
            fingerprint,
            suspect,
            alpha=self.claim.alpha,
            beta=self.claim.beta,
            budget=self.claim.budget,
            journal=self.journal,
            resume=self.journal.exists(),
            seed=self.claim.seed,
            subject=self.subject,
            references=self.references,
        )


def begin(
    claim_file: Path,
    fingerprint_file: Path,
    suspect: str,
    clock: Clock,
    amplification: int,
    address: bool,
    resume: bool = False,
    references: Mapping[str, Path] | None = None,
) -> UnderClaim:
    """Begin a verification, or go on with the last one of this suspect.

    The claim's salts lie beside it, and the fingerprint is one that it committed to. `references` are networks that the
    asker knows to be independent, by name; the register says which, and what they came to. Raises `ExitprintError` if
    the signature does not hold, the fingerprint is another or needs references, or there is nothing to go on with.
    """
    claim = load_claim(claim_file)
    place = Place(claim_file)
    committed = committed_fingerprint(claim, load_opening(place.opening), fingerprint_file)
    register = Register(place.runs, file_digest(claim_file))
    brought = _brought(load_fingerprint(fingerprint_file), references or {})
    if resume:
        begun = register.last(suspect, committed)
        if begun.references != brought:
            raise ExitprintError("this verification was begun with other references: resume it with the same ones.")
    else:
        begun = register.begin(suspect, Asking(committed, clock, amplification, address, brought))
    return UnderClaim.of(claim, register, begun)


def _brought(fingerprint: Fingerprint, references: Mapping[str, Path]) -> tuple[Brought, ...]:
    """What a fingerprint comes to on networks that are known to be independent.

    Raises `ExitprintError` if there are none and the fingerprint needs some: nothing is begun then.
    """
    seen = asked_references(fingerprint, {name: CostModel(load_network(path)) for name, path in references.items()})
    check_change(fingerprint, seen)
    return tuple(Brought(each.name, file_digest(references[each.name]), max(each.share)) for each in seen)
