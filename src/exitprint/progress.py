"""Progress with time left, on stderr: a bar on a terminal, else a line now and then; silent in a library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SPEED_PERIOD = 600.0
"""Seconds of the past that the time left is estimated from: one step may be a whole training."""

SILENT = 20.0
"""Seconds between two lines where stderr is no terminal, and before the first."""
MINUTES_FROM = 120

_console: list[Console] = []
_running: list[Progress] = []


def show_progress(show: bool = True) -> None:
    """Show progress on stderr from now on (the command line does), or stop doing so."""
    _console[:] = [Console(stderr=True)] if show else []


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that advances a bar of `total` steps; inside another one, the bar appears below that one's.

    Where stderr is no terminal, as under nohup and in a log, a line says how far it is every `SILENT` seconds.
    """
    if not _console:
        yield lambda steps: None
        return
    if not _console[0].is_terminal:
        yield _Lines(description, total).advance
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


class _Lines:
    """Says now and then how many of `total` steps are done."""

    def __init__(self, description: str, total: int) -> None:
        self.description, self.total, self.done = description, total, 0
        self.began = self.said = monotonic()

    def advance(self, steps: int) -> None:
        """Count these steps, and say a line if it is time for one."""
        self.done += steps
        now = monotonic()
        if now - self.said < SILENT or not 0 < self.done < self.total:
            return
        self.said = now
        left = (now - self.began) / self.done * (self.total - self.done)
        time = f"{left / 60:.0f} min" if left >= MINUTES_FROM else f"{left:.0f} s"
        line = f"{self.description}: {self.done} of {self.total}, about {time} left"
        _console[0].print(line, markup=False, highlight=False, soft_wrap=True, emoji=False)
