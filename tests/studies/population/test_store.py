"""The store: whole or absent, made once, by one process at a time."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from exitprint.errors import ExitprintError
from exitprint.files import replacing, write_bytes
from exitprint_studies import Store

FORK = multiprocessing.get_context("fork")


def test_an_artefact_is_made_once_and_found_again(tmp_path: Path) -> None:
    store, calls = Store(tmp_path), []

    def make(path: Path) -> None:
        calls.append(path)
        write_bytes(path, b"made")

    specification = {"a": 1, "b": [2, 3]}
    assert not store.has(specification)
    paths = [store.get(specification, make) for _ in range(3)]
    assert len(calls) == 1 and len(set(paths)) == 1 and paths[0].read_bytes() == b"made"
    assert store.has({"b": [2, 3], "a": 1})
    assert not store.has({"a": 1, "b": [3, 2]})
    assert store.seconds(specification) is not None
    assert store.seconds({"a": 2}) is None


def test_a_failed_making_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise ValueError("no")

    store = Store(tmp_path)
    with pytest.raises(ValueError, match="no"):
        store.get({}, fail)
    assert not store.has({})
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".lock"}
    store.get({}, lambda path: write_bytes(path, b"whole"))
    assert store.path({}).read_bytes() == b"whole"


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def half(path: Path) -> None:
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)

    victim = FORK.Process(target=store.get, args=({}, half))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL and not store.has({})
    assert list(tmp_path.rglob("*.tmp"))
    store.get({}, lambda path: write_bytes(path, b"whole"))
    assert not list(tmp_path.rglob("*.tmp"))


def _make_with_little_room(root: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with pytest.raises(ExitprintError, match="free some space"):
        Store(root).get({}, lambda path: write_bytes(path, bytes(5000)))


def test_a_full_disk_is_one_sentence_and_the_rerun_finishes(tmp_path: Path) -> None:
    process = FORK.Process(target=_make_with_little_room, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
    store = Store(tmp_path)
    assert not store.has({}) and not list(tmp_path.rglob("*.tmp"))
    store.get({}, lambda path: write_bytes(path, bytes(5000)))
    assert store.path({}).stat().st_size == 5000


def _make_slowly(root: Path) -> None:
    def make(path: Path) -> None:
        time.sleep(0.2)
        with (root / "calls").open("a") as log:
            log.write("x")
        write_bytes(path, b"made")

    Store(root).get({"slow": True}, make)


def test_processes_at_once_make_it_once(tmp_path: Path) -> None:
    processes = [FORK.Process(target=_make_slowly, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "calls").read_text() == "x"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExitprintError, match="choose another folder"):
        Store(tmp_path / "file").get({}, lambda path: None)
