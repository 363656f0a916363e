"""A server in a process of its own, for as long as it is needed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

from exitprint.errors import ExitprintError
from exitprint.networks import load_network
from exitprint.processes import end_with_parent
from exitprint.serving.server import serve
from exitprint.suspects.through import Through

START_SECONDS = 300.0
"""How long a server may take to start; importing torch takes seconds on a quiet machine."""


@contextmanager
def running(
    network: str | os.PathLike[str], name: str = "network", *, show_exit: bool = False, through: Through | None = None
) -> Iterator[str]:
    """Serve a network file from another process at a free port of 127.0.0.1, until the block ends; see `serve`.

    Yields
    ------
    str
        The model's address.

    Raises
    ------
    ExitprintError
        If the server does not start.
    """
    with in_process_of_its_own(_serve, (Path(network), name, show_exit, through)) as url:
        yield url


@contextmanager
def in_process_of_its_own(target: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[str]:
    """Run ``target(*arguments, announce=...)`` in a new process until the block ends; it dies with this one too.

    `target` must be importable by name, and call `announce` with its address once it answers.
    """
    context = _context(target.__module__)
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sending, target, arguments), daemon=True)
    process.start()
    sending.close()
    try:
        if not receiving.poll(START_SECONDS):
            raise ExitprintError(f"the server did not start within {START_SECONDS:.0f} seconds: try again.")
        try:
            kind, text = receiving.recv()
        except EOFError:
            raise ExitprintError("the server stopped before it could answer: run it by hand to see why.") from None
        if kind == "error":
            raise ExitprintError(text)
        yield text
    finally:
        receiving.close()
        process.terminate()
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()


def _context(target: str) -> ForkServerContext | SpawnContext:
    """New processes; where the system can, forked from one that has imported what they need and nothing else."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([target, "exitprint.networks", "kserve", "torch._dynamo"])
    return context


def _serve(path: Path, name: str, show_exit: bool, through: Through | None, announce: Callable[[str], None]) -> None:
    serve(load_network(path), name, port=0, show_exit=show_exit, through=through, announce=announce)


def _child(sending: Connection, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    try:
        target(*arguments, announce=lambda url: sending.send(("url", url)))
    except ExitprintError as error:
        sending.send(("error", str(error)))
