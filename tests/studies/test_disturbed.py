"""A study that is killed, short of disk or run twice at once ends as one that nobody disturbed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

HERE = Path(__file__).parent
KILLS = int(os.environ.get("EXITPRINT_TEST_KILLS", "5"))
"""The long run, `EXITPRINT_TEST_KILLS=50 pytest tests/studies/test_disturbed.py`, takes some minutes."""


def start(folder: Path, *options: str, before: str = "") -> subprocess.Popen[str]:
    """The study as a process; `before` is Python that runs first."""
    path = os.pathsep.join([str(HERE), *sys.path])
    program = f"{before}\nimport sys, small_study\nsmall_study.run(*sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder), *options],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def results(folder: Path) -> dict[str, bytes]:
    """Tables and networks by name; notes say how long a network took and may differ."""
    kept = (".parquet", ".md", ".safetensors", ".policy")
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.suffix in kept and p.is_file()}


def nothing_half_done(folder: Path) -> bool:
    return not [p for p in folder.rglob("*") if p.suffix in (".tmp", ".unfinished", ".new")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """Results of a run that nobody disturbed, and the seconds it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    started = time.monotonic()
    assert finish(start(folder))[0] == 0
    return results(folder), time.monotonic() - started


@pytest.mark.timeout(60 * (KILLS + 5))
def test_killed_at_random_moments(tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]) -> None:
    wanted, seconds = undisturbed
    rng, made, killed = Random(0), {}, 0
    while killed < KILLS:
        process = start(tmp_path)
        try:
            process.wait(rng.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        finish(process)
        now = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
        assert made.items() <= now.items(), "something finished was made twice"
        made = now
        if killed % 10 == 0:  # begin anew, or most kills would find nothing left to do
            for path in [p for p in tmp_path.rglob("*.safetensors") if rng.random() < 0.7]:
                path.unlink()
                del made[path]
            (tmp_path / "table.parquet").unlink(missing_ok=True)
    assert finish(start(tmp_path))[0] == 0
    assert results(tmp_path) == wanted and nothing_half_done(tmp_path)


def test_two_at_once(tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]) -> None:
    both = [start(tmp_path), start(tmp_path, "--jobs", "2")]
    assert [finish(process)[0] for process in both] == [0, 0]
    assert results(tmp_path) == undisturbed[0] and nothing_half_done(tmp_path)


LITTLE_ROOM = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
"""


def test_a_file_that_may_not_grow(tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]) -> None:
    code, _, err = finish(start(tmp_path, before=LITTLE_ROOM))
    assert code == 2 and err.count("\n") == 1 and "free some space" in err
    assert finish(start(tmp_path))[0] == 0
    assert results(tmp_path) == undisturbed[0] and nothing_half_done(tmp_path)


def test_a_full_disk(tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk; the limit on a file's size stands in for it")
    try:
        code, _, err = finish(start(disk))
        assert code == 2 and err.count("\n") == 1 and "free some space" in err
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        assert finish(start(disk))[0] == 0
        assert results(disk) == undisturbed[0] and nothing_half_done(disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
