"""Text from outside is text: square brackets are no markup, and what steers a terminal does not reach it."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from exitprint import progress
from exitprint.cli import verbs
from exitprint.cli.ask import _say
from exitprint.cli.options import out
from exitprint.errors import ExitprintError
from exitprint.fingerprints import Verdict
from exitprint.networks import load_network, save_network
from exitprint.reports.histogram import exit_histogram
from exitprint.timing.exits import estimate_exits

TEXTS = ["[/docs]", "[bold]", "[red]a[/red]", "[@click=a.b]x[/]", "[[", "\\[x]", ":smile:", "[v1]", "a$b$c"]
STEERING = {
    "\x1b[2J": "[2J",
    "\x9b31m": "31m",
    "a\x08\x08b": "a",
    "\u202etxt": "txt",
    "\x07": "",
    "\x1b]0;title\x07": "title",
}


@pytest.fixture
def network_file(small, tmp_path):
    """A file from others: its history says what they like."""

    def write(text, name="n.safetensors"):
        network = small.copy()
        network.history = [{"step": text, text: 1}]
        save_network(network, tmp_path / name)
        return tmp_path / name

    return write


@pytest.mark.parametrize("text", TEXTS)
def test_info_shows_what_a_file_says_as_it_is(run, network_file, text):
    done = run("info", network_file(text))
    unwrapped = "".join(line.strip("│┃ ") for line in done.out.splitlines())
    assert done.code == 0 and text.replace("\\", "\\\\") in unwrapped
    assert run("info", network_file(text), "--json").json["history"][0]["step"] == text


@pytest.mark.parametrize("text", STEERING)
def test_info_lets_nothing_through_that_steers_a_terminal(run, network_file, text):
    path = network_file(text)
    for done in (run("info", path), run("info", path, "--json")):
        assert done.code == 0 and all(letter.isprintable() or letter == "\n" for letter in done.out)


@pytest.mark.parametrize("name", ["net[v1].onnx", "[bold]n.onnx", "a[x].onnx", "n:smile:.onnx", "n[[.onnx"])
def test_the_name_of_the_file_that_was_written_is_said_letter_by_letter(run, small_file, tmp_path, name):
    done = run("export", small_file, "--out", tmp_path / name)
    assert done.code == 0 and (tmp_path / name).exists() and done.out.startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize("text", TEXTS)
def test_an_error_says_the_name_as_it_is(run, text):
    done = run("info", text)
    assert done.code == 2 and repr(text) in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize("text", [text for text in TEXTS if "=" not in text])
def test_an_option_that_is_none_is_said_as_it_is(run, text):
    done = run("info", f"--{text}")
    assert done.code == 2 and f"--{text}" in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(("text", "rest"), STEERING.items())
def test_an_error_lets_nothing_through_that_steers_a_terminal(run, monkeypatch, text, rest):
    def fails(words):
        raise ExitprintError(f"the server says {text}.")

    monkeypatch.setattr(verbs, "invoke", fails)
    said = run("verify").err
    assert said.endswith("\n") and said[:-1].isprintable() and rest in said


SHARES = {"share": 0.97, "interval": (0.9, 1.0), "p0": 0.65, "nature": 0.95, "nature_interval": (0.8, 1.0)}
EVIDENCE = {"e_value": 2e4, "p_value": 5e-5, "e_value_independent": 1.0, "alpha": 1e-3, "beta": 1e-3}
COST = {"requests": 200, "seconds": 1.5, "bytes": None, "clock": "measured", "floor": None, "seed": 0}


@pytest.mark.parametrize("text", [*TEXTS, *STEERING])
def test_a_verdict_shows_its_reason_as_it_is(capsys, text):
    words = {"reason": f"Why: {text}.", "assumptions": (text,)}
    _say(Verdict("derived", "contrast", **SHARES, **EVIDENCE, **COST, **words), None, as_json=False)
    shown = capsys.readouterr().out
    assert shown.startswith("derived: Why: ") and (shown.count(text) == 2) == text.isprintable()


@pytest.mark.parametrize("text", TEXTS)
def test_a_table_shows_its_cells_as_they_are(capsys, text):
    from rich.table import Table

    table = Table(text)
    table.add_row(text)
    out.print(table)
    assert capsys.readouterr().out.count(text) == 2


@pytest.mark.parametrize("text", TEXTS)
def test_a_progress_bar_shows_its_description_as_it_is(monkeypatch, text):
    shown = io.StringIO()
    shown.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", shown)
    progress.show_progress()
    try:
        with progress.progress(text, 3) as advance:
            advance(1)
    finally:
        progress.show_progress(False)
    assert text in shown.getvalue()


@pytest.mark.parametrize("text", ["$x$", "$\\frac{", "100 $ and 5 $_$", "[$]", "\x1b$"])
def test_a_picture_shows_its_title_as_it_is(text):
    times = np.random.default_rng(0).normal(1, 0.01, 200)
    assert exit_histogram(times, estimate_exits(times, "kde"), text).startswith(b"\x89PNG")


def test_a_file_is_read_whatever_it_says(network_file):
    assert load_network(network_file("[/docs]")).history[0]["step"] == "[/docs]"
