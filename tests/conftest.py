"""Small real parts that many tests share: digits, and networks trained on them once."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import sklearn.datasets
import torch
import typer
from filelock import FileLock
from hypothesis import settings

from commands import Run
from exitprint.cli import main
from exitprint.data import ImageData, load_data
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, save_network
from exitprint.training import recipe, train_network
from remembered import trained_once

TESTS = Path(__file__).parent
FIRST = (
    "docs/test_joined_pages.py",
    "studies/population/test_cluster.py",
    "docs/test_commands.py",
    "claims/test_case.py",
    "studies/paper/test_study_paper.py",
    "training/test_jointly.py",
    "docs/test_notebooks.py",
)
"""The files that take longest, which run first: or one of two processes would work on the last of them alone.

The pages are not beside one another, since both train the same networks and one would wait for the other.
"""

gc.disable()  # until everything is collected: what is imported stays, and looking through it takes 3 of 13 seconds
torch.set_num_threads(1)
settings.register_profile("exitprint", deadline=None, derandomize=True)
settings.load_profile("exitprint")
os.environ.pop("EXITPRINT_DATA_DIR", None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs deaf to Ctrl-C, and their children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    """Nothing waits for the disk: that helps where power fails, and what shows the waiting puts its own in place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def done_once() -> Iterator[None]:
    """What every command does once, and hundreds in one process would do again: the verbs are read, and the digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", cache(typer.main.get_command))
        patch.setattr(sklearn.datasets, "load_digits", cache(sklearn.datasets.load_digits))
        yield


@pytest.fixture(scope="session")
def digits() -> ImageData:
    """The embedded data set."""
    return load_data("digits")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of `FIRST` first, in that order; all others as they were."""
    place = {TESTS / name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path, len(FIRST)))


def pytest_collection_finish() -> None:
    """What is there before the first test stays: it is not looked through for garbage, and what is new less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes of the test run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def made_once(shared: Path) -> Callable[[str, Callable[[Path], None]], Path]:
    """The file of this name, made by the first process of the test run that asks for it."""

    def get(name: str, make: Callable[[Path], None]) -> Path:
        path = shared / name
        with FileLock(f"{path}.lock"):
            if not path.exists():
                unfinished = path.with_name(f"unfinished-{name}")
                make(unfinished)
                unfinished.rename(path)
        return path

    return get


@pytest.fixture(scope="session")
def training_once(shared: Path) -> Callable[..., MultiExitNetwork]:
    """`train_network`, which trains what a process of this test run has trained so before no second time."""
    return trained_once(train_network, shared / "trained")


@pytest.fixture(scope="session")
def trained(digits: ImageData, training_once: Callable[..., MultiExitNetwork]) -> Callable[[int], MultiExitNetwork]:
    """A ResNet-14 of width 8 trained on digits with this seed, T_c = 0.9, made once; copy before you change it."""

    @cache
    def get(seed: int) -> MultiExitNetwork:
        arch = architecture("resnet14", digits.input_shape, digits.classes, width=8)
        network = training_once(arch, digits, recipe("fast", "resnet", "digits", epochs=8), seed)
        network.policy = ExitPolicy(0.9)
        return network

    return get


@pytest.fixture(scope="session")
def target(trained: Callable[[int], MultiExitNetwork]) -> MultiExitNetwork:
    """The owner's network."""
    return trained(0)


@pytest.fixture(scope="session")
def independent(trained: Callable[[int], MultiExitNetwork]) -> MultiExitNetwork:
    """A network of the same architecture and data, with another seed."""
    return trained(1)


@pytest.fixture(scope="session")
def target_file(target: MultiExitNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The owner's network as a file."""
    path = tmp_path_factory.mktemp("target") / "target.safetensors"
    save_network(target, path)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Run `exitprint` with these words."""

    def call(*words: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["exitprint", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return Run(int(stopped.value.code or 0), said.out, said.err)

    return call
