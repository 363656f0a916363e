"""The exceptions that reach a user: each is a sentence that says what was wrong and what to do."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


class ExitprintError(Exception):
    """Something a user can mend; its text is one clear sentence, never a traceback."""


class Interrupted(KeyboardInterrupt):
    """Long work was stopped by the user; the text says what a rerun will do.

    It is a `KeyboardInterrupt`, so that whoever handles errors does not take Ctrl-C for one of them.
    """


@contextmanager
def when_stopped(text: str) -> Iterator[None]:
    """Turn Ctrl-C inside the block, or inside the function that this decorates, into `Interrupted` with this text."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(text) from stop


def in_short(error: BaseException, most: int = 300) -> str:
    """What somebody else's error says, in one line of at most so many characters; its type where it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


@contextmanager
def told(sentence: str, kinds: type[Exception] | tuple[type[Exception], ...] = Exception) -> Iterator[None]:
    """Turn others' errors of these kinds inside the block into `ExitprintError` with this sentence.

    ``{why}`` in it becomes what the error says, in one line: the system's own words where the system refused.
    """
    try:
        yield
    except ExitprintError:
        raise
    except kinds as error:
        why = (error.strerror if isinstance(error, OSError) else None) or in_short(error)
        raise ExitprintError(sentence.replace("{why}", why)) from error


def check_there(path: str | os.PathLike[str]) -> None:
    """Raise `ExitprintError` if there is no such file."""
    if not Path(path).is_file():
        raise ExitprintError(f"there is no file {str(path)!r}: check the path.")


def require_extra(module: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra of exitprint brings it, or what it imports itself.

    Raises `ExitprintError` if the module, or one that it imports, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ExitprintError(
            f"this needs the package {(error.name or module).split('.')[0]!r}, which is not installed: "
            f"run pip install 'exitprint[{extra}]'."
        ) from error
