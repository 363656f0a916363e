"""Progress is a bar on a terminal, and a line now and then elsewhere."""

from __future__ import annotations

import pytest

from exitprint import progress


@pytest.fixture(autouse=True)
def silent_afterwards():
    yield
    progress.show_progress(False)


def test_without_a_terminal_a_line_says_now_and_then_how_far_it_is(monkeypatch, capsys):
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    progress.show_progress()
    with progress.progress("crafting [steps]", 100) as advance:
        for _ in range(100):
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == [
        "crafting [steps]: 3 of 100, about 11 min left",
        "crafting [steps]: 6 of 100, about 11 min left",
    ]
    assert lines[-1] == "crafting [steps]: 99 of 100, about 7 s left" and len(lines) == 33


def test_what_is_short_is_silent_and_so_is_a_library(capsys):
    for show in (True, False):
        progress.show_progress(show)
        with progress.progress("crafting", 3) as advance, progress.progress("inside", 2) as inner:
            advance(1)
            inner(2)
            advance(2)
    assert capsys.readouterr().err == ""
