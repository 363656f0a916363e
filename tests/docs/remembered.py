"""Commands that one page gives like another are run once: the same seed and the same files give the same file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

VERBS = ("train", "tamper", "fingerprint")


def remembered(arguments: list[str], store: Path, run: Callable[[], object]) -> object:
    """What `run` gives, or, where the same command was run before, only its file and what it printed.

    Parameters
    ----------
    arguments
        Of `exitprint`.
    store
        Folder of what was made before.
    run
        Runs the command.
    """
    if arguments[0] not in VERBS or "--out" not in arguments or "--save-every" in arguments:
        return run()
    place = arguments.index("--out") + 1
    out, kept = Path(arguments[place]), store / _key([*arguments[:place], *arguments[place + 1 :]])
    if kept.is_dir():
        shutil.copy(kept / "file", out)
        print((kept / "printed").read_text().replace((kept / "name").read_text(), str(out)), end="")
        return 0
    printed = io.StringIO()
    code: object = 0
    try:
        with contextlib.redirect_stdout(printed):
            code = run()
    except SystemExit as end:
        code = end.code
    print(printed.getvalue(), end="")
    if not code and out.is_file():
        kept.mkdir(parents=True)
        for name, text in (("printed", printed.getvalue()), ("name", str(out))):
            (kept / name).write_text(text)
        shutil.copy(out, kept / "file")
    return code


def _key(words: list[str]) -> str:
    """A digest of the words of a command, and of the files that they name."""
    files = {word: hashlib.sha256(Path(word).read_bytes()).hexdigest() for word in words if Path(word).is_file()}
    return hashlib.sha256(json.dumps([words, files]).encode()).hexdigest()
