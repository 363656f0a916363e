"""A page as one script of bash, run in a folder of its own."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import forkserver
from pages import ROOT, Block

LONGEST = 500
PORT = re.compile(r"\b80[89]\d\b")
VERIFY_A_FILE = re.compile(r"^(exitprint verify \S+ (?!https?:)\S+\.safetensors)(?!.*--clock)", re.M)


@contextmanager
def programs(folder: Path, store: Path) -> Iterator[dict[str, str]]:
    """An environment in which `exitprint` and `python` are this project's, and quick to start.

    What commands made is kept in `store`, which other processes of the test run may use too.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXITPRINT_")}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    if not forkserver.possible():
        yield environment | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"}
        return
    address = folder / "door"
    forkserver.write_clients(folder, address)
    server = forkserver.start(address, store)
    try:
        _wait_for(address, server)
        yield environment | {"PATH": f"{folder}{os.pathsep}{environment['PATH']}"}
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


def run(blocks: list[Block], folder: Path, environment: dict[str, str]) -> None:
    """Run blocks one after the other in a folder, and end what they left running.

    Raises
    ------
    AssertionError
        If one ends with another exit code than it should, or does not print what it should.
    """
    logs = folder.with_name(f"{folder.name}-output")
    logs.mkdir()
    script = "set -e\n" + "".join(_part(block, logs, number, blocks) for number, block in enumerate(blocks))
    for port in sorted(set(PORT.findall(script))):
        script = script.replace(port, str(_free_port()))
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, env=environment, start_new_session=True, stdin=subprocess.DEVNULL
    )
    try:
        code = process.wait(LONGEST)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
    printed = {int(log.name): log.read_text() for log in logs.iterdir() if log.suffix != ".py"}
    last = max(printed, default=0)
    assert code == 0, f"{blocks[last]} ended with {code}:\n{blocks[last].code}\n{printed.get(last)}"
    for number, text in printed.items():
        assert not blocks[number].prints or any(word in text for word in blocks[number].prints), (
            f"{blocks[number]} printed:\n{text}"
        )


def _part(block: Block, logs: Path, number: int, blocks: list[Block]) -> str:
    """One block as a part of the script; Python that follows Python goes on with what it defined."""
    log = shlex.quote(str(logs / f"{number}"))
    if block.file:
        return f"cat > {shlex.quote(block.file)} <<'END OF FILE'\n{block.code}END OF FILE\n"
    if block.language == "python":
        program = logs / f"{Path(block.page).stem}_{number}.py"
        if number + 1 < len(blocks) and _goes_on(blocks, number + 1):
            return ""
        first = number
        while _goes_on(blocks, first):
            first -= 1
        program.write_text("\n".join(each.code for each in blocks[first : number + 1]), encoding="utf-8")
        return f"exec >{log} 2>&1\npython {shlex.quote(str(program))}\n"
    code = VERIFY_A_FILE.sub(r"\1 --clock cost-model", block.code)
    if block.codes == (0,):
        return f"exec >{log} 2>&1\n{code}"
    allowed = "|".join(map(str, block.codes))
    judged = f"case $code in {allowed}) ;; *) echo exit code $code; exit 70;; esac"
    return f"exec >{log} 2>&1\nset +e\n{code}code=$?\nset -e\n{judged}\n"


def _goes_on(blocks: list[Block], number: int) -> bool:
    return number > 0 and all(
        block.language == "python" and not block.file for block in blocks[number - 1 : number + 1]
    )


def _wait_for(address: Path, server: int) -> None:
    end = monotonic() + 60
    while not address.exists():
        assert os.waitpid(server, os.WNOHANG) == (0, 0) and monotonic() < end, "the fork server did not start"
        sleep(0.05)


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]
