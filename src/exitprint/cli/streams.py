"""Standard streams that cannot spoil an exit code, and what is said on them when a command fails."""

from __future__ import annotations

import io
import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from exitprint.display import legible
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

TRACEBACK = "--traceback"
TRACEBACK_VARIABLE = "EXITPRINT_TRACEBACK"
LONGEST = 400
"""Letters of a foreign error's text that are shown."""


class _Unread(io.FileIO):
    """A stream whose reader may go away: what is written after that is dropped."""

    def write(self, content: ReadableBuffer, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            return memoryview(content).nbytes


class _Dispensable(io.FileIO):
    """A stream that says nothing of importance: whatever cannot be written is dropped."""

    def write(self, content: ReadableBuffer, /) -> int:
        with suppress(OSError):
            return super().write(content)
        return memoryview(content).nbytes


def hold() -> None:
    """Make the standard streams take everything: a closed one, one that nobody reads, letters that it cannot show."""
    free = os.open(os.devnull, os.O_RDWR)
    while free <= 2:  # else the next file that is opened would be taken for stdout or stderr
        free = os.open(os.devnull, os.O_RDWR)
    os.close(free)
    sys.stdout = _held(sys.stdout, 1, _Unread)
    sys.stderr = _held(sys.stderr, 2, _Dispensable)


def _held(stream: TextIO | None, number: int, kind: type[io.FileIO]) -> TextIO:
    if stream is None:
        return open(number, "w", errors="replace", closefd=False)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    try:
        same = stream.fileno() == number and not stream.isatty()
    except (OSError, ValueError):
        return stream
    if not same:
        return stream
    raw = io.BufferedWriter(kind(number, "w", closefd=False))
    return io.TextIOWrapper(raw, stream.encoding, "replace", line_buffering=number == 2)


def give_up() -> None:
    """Write what stdout still holds, or drop it: it must not fail again when the program ends."""
    try:
        sys.stdout.flush()
    except Exception:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(error: BaseException, words: list[str]) -> None:
    """One sentence on stderr, and before it the way to the error where that was asked for."""
    more = TRACEBACK in words or os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0")
    with suppress(OSError, ValueError):
        if more:
            traceback.print_exception(error, file=sys.stderr)
        print(f"exitprint: {legible(_sentence(error))}", file=sys.stderr, flush=True)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, ExitprintError):
        return text
    if isinstance(error, KeyboardInterrupt):
        return text or "stopped; nothing was written."
    if isinstance(error, MemoryError):
        return "there is not enough memory: ask for less (--limit, --samples), or close other programs."
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f" ({error.filename})"
        return f"the system refused something: {error.strerror}{place}; {TRACEBACK} says where."
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]} …"
    what = type(error).__name__ + (f": {text}" if text else "")
    return f"this was not expected ({what}): {TRACEBACK} says where; please report it."
