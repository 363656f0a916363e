"""Real servers in processes of their own, for as long as a test needs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


@contextmanager
def started(script: str, network: Path) -> Iterator[list[str]]:
    """The addresses that the script prints; its server ends with the block."""
    command = [sys.executable, str(HERE / script), str(network)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            addresses = process.stdout.readline().split()
            assert addresses, f"{script} did not start"
            yield addresses
        finally:
            process.kill()
