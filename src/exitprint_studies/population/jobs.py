"""Running what a study declares: every network once, parents first, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exitprint.errors import ExitprintError, Interrupted
from exitprint.processes import InThisProcess, processes
from exitprint.progress import progress
from exitprint_studies.population.cluster import cluster
from exitprint_studies.population.declare import Spec, Trained, is_there, realise, with_ancestors
from exitprint_studies.population.estimate import estimated_bytes, estimated_seconds
from exitprint_studies.population.store import Store

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def executor(jobs: int = 1, ray: str | None = None) -> Iterator[Executor]:
    """Where jobs run: in this process, in `jobs` new ones of one PyTorch thread each, or on a cluster.

    Parameters
    ----------
    jobs
        Number of processes; they are gone when the block ends.
    ray
        Address of a Ray cluster, see `population.cluster`; it takes the place of processes.

    Raises
    ------
    ExitprintError
        If `jobs` is not positive, one of the processes was killed, or there is no such cluster.
    """
    if ray is not None:
        if jobs > 1:
            raise ExitprintError("jobs run either in processes of this machine or on a Ray cluster, not both.")
        with cluster(ray) as pool_of_cluster:
            yield pool_of_cluster
        return
    with processes(jobs) as pool:
        yield pool


def run_jobs(
    function: Callable[[Item], Result], items: Iterable[Item], pool: Executor, description: str
) -> list[Result]:
    """What `function` returns for each item, in order; jobs are independent of each other.

    Parameters
    ----------
    function
        Importable by name, so that another process can call it.
    items
        What pickle can carry.
    pool
        Where to run, see `executor`.
    description
        Of the progress bar.

    Raises
    ------
    Interrupted
        On Ctrl-C.
    """
    todo = list(items)
    with stoppable(), progress(description, len(todo)) as advance:
        futures = [pool.submit(function, item) for item in todo]
        for future in futures:
            future.result()
            advance(1)
    return [future.result() for future in futures]


def realise_all(
    specs: Iterable[Spec], store: Store, data_dir: Path | None = None, pool: Executor | None = None
) -> None:
    """Put every declared network, and all they are made from, into the store; what is there is left alone.

    A network is begun as soon as its parent is there, in the order of `specs`.

    Raises
    ------
    Interrupted
        On Ctrl-C; what was finished is kept.
    """
    order = with_ancestors(specs)
    waiting = [spec for spec in order if not is_there(spec, store)]
    absent = {spec.model_dump_json() for spec in waiting}
    running: dict[Future[None], str] = {}
    pool = pool or InThisProcess()
    with stoppable(), progress("making networks", len(order)) as advance:
        advance(len(order) - len(waiting))
        while waiting or running:
            ready = [s for s in waiting if isinstance(s, Trained) or s.parent.model_dump_json() not in absent]
            batch = ready[:1] if isinstance(pool, InThisProcess) else ready
            for spec in batch:
                running[pool.submit(_put, spec, store, data_dir)] = spec.model_dump_json()
            waiting = [spec for spec in waiting if spec not in batch]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                absent.remove(running.pop(future))
                advance(1)


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes
    ----------
    networks, present
        How many there are in all, and how many of them are in the store already.
    seconds
        Estimated CPU seconds for the rest.
    megabytes
        Estimated disk space for the rest.
    measured
        Whether the estimate rests on networks in this store; otherwise on a guess at this machine's speed.
    """

    networks: int
    present: int
    seconds: float
    megabytes: float
    measured: bool


def plan(specs: Iterable[Spec], store: Store) -> Plan:
    """Say what `realise_all` would do, and do nothing."""
    order = with_ancestors(specs)
    missing = [spec for spec in order if not is_there(spec, store)]
    seconds, measured = estimated_seconds(missing, order, store)
    size = sum(estimated_bytes(spec) for spec in missing)
    return Plan(len(order), len(order) - len(missing), seconds, size / 1e6, measured)


def _put(spec: Spec, store: Store, data_dir: Path | None) -> None:
    realise(spec, store, data_dir)


@contextmanager
def stoppable() -> Iterator[None]:
    """Say at Ctrl-C what a rerun does."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped; what was finished is kept: run the same command again and it continues.") from stop
