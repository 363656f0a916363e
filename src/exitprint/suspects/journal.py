"""What a suspect answered, kept line by line, so that a killed run can go on without asking again.

One line of JSON for each answered asking, on the disk before the next one is made; the first line says which run it is.
Whoever was killed in the middle of a line has lost that answer only. Each line but the first holds the digest of the
one before it (`before`), so that none can be edited, dropped or moved without all that follow.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from exitprint.errors import ExitprintError, told
from exitprint.files import place_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = 2
BEFORE = "before"
"""In each line but the first: SHA-256 of the line before, without its end."""

WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""What a file system says that keeps no locks, as some network file systems do not."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One answered asking; who keeps a journal adds what it needs to know of the answer.

    Attributes
    ----------
    requests
        Requests made so far, of all kinds and in all runs of this journal.
    bytes
        Bytes sent and received so far in all runs, where the suspect counts them.
    elapsed
        Seconds that the work has taken so far, in all runs.
    """

    requests: int
    bytes: int | None
    elapsed: float


R = TypeVar("R", bound="DataclassInstance")


@dataclass(frozen=True)
class Work(Generic[R]):
    """The work that a journal is kept of.

    Attributes
    ----------
    kind
        What it is, one word; a journal of another kind is refused.
    key
        Digest of everything that the askings depend on; another one is refused.
    record
        The dataclass of one line, such as a `Record`.
    needs
        What must be the same to resume, in words.
    words
        What the first line says besides, for people.
    """

    kind: str
    key: str
    record: type[R]
    needs: str
    words: Mapping[str, Any] = field(default_factory=dict)

    @property
    def header(self) -> dict[str, Any]:
        """The first line."""
        return {"exitprint": f"{self.kind} journal", "version": VERSION, "run": self.key, **self.words}


class Journal(Generic[R]):
    """Answered askings of one piece of work; see `opened`.

    Attributes
    ----------
    path
        Its file; None for a journal that keeps nothing.
    earlier
        Askings of earlier runs, in the order of asking.
    head
        Digest of the last line: it vouches for all lines.
    """

    def __init__(self, path: Path | None = None, file: int = -1, earlier: tuple[R, ...] = (), head: str = "") -> None:
        self.path = path
        self.earlier = earlier
        self.head = head
        self._file = file

    def add(self, record: R) -> None:
        """Put an asking on the disk; nothing is kept where there is no file.

        Raises `ExitprintError` if it cannot be written.
        """
        if self.path is not None:
            self.head = _write(self._file, self.path, {**asdict(record), BEFORE: self.head})


@contextmanager
def opened(path: Path | None, work: Work[R], resume: bool) -> Iterator[Journal[R]]:
    """The journal of a piece of work, ready to be added to; without a path one that keeps nothing.

    `resume` goes on with the journal that is there; where none is, a new one is begun. Raises `ExitprintError` if the
    file cannot be written, is there already although `resume` is not asked for, is in use, is no journal, is damaged,
    or is the journal of other work.
    """
    if path is None:
        yield Journal()
        return
    place_of(path)
    if path.exists() and not resume:
        raise ExitprintError(
            f"{str(path)!r} is there already: resume (--resume) to go on with it, or name another journal."
        )
    with told(f"cannot write the journal {str(path)!r} ({{why}}): choose another place for it (--journal).", OSError):
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        _lock(file, path, work.kind)
        yield Journal(path, file, *_continued(file, path, work))
    finally:
        os.close(file)


def read(path: Path, work: Work[R]) -> Journal[R]:
    """A journal that is there, left as it is.

    Raises `ExitprintError` if it cannot be read, is no journal, is damaged, or is the journal of other work.
    """
    with told(f"cannot read the journal {str(path)!r} ({{why}}): check the path.", OSError):
        content = path.read_bytes()
    return Journal(path, -1, *_parsed(content, path, work))


def _continued(file: int, path: Path, work: Work[R]) -> tuple[tuple[R, ...], str]:
    """Askings in an open file and its head, cut off behind the last whole line; an empty one is given its first."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        if not _line(work.header).startswith(content):
            raise _no_journal(path, work.kind)
        os.ftruncate(file, 0)
        return (), _write(file, path, work.header)
    found = _parsed(whole, path, work)
    os.ftruncate(file, len(whole))
    return found


def _parsed(whole: bytes, path: Path, work: Work[R]) -> tuple[tuple[R, ...], str]:
    """Askings in whole lines, and the digest of the last one."""
    first, *lines = whole.splitlines() or [b""]
    found = _read(first)
    if found is None or found.get("exitprint") != work.header["exitprint"]:
        raise _no_journal(path, work.kind)
    if found != _read(_line(work.header)):
        raise ExitprintError(
            f"{str(path)!r} is the journal of another {work.kind} (other {work.needs}): "
            "resume with what it was begun with, or name another journal."
        )
    adapter = TypeAdapter(work.record)
    earlier: list[R] = []
    head = _digest(first)
    for number, line in enumerate(lines, 2):
        with told(
            f"the journal {str(path)!r} is damaged in line {number}: begin anew with another one.", ValidationError
        ):
            earlier.append(adapter.validate_json(line, strict=True))
        if (_read(line) or {}).get(BEFORE) != head:
            raise ExitprintError(
                f"line {number} of the journal {str(path)!r} does not follow on the line before: one of them was "
                "changed, moved or dropped."
            )
        head = _digest(line)
    return tuple(earlier), head


def _digest(line: bytes) -> str:
    return sha256(line).hexdigest()


def _write(file: int, path: Path, content: Mapping[str, Any]) -> str:
    """Put a line on the disk and give its digest."""
    line = _line(content)
    with told(f"could not write the journal {str(path)!r}: {{why}}; free some space, then resume.", OSError):
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    return _digest(line[:-1])


def _line(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content) + "\n").encode()


def _read(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError, RecursionError):
        content = json.loads(line)
        if isinstance(content, dict):
            return content
    return None


def _no_journal(path: Path, kind: str) -> ExitprintError:
    article = "an" if kind[0] in "aeiou" else "a"
    return ExitprintError(f"{str(path)!r} is no journal of {article} {kind}: name another file.")


def _lock(file: int, path: Path, kind: str) -> None:
    """Keep others from writing the journal, where the file system can; where it cannot, say so once."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == errno.EWOULDBLOCK:
            raise ExitprintError(f"another {kind} is writing the journal {str(path)!r}: wait for it to end.") from error
        if error.errno not in WITHOUT_LOCKS:
            raise ExitprintError(
                f"cannot lock the journal {str(path)!r} ({error.strerror}): choose another place for it (--journal)."
            ) from error
        _say_without_locks(path.parent, kind)


@cache
def _say_without_locks(folder: Path, kind: str) -> None:
    logging.getLogger(__name__).warning(
        "exitprint: the file system of %r keeps no locks: let no other %s write the same journal.", str(folder), kind
    )
