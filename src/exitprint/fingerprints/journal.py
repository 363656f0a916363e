"""What a verification was answered, kept line by line, so that a killed run can go on without asking again.

One line of JSON for each answered asking, on the disk before the next one is made; the first line says which run it is.
Whoever was killed in the middle of a line has lost that answer only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from exitprint.errors import ExitprintError
from exitprint.suspects import Clock

VERSION = 1
KIND = "verification journal"


@dataclass(frozen=True)
class Asking:
    """One answered asking.

    Attributes
    ----------
    kind, index
        What was asked: a kind of input and its number in it, or ``floor`` for the cheapest request.
    seconds, clock
        How long it took.
    requests
        Requests made so far, of all kinds and in all runs of this journal.
    bytes
        Bytes sent and received so far in all runs, where the suspect counts them.
    elapsed
        Seconds that the verification has taken so far, in all runs.
    """

    kind: str
    index: int
    seconds: float
    clock: Clock
    requests: int
    bytes: int | None
    elapsed: float


_ASKING = TypeAdapter(Asking)


class Journal:
    """Answered askings of one verification; see `opened`.

    Attributes
    ----------
    earlier
        Askings of earlier runs, in the order of asking.
    """

    def __init__(self, path: Path | None = None, file: int = -1, earlier: tuple[Asking, ...] = ()) -> None:
        self.path = path
        self.earlier = earlier
        self._file = file

    def add(self, asking: Asking) -> None:
        """Put an asking on the disk; nothing is kept where there is no file.

        Raises
        ------
        ExitprintError
            If it cannot be written.
        """
        if self.path is not None:
            _write(self._file, self.path, asdict(asking))


@contextmanager
def opened(path: Path | None, run: str, words: Mapping[str, Any], resume: bool) -> Iterator[Journal]:
    """The journal of a run, ready to be added to.

    Parameters
    ----------
    path
        Its file; None for a journal that keeps nothing.
    run
        Digest of everything that the run's askings depend on.
    words
        What the first line says about the run besides, for people.
    resume
        Whether to go on with the journal that is there; where none is, a new one is begun.

    Raises
    ------
    ExitprintError
        If the file cannot be written, is there already although `resume` is not asked for, is in use, is no journal,
        is damaged, or is the journal of another run.
    """
    if path is None:
        yield Journal()
        return
    if path.exists() and not resume:
        raise ExitprintError(
            f"{str(path)!r} is there already: resume (--resume) to go on with it, or name another journal."
        )
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise ExitprintError(
            f"cannot write the journal {str(path)!r} ({error.strerror}): choose another place for it (--journal)."
        ) from error
    try:
        _lock(file, path)
        header = {"exitprint": KIND, "version": VERSION, "run": run, **words}
        earlier = _continued(file, path, header)
        yield Journal(path, file, earlier)
    finally:
        os.close(file)


def _continued(file: int, path: Path, header: Mapping[str, Any]) -> tuple[Asking, ...]:
    """Askings in an open file, cut off behind the last whole line; a file without one is given its first."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        if not _line(header).startswith(content):
            raise _no_journal(path)
        os.ftruncate(file, 0)
        _write(file, path, header)
        return ()
    first, *lines = whole.splitlines()
    found = _read(first)
    if found is None or found.get("exitprint") != KIND:
        raise _no_journal(path)
    if found.get("run") != header["run"] or found.get("version") != VERSION:
        raise ExitprintError(
            f"{str(path)!r} is the journal of another verification (other fingerprint, suspect, seed or settings): "
            "resume with what it was begun with, or name another journal."
        )
    earlier = []
    for line in lines:
        try:
            earlier.append(_ASKING.validate_json(line, strict=True))
        except ValidationError as error:
            raise ExitprintError(
                f"the journal {str(path)!r} is damaged in line {len(earlier) + 2}: begin anew with another one."
            ) from error
    os.ftruncate(file, len(whole))
    return tuple(earlier)


def _write(file: int, path: Path, content: Mapping[str, Any]) -> None:
    try:
        rest = memoryview(_line(content))
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError as error:
        raise ExitprintError(
            f"could not write the journal {str(path)!r}: {error.strerror}; free some space, then resume."
        ) from error


def _line(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content) + "\n").encode()


def _read(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError, RecursionError):
        content = json.loads(line)
        if isinstance(content, dict):
            return content
    return None


def _no_journal(path: Path) -> ExitprintError:
    return ExitprintError(f"{str(path)!r} is no journal of a verification: name another file.")


def _lock(file: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ExitprintError(
            f"another verification is writing the journal {str(path)!r}: wait for it to end."
        ) from error
