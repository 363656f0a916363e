"""Where a file system keeps no locks the journal is written all the same, and that is said once."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from exitprint.errors import ExitprintError
from exitprint.suspects.journal import Record, Work, opened


@dataclass(frozen=True)
class Asked(Record):
    index: int


WORK = Work("verification", "key", Asked, "suspect")
WITHOUT = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP]
BROKEN = [errno.EIO, errno.EBADF, errno.EINVAL, errno.EACCES, errno.EPERM, errno.ESTALE]


def flock_says(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


def write(path: Path, index: int, resume: bool = False) -> tuple[Asked, ...]:
    with opened(path, WORK, resume) as journal:
        journal.add(Asked(index, requests=index, bytes=None, elapsed=0.0))
        return journal.earlier


@pytest.mark.parametrize("code", WITHOUT, ids=errno.errorcode.get)
def test_without_locks_the_journal_is_kept_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    flock_says(monkeypatch, code)
    write(tmp_path / "a.jsonl", 1)
    assert [asked.index for asked in write(tmp_path / "a.jsonl", 2, resume=True)] == [1]
    write(tmp_path / "b.jsonl", 1)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "keeps no locks" in said[0] and str(tmp_path) in said[0]


@pytest.mark.parametrize("code", {errno.EWOULDBLOCK, errno.EAGAIN}, ids=errno.errorcode.get)
def test_only_would_block_means_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    flock_says(monkeypatch, code)
    with pytest.raises(ExitprintError, match="another verification is writing"):
        write(tmp_path / "a.jsonl", 1)


def test_a_journal_in_use_is_busy(tmp_path: Path) -> None:
    with opened(tmp_path / "a.jsonl", WORK, False), pytest.raises(ExitprintError, match="another verification"):
        write(tmp_path / "a.jsonl", 1, resume=True)


@pytest.mark.parametrize("code", BROKEN, ids=errno.errorcode.get)
def test_any_other_failure_is_named_and_nobody_is_told_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    flock_says(monkeypatch, code)
    with pytest.raises(ExitprintError, match="cannot lock") as caught:
        write(tmp_path / "a.jsonl", 1)
    assert os.strerror(code) in str(caught.value) and "wait" not in str(caught.value)
