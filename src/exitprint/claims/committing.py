"""Commit to a network and fingerprints of it before any dispute, and check such a claim offline."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from exitprint.claims.images import check_originals, image_digests, listed
from exitprint.claims.signing import load_claim, load_or_make_key, public_key, sign
from exitprint.claims.statement import Claim, DataPart, Opening, commitment, new_salt, now, program, seed_of
from exitprint.claims.timestamps import check_date, check_stamp, stamp
from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.evidence.limits import BUDGET, ERROR_RATE
from exitprint.files import file_digest, read_header, write_bytes
from exitprint.fingerprints import load_fingerprint
from exitprint.fingerprints.verify import check_settings


class Place:
    """Where a claim and what belongs to it lie.

    Attributes
    ----------
    claim
        The claim's file.
    stamp
        What the time-stamping authority answered.
    opening
        The salts, which stay secret until the dispute.
    runs, panel, again
        Folders of the verifications that were begun under this claim, of what a judge's panel answered, and of what the
        suspect answered the judge.
    """

    def __init__(self, claim: Path) -> None:
        self.claim = claim
        self.stamp = claim.with_name(f"{claim.name}.tsr")
        self.opening = claim.with_name(f"{claim.stem}.opening.json")
        self.runs, self.panel, self.again = (
            claim.with_name(f"{claim.stem}.{folder}") for folder in ("runs", "panel", "again")
        )


def commit(
    network: Path,
    fingerprints: Sequence[Path],
    out: Path,
    key: Path,
    data: ImageData,
    *,
    alpha: float = ERROR_RATE,
    beta: float = ERROR_RATE,
    budget: int = BUDGET,
    authority: str | None = None,
) -> Claim:
    """Write a signed claim, its salts beside it, and a time stamp where an authority is named.

    Parameters
    ----------
    network
        The owner's network; its file stays secret.
    fingerprints
        Fingerprints of it; their files stay secret until the dispute.
    out
        The claim's file. Beside it go its salts and its time stamp, see `Place`.
    key
        The owner's private key, see `load_or_make_key`.
    data
        The data set whose test images the originals are.
    alpha, beta, budget
        Of every verification under this claim.
    authority
        Address of a time-stamping authority (RFC 3161).

    Raises
    ------
    ExitprintError
        If a file is not what it should be, an original is not in the data set, a file is there already, or the
        authority does not answer; then nothing is left.
    """
    check_settings(alpha, beta, budget)
    place = Place(out)
    for each in (out, place.stamp, place.opening, place.runs, place.panel, place.again):
        if each.exists():
            raise ExitprintError(f"{str(each)!r} is there already, and a claim is made once: choose another --out.")
    found = read_header(network)["kind"]
    if found != "network":
        raise ExitprintError(f"{str(network)!r} is a {found} file where a network is needed: check the order.")
    made = [load_fingerprint(path) for path in fingerprints]
    if not made:
        raise ExitprintError("a claim needs a fingerprint: name its file after the network's.")
    if len({file_digest(path) for path in fingerprints}) < len(fingerprints):
        raise ExitprintError("a fingerprint is named twice: name each once.")
    digests = image_digests(data.test.pixels[:])
    for fingerprint in made:
        check_originals(fingerprint.originals, digests)
    part = DataPart(
        name=data.name, part="test", images=len(digests), sha256=hashlib.sha256(listed(digests)).hexdigest()
    )
    network_salt = new_salt()
    network_commitment = commitment(network_salt, file_digest(network))
    salts: dict[str, str] = {}
    for path in fingerprints:
        salt = new_salt()
        salts[commitment(salt, file_digest(path))] = salt
    signer = load_or_make_key(key)
    claim = Claim(
        made=now(),
        program=program(),
        key=public_key(signer),
        network=network_commitment,
        fingerprints=tuple(salts),
        data=part,
        alpha=alpha,
        beta=beta,
        budget=budget,
        seed=seed_of(network_commitment, tuple(salts), part.sha256),
    )
    sign(claim, signer, out)
    try:
        write_opening(Opening(network=network_salt, fingerprints=salts), place.opening)
        if authority is not None:
            stamp(out, authority, place.stamp)
    except ExitprintError:
        for each in (out, place.stamp, place.opening):
            each.unlink(missing_ok=True)
        raise
    return claim


def write_opening(opening: Opening, path: Path) -> None:
    """Write salts."""
    write_bytes(path, (opening.model_dump_json(indent=1, exclude_none=True) + "\n").encode())


def load_opening(path: Path) -> Opening:
    """Read salts.

    Raises `ExitprintError` if the file is missing or holds none.
    """
    try:
        return Opening.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ExitprintError(
            f"cannot read {str(path)!r} ({error.strerror}): the salts in it are needed to open the claim."
        ) from error
    except ValidationError as error:
        raise ExitprintError(f"{str(path)!r} holds no salts of a claim: get a whole copy.") from error


@dataclass(frozen=True)
class Checked:
    """A claim that holds.

    Attributes
    ----------
    claim
        It.
    stamped
        The authority's time; None where nothing proves the date.
    """

    claim: Claim
    stamped: datetime | None


def check_claim(path: Path, authority: Path | None = None, key: str | None = None) -> Checked:
    """Check a claim's signature, seed, and time stamp.

    Parameters
    ----------
    path
        The claim's file, its time stamp beside it.
    authority
        Certificates of the time-stamping authority that are trusted, as PEM.
    key
        The public key that the claim has to be signed with, in hexadecimal; by default the one that it names.

    Raises
    ------
    ExitprintError
        If one of them does not hold, or there is a time stamp and nothing to check it by.
    """
    claim = load_claim(path, key)
    if claim.seed != seed_of(claim.network, claim.fingerprints, claim.data.sha256):
        raise ExitprintError("the claim's seed does not follow from what was committed: it was chosen.")
    place = Place(path)
    if not place.stamp.exists():
        if authority is not None:
            raise ExitprintError(f"there is no time stamp {str(place.stamp)!r} to check: leave out --authority.")
        return Checked(claim, None)
    if authority is None:
        raise ExitprintError(
            f"{str(place.stamp)!r} cannot be checked without the authority's certificate: name it (--authority)."
        )
    stamped = check_stamp(place.stamp, path, authority)
    check_date(claim.made, stamped)
    return Checked(claim, stamped)


def committed_network(claim: Claim, opening: Opening, path: Path) -> bool:
    """Whether a file is the network that was committed to."""
    return opening.network is not None and commitment(opening.network, file_digest(path)) == claim.network


def committed_fingerprint(claim: Claim, opening: Opening, path: Path) -> str:
    """The commitment of a fingerprint's file.

    Raises `ExitprintError` if the claim has none of it, or its salt is missing.
    """
    digest = file_digest(path)
    for committed, salt in opening.fingerprints.items():
        if committed in claim.fingerprints and commitment(salt, digest) == committed:
            return committed
    raise ExitprintError(f"{str(path)!r} is not a file that the claim committed to: it is another, or was changed.")
