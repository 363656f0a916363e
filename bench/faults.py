"""`python -m bench.faults`: does `verify` end with 0, 1 or 3 without a verdict when a call of the system fails once?

A small library before the C library (`faults.c`) counts the calls that write, open, connect, send and allocate, and
makes one of them fail. A process that has everything imported forks for each run, so that a run is the command from the
first line of `exitprint.cli.main` to its exit code. A code of 0, 1 or 3 must come with the whole verdict on stdout.
"""

from __future__ import annotations

import ctypes
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

CLASSES = {
    "write, full disk": 40,
    "write, broken pipe": 20,
    "sync, truncate": 40,
    "rename": 20,
    "open": 40,
    "socket": 40,
    "connect": 40,
    "send": 40,
    "allocate": 120,
    "map memory": 30,
}
"""Kinds of call in the order of `faults.c`, and how many runs each may have at most in one scenario."""

LIBRARY = "EXITPRINT_FAULTS"
LONGEST = 60
"""Seconds after which a run is killed."""

VERDICTS = {0: "derived", 1: "independent", 3: "inconclusive"}
DIGITS = ("--data", "digits")
NETWORK = ("--arch", "resnet14", "--width", "8", "--epochs", "8", "--threshold", "0.9", *DIGITS)


def main() -> None:
    """Build the library, and run under it."""
    if LIBRARY in os.environ:
        _all()
        return
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "faults.so")
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
        environment = {**os.environ, LIBRARY: str(library), "LD_PRELOAD": str(library), "PYTHONMALLOC": "malloc"}
        sys.exit(subprocess.run([sys.executable, "-m", "bench.faults"], env=environment).returncode)


def _all() -> None:
    for module in ("exitprint.cli.verbs", "exitprint.reports", "exitprint.serving", "exitprint.suspects.http", "httpx"):
        importlib.import_module(module)
    home = Path(tempfile.mkdtemp())
    for seed, name in enumerate(("target", "other", "known")):
        assert _code(home, ["train", *NETWORK, "--seed", str(seed), "--out", str(home / f"{name}.safetensors")]) == 0
    made = [
        "fingerprint",
        str(home / "target.safetensors"),
        *DIGITS,
        "--samples",
        "60",
        "--quick",
        "--out",
        str(home / "f"),
    ]
    known = ["--reference", str(home / "known.safetensors")]
    assert _code(home, [*made, *known, "--out", str(home / "f")]) == 0, (home / "err").read_text()
    rows: list[dict[str, Any]] = []
    with Served(home / "target.safetensors") as url:
        ask = ["verify", str(home / "f"), "--json", "--report", "page.html", "--seed", "0", *known]
        quick = ["--clock", "cost-model"]
        scenarios = {
            "own network, measured": [*ask, str(home / "target.safetensors"), "--budget", "300", "--journal", "j"],
            "own network, cost model": [*ask, str(home / "target.safetensors"), *quick],
            "other network, cost model": [*ask, str(home / "other.safetensors"), *quick],
            "own network at an address": [*ask, url, "--budget", "300", "--journal", "j"],
        }
        for words in scenarios.values():
            _load(words, home)
        print("| scenario | call that fails | calls | runs | verdicts | errors (2) | killed | code without a verdict |")
        print("|---|---|---|---|---|---|---|---|")
        for name, words in scenarios.items():
            for row in _scenario(name, words, home):
                rows.append(row)
                print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)
    print(f"{sum(row['runs'] for row in rows)} runs, {sum(row['wrong'] for row in rows)} codes without a verdict")


def _scenario(name: str, words: list[str], home: Path) -> Iterator[dict[str, Any]]:
    for number, (kind, most) in enumerate(CLASSES.items()):
        folder = Path(tempfile.mkdtemp(dir=home))
        calls = _count(folder, words, number)
        runs = sorted({1 + round(i * (calls - 1) / max(min(calls, most) - 1, 1)) for i in range(min(calls, most))})
        ends: Counter[str] = Counter()
        for nth in runs:
            folder = Path(tempfile.mkdtemp(dir=home))
            code = _code(folder, words, (number, nth))
            end = _judged(folder, code, broken_pipe=kind == "write, broken pipe")
            ends[end] += 1
            if end == "wrong":
                print(
                    name, kind, nth, code, (folder / "out").read_text(), (folder / "err").read_text(), file=sys.stderr
                )
        yield {
            "scenario": name,
            "kind": kind,
            "calls": calls,
            "runs": len(runs),
            **{end: ends[end] for end in ("verdict", "error", "killed", "wrong")},
        }


def _judged(folder: Path, code: int, broken_pipe: bool) -> str:
    """What a run came to: a code that says a verdict needs that verdict on stdout, or a stdout that nobody reads."""
    said = (folder / "out").read_text()
    if code < 0 or code > 128:
        return "killed"
    if code not in VERDICTS:
        return "error"
    try:
        return "verdict" if json.loads(said)["decision"] == VERDICTS[code] else "wrong"
    except (ValueError, KeyError, TypeError):
        return "verdict" if broken_pipe and said == "" else "wrong"


def _count(folder: Path, words: list[str], number: int) -> int:
    """How many calls of a class the command makes when nothing fails."""
    code = _code(folder, words, (number, -1))
    assert code in VERDICTS, (folder / "err").read_text()
    return int((folder / "calls").read_text())


def _load(words: list[str], home: Path) -> None:
    """Run the command here once, so that what it imports need not be imported in every fork."""
    from exitprint.cli import main as command

    os.chdir(tempfile.mkdtemp(dir=home))
    sys.argv = ["exitprint", *words]
    with suppress(SystemExit), redirect_stdout(io.StringIO()):
        command()


def _code(folder: Path, words: list[str], fault: tuple[int, int] | None = None) -> int:
    """The exit code of the command in a fork, in this folder."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    signal.alarm(LONGEST if fault else 0)
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = ["exitprint", *words]
    from exitprint.cli import main as command

    library = ctypes.CDLL(os.environ[LIBRARY])
    library.faults_disarm.restype = ctypes.c_long
    if fault is not None:
        library.faults_arm(fault[0], ctypes.c_long(fault[1]))
    code = 70
    try:
        command()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            code = 120  # as the interpreter does when it ends
        if fault is not None and fault[1] < 0:
            calls = library.faults_disarm(fault[0])
            Path("calls").write_text(str(calls))
        os._exit(code)


class Served:
    """A network at an address, in a process that no call fails in."""

    def __init__(self, network: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONMALLOC")}
        words = [sys.executable, "-m", "exitprint", "serve", str(network), "--port", "0"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)

    def __enter__(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    main()
