"""`verify` never ends with 0, 1 or 3 without its verdict, whichever call fails; all calls: `python -m bench.faults`."""

from __future__ import annotations

import errno
import io
import json
import os

import pytest

import exitprint.reports  # noqa: F401 - once here, and not in every fork
from behaviour import crafted
from commands import code_in_a_fork
from exitprint.fingerprints import save_fingerprint
from exitprint.networks import load_network

VERDICTS = {0: "derived", 1: "independent", 3: "inconclusive"}
CALLS = {
    "write": (os, "write", OSError(errno.ENOSPC, "No space left on device")),
    "open": (os, "open", OSError(errno.EMFILE, "Too many open files")),
    "open a stream": (io, "open", OSError(errno.ENOSPC, "No space left on device")),
    "sync": (os, "fsync", OSError(errno.EIO, "Input/output error")),
    "replace": (os, "replace", OSError(errno.EIO, "Input/output error")),
    "allocate": (json, "dumps", MemoryError()),
}
RUNS = 3
"""The first so many calls of each are made to fail, one in each run."""


@pytest.fixture
def verified(tmp_path, small_file):
    """The exit code of a verification of which the n-th such call fails, what it printed."""
    save_fingerprint(crafted("paper", 80), tmp_path / "f.safetensors")
    assert load_network(small_file).num_exits > 1

    def run(call, nth):
        place, name, error = CALLS[call]
        real, calls = getattr(place, name), [0]

        def failing(*given, **named):
            calls[0] += 1
            if calls[0] == nth:
                raise error
            return real(*given, **named)

        names = [tmp_path / each for each in ("out", "err")]
        files = [os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for name in names]
        words = (tmp_path / "f.safetensors", small_file, "--budget", 60, "--report", tmp_path / "r.html", "--json")
        journal = ("--journal", tmp_path / f"{call}-{nth}.journal")
        code = code_in_a_fork(
            "verify", *words, *journal, streams={1: files[0], 2: files[1]}, before=lambda: setattr(place, name, failing)
        )
        for file in files:
            os.close(file)
        return code, *(each.read_text() for each in names)

    return run


@pytest.mark.parametrize("call", CALLS)
def test_a_code_of_a_verdict_comes_with_the_verdict(verified, call):
    failed = 0
    for nth in range(1, RUNS + 1):
        code, out, err = verified(call, nth)
        if code in VERDICTS:
            assert json.loads(out)["decision"] == VERDICTS[code]
            continue
        failed += 1
        assert code == 2 and out == "" and err.count("\n") == 1 and err.startswith("exitprint: ")
    assert failed


def test_without_a_fault_there_is_a_verdict(verified):
    code, out, err = verified("write", -1)
    assert json.loads(out)["decision"] == VERDICTS[code] and err == ""
