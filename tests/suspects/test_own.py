"""A user's own functions as suspects: what is inside the time, faults that pass, and nonsense in one sentence."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.suspects import BudgetSpent, CallableSuspect, Metered, TryAgain, WithFloor, open_suspect, own

X = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))

CLIENT = """
import asyncio
import time

closed = []

def classify(images):
    return images.flatten(1).argmax(1)

def fails(images):
    raise ValueError("no such model")

async def waits(images):
    return 1

def later(images):
    return waits(images)

def generates(images):
    yield 1

def builds(images):
    return classify

def nothing():
    return 1

def two(images, more):
    return 1

number = 3

class Client:
    def __init__(self):
        self.calls = 0
    def encode(self, images):
        return images.numpy().tobytes()
    def send(self, content):
        self.calls += 1
        return [[0.1, 0.9]] * (len(content) // 64)
    def close(self):
        closed.append(self.calls)

class Entered:
    def __enter__(self):
        self.session = "open"
        return self
    def __exit__(self, *error):
        closed.append("entered")
    def __call__(self, images):
        assert self.session == "open"
        return images.flatten(1).argmax(1).tolist()

class Asked:
    requests, bytes_sent, bytes_received, amplification = 7, 0, 0, 1
    def ask(self, x):
        import numpy as np
        from exitprint.suspects import Answer
        return Answer(np.full(len(x), 0.5), "measured")
    def limit(self, requests):
        pass
    def close(self):
        closed.append("asked")

class Broken:
    def __init__(self):
        raise RuntimeError("no session")
"""


@pytest.fixture
def client(tmp_path: Path) -> str:
    (tmp_path / "client.py").write_text(CLIENT)
    return str(tmp_path / "client.py")


def test_a_function_in_a_file(client: str) -> None:
    with open_suspect(f"{client}:classify", amplification=3) as suspect:
        assert isinstance(suspect, Metered) and not isinstance(suspect, WithFloor)
        answer = suspect.ask(X)
        assert suspect.requests == 1 and suspect.bytes_sent is None
    assert answer.labels.tolist() == X.flatten(1).argmax(1).tolist() and answer.seconds.shape == (2,)


def test_a_function_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "my_module.py").write_text("def classify(images):\n    return [3] * len(images)\n")
    monkeypatch.chdir(tmp_path)
    with open_suspect("my_package.my_module:classify") as suspect:
        assert suspect.ask(X).labels.tolist() == [3, 3]


def test_a_class_keeps_a_session_and_counts_what_it_sends(client: str) -> None:
    with open_suspect(f"{client}:Client") as suspect:
        answer = suspect.ask(X)
        suspect.ask(X)
        closed = suspect._thing.close.__globals__["closed"]
        assert suspect.bytes_sent == 2 * X.numel() * 4 and closed == []
    assert closed == [2] and answer.labels.tolist() == [1, 1]
    assert (answer.seconds > 0).all()


def test_a_class_that_is_entered(client: str) -> None:
    with open_suspect(f"{client}:Entered") as suspect:
        assert suspect.ask(X).labels.tolist() == X.flatten(1).argmax(1).tolist()
        closed = suspect._thing.__exit__.__globals__["closed"]
    assert closed == ["entered"]


def test_a_suspect_of_the_users_own_making(client: str) -> None:
    with open_suspect(f"{client}:Asked") as suspect:
        assert suspect.ask(X).seconds.tolist() == [0.5, 0.5]
        assert isinstance(suspect, Metered) and suspect.requests == 7 and not isinstance(suspect, WithFloor)


def test_what_is_sent_is_encoded_once_and_tried_again() -> None:
    encoded, calls = [], []

    def encode(x: torch.Tensor) -> bytes:
        encoded.append(len(x))
        return bytes(8 * len(x))

    def send(content: bytes) -> None:
        calls.append(content)
        if len(calls) == 2:
            raise TryAgain("busy", pause=0.01)
        if len(calls) == 4:
            raise ConnectionResetError("gone")

    suspect = CallableSuspect(send, encode, amplification=2)
    usable = [suspect.ask(X[:1]).seconds is not None for _ in range(4)]
    assert usable == [True, False, False, True] and encoded == [2] * 4 and len(calls) == suspect.requests == 6
    assert suspect.bytes_sent == 6 * 16


def test_the_time_is_that_of_send_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def spend(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(own, "perf_counter", lambda: now[0])
    pair = CallableSuspect(lambda content: spend(0.25), lambda x: spend(5.0))
    alone = CallableSuspect(lambda x: spend(5.25))
    assert pair.ask(X[:1]).seconds.tolist() == [0.25] and alone.ask(X[:1]).seconds.tolist() == [5.25]


def test_too_often_slows_down_for_good() -> None:
    moments: list[float] = []

    def send(x: torch.Tensor) -> None:
        if moments and time.monotonic() - moments[-1] < 0.15:
            raise TryAgain(too_often=True)
        moments.append(time.monotonic())

    suspect = CallableSuspect(send)
    usable = [suspect.ask(X[:1]).seconds is not None for _ in range(8)]
    assert all(usable[3:])


def test_a_rate_and_a_budget_are_kept() -> None:
    suspect = CallableSuspect(lambda x: None, rate=100, budget=4)
    start = time.monotonic()
    with pytest.raises(BudgetSpent):
        for _ in range(5):
            suspect.ask(X[:1])
    assert suspect.requests == 4 and time.monotonic() - start >= 0.03


def test_who_never_answers_is_given_up_at_once() -> None:
    def send(x: torch.Tensor) -> None:
        raise ConnectionRefusedError("nobody")

    with pytest.raises(ExitprintError, match=r"nobody.*that the service runs"):
        CallableSuspect(send).ask(X[:1])


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        (None, None),
        ("a cat", None),
        ({"label": 3}, None),
        ([3, 4], [3, 4]),
        (np.array([[0.2, 0.8], [0.9, 0.1]]), [1, 0]),
        (torch.tensor([[1.0, 5.0, 2.0], [3.0, 1.0, 1.0]]), [1, 0]),
        ([[1, 2], [3]], None),
    ],
)
def test_what_may_be_returned(said: Any, labels: list[int] | None) -> None:
    answer = CallableSuspect(lambda x: said).ask(X)
    assert (None if answer.labels is None else answer.labels.tolist()) == labels


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("fails", "ValueError: no such model in line 11 of 'client.py'"),
        ("later", "a coroutine at once"),
        ("generates", "a generator at once"),
        ("builds", "a function at once"),
        ("waits", "async"),
        ("nothing", "one argument"),
        ("two", "one argument"),
        ("number", "no function"),
        ("nobody", "has no 'nobody'; it has classify"),
        ("Broken", "RuntimeError: no session"),
    ],
)
def test_nonsense_ends_in_one_sentence(client: str, name: str, word: str) -> None:
    with pytest.raises(ExitprintError, match=word), open_suspect(f"{client}:{name}") as suspect:
        suspect.ask(X)


@pytest.mark.parametrize(
    ("argument", "word"),
    [
        ("nowhere.py:classify", "no file"),
        ("no_such_module_at_all:classify", "ModuleNotFoundError"),
        ("client.py", "is no suspect"),
        ("client.py:", "is no suspect"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, word: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExitprintError, match=word):
        open_suspect(argument)


def test_a_file_that_does_not_load_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(ExitprintError, match=r"broken.py.*nothing_of_this_name.*line 1"):
        open_suspect(f"{tmp_path / 'broken.py'}:f")
    (tmp_path / "typo.py").write_text("def f(:\n")
    with pytest.raises(ExitprintError, match="SyntaxError"):
        open_suspect(f"{tmp_path / 'typo.py'}:f")


def test_options_of_a_model_say_nothing_of_a_function(client: str) -> None:
    with pytest.raises(ExitprintError, match="mean"):
        open_suspect(f"{client}:classify", mean=0.5)
