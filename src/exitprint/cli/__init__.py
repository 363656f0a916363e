"""The command line. Nothing but `main` is imported before it runs, so that it answers for whatever fails after that."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

ERROR = 2
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells say it."""


def main() -> None:
    """Run the command line; a verdict ends with 0, 1 or 3, every error with 2, Ctrl-C with 130.

    An error is one sentence on stderr; ``--traceback`` or the environment variable ``EXITPRINT_TRACEBACK`` shows where
    it was as well.
    """
    try:
        code = _ended(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:
        with suppress(OSError):
            os.write(2, b"exitprint: something failed, and so did saying what: is there memory left?\n")
        code = ERROR
    sys.exit(code)


def _ended(words: list[str]) -> int:
    """Do what the words say, and give the exit code."""
    from exitprint.cli import streams

    try:
        streams.hold()
        from exitprint.cli.memory import keep_freed_memory

        keep_freed_memory()
        from exitprint.cli.verbs import invoke

        code = invoke(words)
        sys.stdout.flush()
        return code
    except BaseException as error:
        streams.give_up()
        streams.complain(error, words)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else ERROR
