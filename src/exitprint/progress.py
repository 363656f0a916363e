"""Progress with time left, on stderr, for anything over two seconds; silent in a library unless asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SPEED_PERIOD = 600.0
"""Seconds of the past that the time left is estimated from: one step may be a whole training."""

_console: list[Console] = []
_running: list[Progress] = []


def show_progress(show: bool = True) -> None:
    """Show progress bars on stderr from now on (the command line does), or stop doing so."""
    _console[:] = [Console(stderr=True)] if show else []


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that advances a bar of `total` steps; inside another one, the bar appears below that one's."""
    if not _console:
        yield lambda steps: None
        return
    if _running:
        inner = _running[0].add_task(description, total=total)
        try:
            yield lambda steps: _running[0].advance(inner, steps)
        finally:
            _running[0].remove_task(inner)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console[0], transient=True, speed_estimate_period=SPEED_PERIOD) as bar:
        task = bar.add_task(description, total=total)
        _running.append(bar)
        try:
            yield lambda steps: bar.advance(task, steps)
        finally:
            _running.clear()
