"""Options that several verbs share, and how their results are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from exitprint.errors import ExitprintError

out = Console(highlight=False, soft_wrap=True)

DataName = Annotated[str, typer.Option("--data", help="digits, cifar10, cifar100, tiny-imagenet or fashion-mnist.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="EXITPRINT_DATA_DIR", help="Folder with NAME/train*.parquet; default: the hub."),
]
Limit = Annotated[int | None, typer.Option("--limit", help="Use this many training images.")]
Out = Annotated[Path, typer.Option("--out", help="File to write.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def print_json(value: Any) -> None:
    """JSON for machines, on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def check_writable(path: Path) -> None:
    """Say before long work that the result could not be written after it."""
    if not path.parent.is_dir():
        raise ExitprintError(f"there is no folder {str(path.parent)!r} to write {path.name!r} to: make it first.")
    if path.is_dir():
        raise ExitprintError(f"{str(path)!r} is a folder: give the name of a file.")
