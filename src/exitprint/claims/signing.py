"""A DSSE envelope with an Ed25519 signature (Dead Simple Signing Envelope, secure-systems-lab/dsse), and its key."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from exitprint.claims.statement import Claim
from exitprint.errors import ExitprintError, require_extra, told
from exitprint.files import write_bytes

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

PAYLOAD_TYPE = "application/vnd.exitprint.claim+json"
MOST_BYTES = 1 << 20
"""No claim, and nothing else of its kind, is larger."""


def load_or_make_key(path: Path) -> CryptoSigner:
    """The owner's private key: an unencrypted Ed25519 key as PEM (PKCS #8), made where there is none.

    Raises `ExitprintError` if the file holds something else, or cannot be written.
    """
    require_extra("securesystemslib.signer", "claims")
    require_extra("cryptography", "claims")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

    if not path.exists():
        key = Ed25519PrivateKey.generate()
        content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write_secret(path, content)
    with told(
        f"{str(path)!r} is no unencrypted private key as PEM: name another --key.", (OSError, ValueError, TypeError)
    ):
        found = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(found, Ed25519PrivateKey):
        raise ExitprintError(f"the key in {str(path)!r} is not an Ed25519 key: name another --key.")
    from securesystemslib.signer import CryptoSigner

    return CryptoSigner(found, _key(found.public_key().public_bytes_raw().hex()))


def _write_secret(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read."""
    with told(f"cannot write the key {str(path)!r} ({{why}}): choose another path.", OSError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(content)


def public_key(signer: CryptoSigner) -> str:
    """The public key that belongs to a private one, 32 bytes in hexadecimal."""
    return str(signer.public_key.keyval["public"])


def _key(public: str) -> SSlibKey:
    from securesystemslib.signer import SSlibKey

    return SSlibKey(hashlib.sha256(bytes.fromhex(public)).hexdigest(), "ed25519", "ed25519", {"public": public})


def sign(claim: Claim, signer: CryptoSigner, path: Path) -> None:
    """Write a claim, signed, whole or not at all."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(claim.canonical(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    write_bytes(path, (json.dumps(envelope.to_dict(), indent=1) + "\n").encode())


def load_claim(path: Path, key: str | None = None) -> Claim:
    """Read a claim whose signature holds.

    Parameters
    ----------
    path
        Its file.
    key
        The public key that it has to be signed with, in hexadecimal; by default the one that it names.

    Raises
    ------
    ExitprintError
        If the file is missing or no claim, or the signature is wrong or of another key.
    """
    require_extra("securesystemslib.signer", "claims")
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    try:
        envelope = Envelope.from_dict(json_object(path))
        claim = Claim.model_validate_json(envelope.payload)
    except OSError as error:
        raise ExitprintError(f"cannot read {str(path)!r} ({error.strerror}): check the path.") from error
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise ExitprintError(f"{str(path)!r} is no claim of exitprint: get a whole copy.") from error
    if envelope.payload_type != PAYLOAD_TYPE or claim.canonical() != envelope.payload:
        raise ExitprintError(f"{str(path)!r} is no claim of exitprint: get a whole copy.")
    if key is not None and key.lower() != claim.key:
        raise ExitprintError(f"the claim {str(path)!r} names another key than {key}: it is somebody else's.")
    with told(
        f"the signature of {str(path)!r} is not of the key that the claim names: it was changed, or signed with "
        "another key.",
        VerificationError,
    ):
        envelope.verify([_key(claim.key)], 1)
    return claim


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file from others.

    Raises `OSError` if it cannot be read; `ValueError` if it is too large, nested too deep, or something else.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("too large")
    try:
        found = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found
