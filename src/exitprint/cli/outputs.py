"""What a command may write to: nothing that it reads, no special file, and nothing of another kind without being told.

All of it is looked at before the work, which may be long.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from exitprint.errors import ExitprintError, told

Kind = Literal["network", "fingerprint", "ONNX model", "page", "picture"]
Force = Annotated[bool, typer.Option("--force", help="Write over a file of another kind.")]


def check_writable(path: Path) -> Path:
    """Say before long work that the result could not be written after it, and else where it will be.

    Raises `ExitprintError` if there is no folder for it, or something there that is no file.
    """
    from exitprint.files import place_of

    place = place_of(path)
    if not place.parent.is_dir():
        raise ExitprintError(f"there is no folder {str(path.parent)!r} to write {path.name!r} to: make it first.")
    return place


def check_output(path: Path, kind: Kind, *others: Path | str | None, force: bool = False) -> None:
    """Refuse to write something of this kind to `path` where that would destroy what is there.

    Raises `ExitprintError` if it is one of the others, which the command reads or writes besides (paths, or what may be
    one, such as a suspect), whatever its name; if it cannot be written; or, unless forced, if it holds something else.
    """
    from exitprint.files import kind_of

    place = check_writable(path)
    for other in others:
        if other is not None and _same(place, Path(other)):
            also = "" if str(other) == str(path) else f"{str(other)!r}, which is "
            raise ExitprintError(
                f"{str(path)!r} is {also}read or written by this command as well: name another output."
            )
    if force or not place.exists() or place.stat().st_size == 0:
        return
    with told(f"cannot look into {str(path)!r} ({{why}}): name another file.", OSError):
        found = kind_of(place)
    if found != kind:
        holds = f"holds a {found}" if found else f"holds something that is no {kind}"
        raise ExitprintError(f"{str(path)!r} {holds}, which would be lost: name another file, or give --force.")


def _same(place: Path, other: Path) -> bool:
    """Whether both are one file, by whatever names."""
    try:
        return os.path.samefile(place, other)
    except (OSError, ValueError):
        return str(place) == os.path.realpath(other)
