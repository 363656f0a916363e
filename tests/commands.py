"""The command line run in this process, or in a fork of it where its real streams and exit code matter."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exitprint.cli import main


@dataclass
class Run:
    """What a command printed and returned."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def code_in_a_fork(
    *words: object,
    streams: Mapping[int, int | None],
    encoding: str = "utf-8",
    before: Callable[[], None] = lambda: None,
) -> int:
    """The exit code of `exitprint` with these words, on a terminal of this encoding.

    `streams` says what stdin (0), stdout (1) and stderr (2) are: another open file, or None for a closed one. `before`
    is called in the fork before the command.
    """
    return os.waitstatus_to_exitcode(os.waitpid(_forked(words, streams, encoding, before), 0)[1])


def _forked(
    words: tuple[object, ...],
    streams: Mapping[int, int | None],
    encoding: str = "utf-8",
    before: Callable[[], None] = lambda: None,
) -> int:
    """The number of a fork that runs `exitprint` with these words."""
    process = os.fork()
    if process:
        return process
    for number, file in streams.items():
        os.close(number) if file is None else os.dup2(file, number)
    sys.argv = ["exitprint", *map(str, words)]
    code: object = 70
    try:
        sys.stdout, sys.stderr = (_stream(number, encoding) for number in (1, 2))
        before()
        main()
    except SystemExit as end:
        code = end.code
    finally:
        os._exit(_finalised(code))


class Started:
    """The command line in a fork of this process, on files of its own, that goes on while this one does something else.

    Parameters
    ----------
    words
        After `exitprint`.
    stderr
        An open file in place of its own.
    """

    def __init__(self, *words: object, stderr: int | None = None) -> None:
        self._out, self._err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")  # noqa: SIM115
        streams = {1: self._out.fileno(), 2: self._err.fileno() if stderr is None else stderr}
        self._process = _forked(words, streams)
        self._code: int | None = None

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        if self._code is None:
            ended, status = os.waitpid(self._process, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if ended else None
        return self._code is None

    def send(self, signal: int) -> None:
        """Send it a signal."""
        if self.runs():
            os.kill(self._process, signal)

    def ended(self) -> Run:
        """What it printed and returned, once it is through."""
        if self.runs():
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])
        assert self._code is not None
        printed = []
        for file in (self._out, self._err):
            file.seek(0)
            printed.append(file.read())
            file.close()
        return Run(self._code, *printed)


def _stream(number: int, encoding: str) -> Any:
    try:
        return open(number, "w", encoding=encoding, closefd=False)
    except OSError:
        return None


def _finalised(code: object) -> int:
    """What an interpreter that takes itself down makes of an exit code: 120 where stdout cannot be written then."""
    try:
        sys.stdout.flush()
    except Exception:
        return 120
    return code if isinstance(code, int) else int(code is not None)
