"""Jobs in processes of their own, one PyTorch thread each; they end with the process that began them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import torch

from exitprint.errors import ExitprintError
from exitprint.threads import single_thread


class InThisProcess(Executor):
    """An executor that does each job at once, here, on one PyTorch thread as everywhere else."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The finished future of a call."""
        future: Future[Any] = Future()
        try:
            with single_thread():
                future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """Where jobs run: in this process, or in `jobs` new ones, which are gone when the block ends.

    Raises `ExitprintError` if `jobs` is not positive, or one of the processes was killed.
    """
    if jobs < 1:
        raise ExitprintError(f"the number of processes must be positive, and not {jobs}.")
    if jobs == 1:
        yield InThisProcess()
        return
    before = multiprocessing.active_children()
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_begin)
    try:
        yield pool
        pool.shutdown()
    except BrokenProcessPool as error:
        raise ExitprintError("one of the processes was killed (out of memory?): run the same command again.") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            if process not in before:
                process.terminate()


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    end_with_parent()


def end_with_parent() -> None:
    """Let this process die with the one that began it, however that ends."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
