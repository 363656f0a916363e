"""Which verifications were begun under a claim: one line for each, before its first question, in a chained journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, NamedTuple

from exitprint.errors import ExitprintError, told
from exitprint.fingerprints import Reference
from exitprint.suspects.journal import Work, opened, read
from exitprint.suspects.suspect import Clock

FILE = "register.jsonl"
Kind = Literal["runs", "panel", "again"]


@dataclass(frozen=True)
class Brought:
    """A network that the asker knows to be independent, and what a fingerprint comes to on it.

    Attributes
    ----------
    name
        What he calls it.
    sha256
        Of its file.
    share
        Share of pairs, as in `exitprint.fingerprints.Reference`.
    """

    name: str
    sha256: str
    share: float

    @property
    def reference(self) -> Reference:
        """As verification takes it."""
        return Reference(self.name, (self.share,), "other")


class Asking(NamedTuple):
    """With what, and how, somebody is asked.

    Attributes
    ----------
    fingerprint
        Its commitment.
    clock, amplification
        As of verification.
    address
        Whether it is asked at an address.
    references
        Networks that the asker brought: the threshold follows from them too.
    """

    fingerprint: str
    clock: Clock
    amplification: int
    address: bool
    references: tuple[Brought, ...] = ()


@dataclass(frozen=True)
class Begun:
    """One verification that was begun.

    Attributes
    ----------
    number
        Counted from 1.
    begun
        Date and time, UTC, by the asking machine's clock.
    suspect
        An address, or a file with its digest; of a panel the network's name.
    fingerprint, clock, amplification, address, references
        See `Asking`.
    """

    number: int
    begun: str
    suspect: str
    fingerprint: str
    clock: Clock
    amplification: int
    address: bool
    references: tuple[Brought, ...] = ()

    @property
    def asking(self) -> Asking:
        """How it is asked."""
        return Asking(self.fingerprint, self.clock, self.amplification, self.address, self.references)

    @property
    def seen(self) -> tuple[Reference, ...]:
        """The references, as verification takes them."""
        return tuple(each.reference for each in self.references)


@dataclass(frozen=True)
class Register:
    """The verifications of one claim, or a judge's own for it.

    Attributes
    ----------
    folder
        Where the register and the journals lie.
    claim
        SHA-256 of the claim's file.
    kind
        ``runs`` for the asker's, ``panel`` for those of a judge's panel, ``again`` for a judge's of the suspect.
    networks
        Of a panel: SHA-256 of each network's file by its name.
    """

    folder: Path
    claim: str
    kind: Kind = "runs"
    networks: Mapping[str, str] | None = None

    def journal(self, number: int) -> Path:
        """The journal of a verification."""
        return self.folder / f"{number:04d}.jsonl"

    def subject(self, begun: Begun) -> str:
        """What binds a journal to the claim: the subject of its first line."""
        return f"{self.kind} {begun.number} of the claim {self.claim}: {begun.suspect}"

    @property
    def work(self) -> Work[Begun]:
        """What the register's own journal is of."""
        words: dict[str, Any] = {"claim": self.claim, "kind": self.kind, "networks": dict(self.networks or {})}
        key = sha256(repr(sorted(words.items(), key=lambda item: item[0])).encode()).hexdigest()
        return Work("register", key, Begun, "claim, or panel", words)

    def begin(self, suspect: str, asking: Asking) -> Begun:
        """Write down that a verification begins.

        Raises `ExitprintError` if it cannot be written, or the register was changed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with opened(self.folder / FILE, self.work, resume=True) as kept:
            begun = Begun(len(kept.earlier) + 1, datetime.now(UTC).isoformat(timespec="seconds"), suspect, *asking)
            kept.add(begun)
        return begun

    def read(self) -> tuple[Begun, ...]:
        """Every verification that was begun.

        Raises `ExitprintError` if there is no register, it was changed, or a journal is missing.
        """
        begun = read(self.folder / FILE, self.work).earlier
        for number, each in enumerate(begun, 1):
            if each.number != number:
                raise ExitprintError(f"line {number + 1} of the register in {str(self.folder)!r} was changed.")
        return begun

    def last(self, suspect: str, fingerprint: str) -> Begun:
        """The last verification of this suspect, to go on with.

        Raises `ExitprintError` if none was begun.
        """
        found = [each for each in self.read() if (each.suspect, each.fingerprint) == (suspect, fingerprint)]
        if not found:
            raise ExitprintError(f"no verification of {suspect!r} was begun under this claim: leave out --resume.")
        return found[-1]


def panel_register(folder: Path, claim: str) -> Register:
    """The register of a panel, with the networks that its first line names.

    Raises `ExitprintError` if there is none.
    """
    path = folder / FILE
    with told(
        f"{str(path)!r} is no register of a panel: audit the claim again.",
        (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError),
    ):
        networks = json.loads(path.read_bytes().splitlines()[0])["networks"]
        return Register(folder, claim, "panel", {str(name): str(digest) for name, digest in networks.items()})
