"""Verifications under a claim: by its seed and error rates, and each one that is begun is written down first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exitprint.claims.committing import Place, committed_fingerprint, load_opening
from exitprint.claims.register import Register
from exitprint.claims.signing import load_claim
from exitprint.claims.statement import Claim
from exitprint.files import file_digest
from exitprint.suspects.suspect import Clock


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
    """

    claim: Claim
    journal: Path
    subject: str


def begin(
    claim_file: Path,
    fingerprint_file: Path,
    suspect: str,
    clock: Clock,
    amplification: int,
    address: bool,
    resume: bool = False,
) -> UnderClaim:
    """Begin a verification, or go on with the last one of this suspect.

    Parameters
    ----------
    claim_file
        The claim, with its salts beside it.
    fingerprint_file
        One of the fingerprints that it committed to.
    suspect
        An address, or a file with its digest.
    clock, amplification, address
        How it is asked.
    resume
        Whether to go on.

    Raises
    ------
    ExitprintError
        If the signature does not hold, the fingerprint is another, or there is nothing to go on with.
    """
    claim = load_claim(claim_file)
    place = Place(claim_file)
    committed = committed_fingerprint(claim, load_opening(place.opening), fingerprint_file)
    register = Register(place.runs, file_digest(claim_file))
    if resume:
        begun = register.last(suspect, committed)
    else:
        begun = register.begin(suspect, committed, clock, amplification, address)
    return UnderClaim(claim, register.journal(begun.number), register.subject(begun))
