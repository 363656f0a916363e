"""Freed memory is used again without the system's help."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource
from exitprint.cli.memory import keep_freed_memory
{}
for number in range(20):
    if number == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * (40_000_000 + number)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(first: str) -> int:
    words = [sys.executable, "-c", FAULTS.format(first)]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    return int(subprocess.run(words, env=plain, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is a setting of glibc")
def test_pages_are_not_mapped_anew():
    assert faults("keep_freed_memory()") < faults("") / 10
