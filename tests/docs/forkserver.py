"""Commands of the pages without the seconds that each would take to import torch: a process that has it, and forks.

`start` makes that process, itself a fork of the tests'; `write_clients` writes the programs that stand for `exitprint`
and `python` on the path of a page's script. A command runs in a fork of its own, with the folder, environment and open
files of its caller, and is ended when its caller is.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import traceback
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import exitprint
from exitprint import training
from remembered import remembered, trained_once

EVERYTHING = (
    "exitprint.cli",
    "exitprint.demo",
    "exitprint.reports",
    "exitprint.serving.server",
    "exitprint_studies.studies",
    "exitprint.suspects.http",
    "torch._dynamo",
)
"""What the commands import, sooner or later."""
TESTS = str(Path(__file__).resolve().parents[1])
INSTALLED = (sys.prefix, sys.base_prefix, str(Path(exitprint.__file__).parents[1]))
"""Where what the commands import comes from."""

CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
if {name!r} == "python" and sys.argv[1:2] and sys.argv[1].startswith("-"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asked.connect({address!r})
signal.signal(signal.SIGTERM, lambda *_: asked.shutdown(socket.SHUT_WR))
job = dict(name={name!r}, arguments=sys.argv[1:], folder=os.getcwd(), environment=dict(os.environ))
socket.send_fds(asked, [json.dumps(job).encode()], [0, 1, 2])
sys.exit(int(asked.recv(16) or 70))
"""


def possible() -> bool:
    """Whether this system has what it takes."""
    return hasattr(os, "pidfd_open") and hasattr(socket, "SOCK_SEQPACKET")


def write_clients(folder: Path, address: Path) -> None:
    """Put `exitprint` and `python` into a folder for the path."""
    for name in ("exitprint", "python"):
        program = folder / name
        program.write_text(CLIENT.format(python=sys.executable, name=name, address=str(address)))
        program.chmod(0o755)


def start(address: Path, store: Path) -> int:
    """The number of a process that listens at this address, and keeps in a folder what commands made."""
    process = os.fork()
    if process == 0:
        try:
            _without_tests()
            _listen(address, store)
        finally:
            os._exit(1)
    return process


def _without_tests() -> None:
    """Leave out open files, and modules of the tests and of what they wrote: a page's own may have the same name."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    for helper in (forkserver._forkserver, resource_tracker._resource_tracker):
        helper.__init__()  # the tests' process may have started it, and its pipes are closed here
    sys.path[:] = [TESTS, *(path for path in sys.path if not path.startswith(TESTS))]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and not file.startswith(INSTALLED):
            del sys.modules[name]


def _listen(address: Path, store: Path) -> None:
    """Import everything once, then run what is asked for, each in a fork."""
    os.fsync = lambda file: None  # nothing waits for the disk here
    for module in EVERYTHING:
        importlib.import_module(module)
    training.train_network = trained_once(training.train_network, store / "trained")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(address))
        door.listen()
        while True:
            caller, _ = door.accept()
            if os.fork() == 0:
                door.close()
                _attend(caller, store / "made")
            caller.close()


def _attend(caller: socket.socket, store: Path) -> None:
    """Run the job in a fork, tell its exit code, and end it if the caller goes away."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    process = os.fork()
    if process == 0:
        caller.close()
        _run(json.loads(message), files, store)
    for file in files:
        os.close(file)
    handle = os.pidfd_open(process)
    if caller in select.select([handle, caller], [], [])[0]:
        os.kill(process, signal.SIGTERM)
        if not select.select([handle], [], [], 5)[0]:
            os.kill(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    try:
        caller.send(str(code if code >= 0 else 128 - code).encode())
    finally:
        os._exit(0)


def _run(job: dict, files: list[int], store: Path) -> None:
    """Become the command. Taking down an interpreter that shares its pages would cost a second, so that is left out."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    sys.stdin, sys.stdout, sys.stderr = (open(n, m, closefd=False) for n, m in enumerate("rww"))  # noqa: SIM115
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    code: object = 0
    try:
        code = _command(job["name"], job["arguments"], store)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _command(name: str, arguments: list[str], store: Path) -> object:
    from exitprint.cli import main

    if name == "exitprint":
        sys.argv = [name, *arguments]
        return remembered(arguments, store, main)
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    runpy.run_path(arguments[0], run_name="__main__")
    return 0
