"""Progress with time left, on stderr, for anything over two seconds; silent in a library unless asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_console: list[Console] = []


def show_progress(show: bool = True) -> None:
    """Show progress bars on stderr from now on (the command line does), or stop doing so."""
    _console[:] = [Console(stderr=True)] if show else []


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that advances a bar of `total` steps."""
    if not _console:
        yield lambda steps: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console[0], transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)
