"""The one exception that reaches a user: a sentence that says what was wrong and what to do."""

from __future__ import annotations

import importlib
from types import ModuleType


class ExitprintError(Exception):
    """Something a user can mend; its text is one clear sentence, never a traceback."""


class Interrupted(ExitprintError):  # noqa: N818
    """Long work was stopped by the user (Ctrl-C); the text says what a rerun will do."""


def require_extra(module: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra of exitprint brings it, or what it imports itself.

    Raises
    ------
    ExitprintError
        If the module, or one that it imports, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ExitprintError(
            f"this needs the package {(error.name or module).split('.')[0]!r}, which is not installed: "
            f"run pip install 'exitprint[{extra}]'."
        ) from error
