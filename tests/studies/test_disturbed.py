"""A study that is killed, short of disk or run twice at once ends as one that nobody disturbed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from random import Random

import pytest
import small_study
import torch._dynamo  # noqa: F401  what the first optimiser imports, for seconds

KILLS = int(os.environ.get("EXITPRINT_TEST_KILLS", "2"))
"""The long run, `EXITPRINT_TEST_KILLS=50 pytest tests/studies/test_disturbed.py`, takes some minutes."""


class Started:
    """The study in a process of its own, forked from this one, in which everything is imported already."""

    def __init__(self, folder: Path, *options: str, before: Callable[[], None] = lambda: None) -> None:
        self._said = folder.with_name(f"{folder.name}.{time.monotonic_ns()}.err")
        self._process = get_context("fork").Process(target=self._run, args=(folder, options, before))
        self._process.start()

    def _run(self, folder: Path, options: tuple[str, ...], before: Callable[[], None]) -> None:
        file = os.open(self._said, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        before()
        small_study.run(str(folder), *options)

    def killed_after(self, seconds: float) -> bool:
        """Whether it had to be killed, because it was not done by then."""
        self._process.join(seconds)
        running = self._process.exitcode is None
        self._process.kill()
        self._process.join()
        return running

    def end(self) -> tuple[int | None, str]:
        """Exit code, and what it said."""
        self._process.join(240)
        return self._process.exitcode, self._said.read_text()


def results(folder: Path) -> dict[str, bytes]:
    """Tables and networks by name; notes say how long a network took and may differ."""
    kept = (".parquet", ".md", ".safetensors", ".policy")
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.suffix in kept and p.is_file()}


def nothing_half_done(folder: Path) -> bool:
    return not [p for p in folder.rglob("*") if p.suffix in (".tmp", ".unfinished", ".new")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """Results of a run that nobody disturbed, and the seconds it took."""
    folder = tmp_path_factory.mktemp("undisturbed") / "study"
    started = time.monotonic()
    assert Started(folder).end()[0] == 0
    return results(folder), time.monotonic() - started


@pytest.mark.timeout(60 * (KILLS + 5))
def test_killed_at_random_moments(tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]) -> None:
    wanted, seconds = undisturbed
    folder, rng, made, killed = tmp_path / "study", Random(0), {}, 0
    while killed < KILLS:
        killed += Started(folder).killed_after(rng.uniform(0, seconds))
        now = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
        assert made.items() <= now.items(), "something finished was made twice"
        made = now
        for path in [p for p in folder.rglob("*.safetensors") if rng.random() < 0.7]:  # or soon nothing is left to do
            path.unlink()
            del made[path]
        (folder / "table.parquet").unlink(missing_ok=True)
    assert Started(folder).end()[0] == 0
    assert results(folder) == wanted and nothing_half_done(folder)


def test_two_at_once(tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]) -> None:
    folder = tmp_path / "study"
    both = [Started(folder), Started(folder)]
    assert [process.end()[0] for process in both] == [0, 0]
    assert results(folder) == undisturbed[0] and nothing_half_done(folder)


def little_room() -> None:
    """No file may grow beyond 20 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_file_that_may_not_grow(tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]) -> None:
    folder = tmp_path / "study"
    code, said = Started(folder, before=little_room).end()
    assert code == 2 and said.count("\n") == 1 and "free some space" in said
    assert Started(folder).end()[0] == 0
    assert results(folder) == undisturbed[0] and nothing_half_done(folder)


def test_a_full_disk(tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk; the limit on a file's size stands in for it")
    try:
        code, said = Started(disk).end()
        assert code == 2 and said.count("\n") == 1 and "free some space" in said
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert Started(disk).end()[0] == 0
        assert results(disk) == undisturbed[0] and nothing_half_done(disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
