"""Time stamps by RFC 3161: an authority signs the digest of a file, with the time."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path

from exitprint.errors import ExitprintError, require_extra, told
from exitprint.files import write_bytes

MOST_BYTES = 1 << 17
"""An authority's answer is read up to so many bytes; with its certificates one has a few thousand."""
PATIENCE = 30.0
"""Seconds that an authority is waited for."""
TOLERANCE = timedelta(days=1)
"""How far the owner's clock and the authority's may lie apart: a claim is stamped soon after it was made."""


def stamp(path: Path, url: str, to: Path) -> None:
    """Have a file stamped by the authority at `url`, and write its whole answer.

    Raises `ExitprintError` if the authority cannot be reached, or answers something else or something that is not about
    this file.
    """
    require_extra("rfc3161_client", "claims")
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    if not url.startswith(("http://", "https://")):
        raise ExitprintError(f"{url!r} is no address of a time-stamping authority: it begins with https:// or http://.")
    asked = TimestampRequestBuilder().data(path.read_bytes()).hash_algorithm(HashAlgorithm.SHA512).build()
    request = urllib.request.Request(
        url, asked.as_bytes(), {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            said = answer.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ExitprintError(f"the time-stamping authority {url} did not answer ({reason}): try another.") from error
    found = _decoded(said, f"the answer of {url}")
    if found.tst_info.nonce != asked.nonce or found.tst_info.message_imprint.message != asked.message_imprint.message:
        raise ExitprintError(f"the authority {url} stamped something else than it was asked to: try another.")
    write_bytes(to, said)


def check_stamp(stamped: Path, of: Path, authority: Path) -> datetime:
    """The time that an authority, whose certificates are trusted (PEM), says a file was there.

    Raises `ExitprintError` if its answer `stamped` is damaged, of another file, or not signed by it.
    """
    require_extra("rfc3161_client", "claims")
    from cryptography import x509
    from rfc3161_client import VerificationError, VerifierBuilder

    found = _decoded(_read(stamped), repr(str(stamped)))
    with told(f"{str(authority)!r} holds no certificates as PEM: name another --authority.", ValueError):
        builder = VerifierBuilder()
        for certificate in x509.load_pem_x509_certificates(_read(authority)):
            builder = builder.add_root_certificate(certificate)
        verifier = builder.build()
    with told(
        f"the time stamp {str(stamped)!r} is not one that {authority.name} gave {of.name}: it is of another file, "
        "of another authority, or was changed.",
        (VerificationError, ValueError),
    ):
        verifier.verify_message(found, _read(of))
    return found.tst_info.gen_time


def check_date(made: datetime, stamped: datetime) -> None:
    """Refuse a claim whose own date is not the authority's.

    Raises `ExitprintError` if they lie more than `TOLERANCE` apart.
    """
    if abs(stamped - made) > TOLERANCE:
        raise ExitprintError(
            f"the claim says that it was made on {made:%Y-%m-%d %H:%M} and was stamped on {stamped:%Y-%m-%d %H:%M} "
            "(UTC): its date was set."
        )


def _decoded(content: bytes, what: str):  # type: ignore[no-untyped-def]
    from rfc3161_client import decode_timestamp_response

    with told(f"{what} is no time stamp (RFC 3161).", ValueError):
        if len(content) > MOST_BYTES:
            raise ValueError("too large")
        found = decode_timestamp_response(content)
        found.tst_info  # noqa: B018 - a refusal has none
    return found


def _read(path: Path) -> bytes:
    with told(f"cannot read {str(path)!r} ({{why}}): check the path.", OSError):
        return path.read_bytes()
