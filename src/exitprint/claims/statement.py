"""What a claim says: salted hashes, the data set, the program, the error rates, and the seed that follows from them."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from exitprint.files import file_digest
from exitprint.strict import Strict

SALT_BYTES = 32
"""Bytes of the salt that hides what is committed to: 256 bits, as many as the digest has."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest, or 32 other bytes, in hexadecimal."""


class Program(Strict):
    """The program that a claim was made with.

    Attributes
    ----------
    version
        Its version.
    sha256
        Of its source files, see `program`.
    """

    version: str
    sha256: Digest


class DataPart(Strict):
    """The images that originals were chosen from.

    Attributes
    ----------
    name
        The data set's.
    part
        Which of its parts, ``test``.
    images
        How many there are.
    sha256
        Of the list of their digests, see `exitprint.claims.images`.
    """

    name: str = Field(min_length=1, max_length=200)
    part: Literal["test"]
    images: int = Field(gt=0)
    sha256: Digest


class Claim(Strict):
    """What an owner commits to before any dispute.

    Attributes
    ----------
    made
        Date and time by the owner's clock, UTC.
    program
        What made it.
    key
        The owner's public Ed25519 key.
    network, fingerprints
        Commitments, see `commitment`: the files stay secret.
    data
        The images that the originals are from.
    alpha, beta, budget
        Of every verification under this claim; see `exitprint.verify`.
    seed
        Of every verification under this claim: it follows from the commitments, see `seed_of`.
    """

    exitprint: Literal["claim"] = "claim"
    version: Literal[1] = 1
    made: datetime
    program: Program
    key: Digest
    network: Digest
    fingerprints: tuple[Digest, ...] = Field(min_length=1)
    data: DataPart
    alpha: float = Field(gt=0, lt=1)
    beta: float = Field(gt=0, lt=1)
    budget: int = Field(gt=0)
    seed: int = Field(ge=0)

    def canonical(self) -> bytes:
        """The claim as the bytes that are signed."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()


class Opening(Strict):
    """The salts of a claim's commitments: secret until the dispute, and needed then.

    Attributes
    ----------
    network
        Salt of the network's commitment; left out where the network stays secret.
    fingerprints
        Salt of each fingerprint, by its commitment.
    """

    exitprint: Literal["opening"] = "opening"
    network: Digest | None = None
    fingerprints: dict[Digest, Digest]


def new_salt() -> str:
    """A salt that nobody can guess."""
    return secrets.token_hex(SALT_BYTES)


def commitment(salt: str, digest: str) -> str:
    """SHA-256 of a salt and of a file's digest, both as bytes: it says nothing about the file to who lacks the salt."""
    return hashlib.sha256(bytes.fromhex(salt) + bytes.fromhex(digest)).hexdigest()


def seed_of(network: str, fingerprints: tuple[str, ...], data: str) -> int:
    """The seed that follows from what was committed: the first four bytes of a SHA-256, so that nobody chooses it."""
    words = "\n".join(["exitprint seed", network, *fingerprints, data])
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big")


@cache
def program() -> Program:
    """The version of this program, and a digest of its source files: names and contents, in order of their names."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n{file_digest(path)}\n".encode())
    return Program(version=metadata.version("exitprint"), sha256=digest.hexdigest())


def now() -> datetime:
    """This moment, UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
