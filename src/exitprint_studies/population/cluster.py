"""Jobs on a Ray cluster, behind the interface of `concurrent.futures.Executor`."""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch

from exitprint.errors import ExitprintError, require_extra

MOST_JOBS_PER_GPU = 8
CONNECT_SECONDS = 10.0
RETRIES = 1
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}
"""Ray sends no statistics home and warns of nothing that does not concern us."""


class OnCluster(Executor):
    """An executor whose every job is a Ray task of one processor and, where the cluster has GPUs, a share of one.

    Parameters
    ----------
    ray
        The module, connected to a cluster.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        resources = ray.cluster_resources()
        share = gpu_share(resources.get("CPU", 0), resources.get("GPU", 0))
        self._task = ray.remote(_call).options(num_cpus=1, num_gpus=share, max_retries=RETRIES)
        self._running: set[Any] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The future of a call somewhere in the cluster; errors come out as the call raised them."""
        reference = self._task.remote(fn, args, kwargs)
        self._running.add(reference)
        outcome: Future[Any] = Future()

        def pass_on(done: Future[Any]) -> None:
            self._running.discard(reference)
            error = done.exception()
            if error is None:
                outcome.set_result(done.result())
            else:
                outcome.set_exception(self._explained(error))

        reference.future().add_done_callback(pass_on)
        return outcome

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop what is still running, if that is wanted; the cluster goes on."""
        if cancel_futures:
            for reference in list(self._running):
                self._ray.cancel(reference, force=True)

    def _explained(self, error: BaseException) -> BaseException:
        if isinstance(error, self._ray.exceptions.RayTaskError):
            return self._explained(error.cause)
        if isinstance(error, self._ray.exceptions.RayError):
            told = ExitprintError(
                f"a job on the Ray cluster was lost ({type(error).__name__}; out of memory, or a machine left?): "
                "run the same command again and it continues."
            )
            told.__cause__ = error
            return told
        return error


@contextmanager
def cluster(address: str) -> Iterator[OnCluster]:
    """A connection to the Ray cluster at `address`, gone when the block ends; what Ray says goes to stderr meanwhile.

    Every machine of it needs exitprint, and must see the store and the data under the same paths.

    Parameters
    ----------
    address
        ``HOST:PORT`` or ``ray://HOST:PORT``; ``auto`` for the cluster that runs on this machine; ``local`` starts one
        here, for this block only.

    Raises
    ------
    ExitprintError
        If the extra ``ray`` is not installed, or there is no such cluster.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    ray = require_extra("ray", "ray")
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    with redirect_stdout(sys.stderr):
        try:
            _check_that_somebody_listens(address)
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
        except (OSError, RuntimeError, ValueError) as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise ExitprintError(
                f"no Ray cluster can be reached at {address!r} ({why}): start one with `ray start --head`, or use "
                "--ray local or --jobs."
            ) from error
        pool = OnCluster(ray)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
            ray.shutdown()


def _check_that_somebody_listens(address: str) -> None:
    """Ray itself would try for a minute and a half."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def gpu_share(processors: float, gpus: float) -> float:
    """The part of a GPU that a job gets: so many at once as there are processors for, and at most eight on one GPU."""
    if not gpus:
        return 0.0
    at_once = min(MOST_JOBS_PER_GPU, max(1, int(processors // gpus)))
    return math.floor(1e4 / at_once) / 1e4


def _call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    torch.set_num_threads(1)
    return fn(*args, **kwargs)
