"""The command line run in this process, or in a fork of it where its real streams and exit code matter."""

from __future__ import annotations

import json
import os
import sys
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
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
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
