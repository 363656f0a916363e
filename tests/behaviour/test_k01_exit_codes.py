"""Only a verdict ends with 0, 1 or 3; every error is one sentence and 2; Ctrl-C is one sentence and 130."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from commands import code_in_a_fork
from exitprint import cli
from exitprint.cli import verbs
from exitprint.errors import ExitprintError, Interrupted

ERRORS = {
    "a user's mistake": (ExitprintError("this file is too old: make it again."), 2, "too old: make it again"),
    "a fault of ours": (TypeError("unsupported operand"), 2, "(TypeError: unsupported operand)"),
    "a fault of ours in two lines": (ValueError("first\nsecond"), 2, "ValueError: first second"),
    "a fault without a word": (AssertionError(), 2, "(AssertionError)"),
    "endless recursion": (RecursionError("maximum recursion depth exceeded"), 2, "RecursionError"),
    "no memory": (MemoryError(), 2, "not enough memory"),
    "a full disk": (OSError(errno.ENOSPC, "No space left on device", "f.safetensors"), 2, "No space left on device"),
    "a broken pipe that is not ours": (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, "Broken pipe"),
    "a library that ends the process well": (SystemExit(0), 2, "SystemExit: 0"),
    "a library that ends the process badly": (SystemExit(1), 2, "SystemExit: 1"),
    "a server that cannot start": (SystemExit(3), 2, "SystemExit: 3"),
    "Ctrl-C": (KeyboardInterrupt(), 130, "stopped; nothing was written"),
    "Ctrl-C during long work": (Interrupted("stopped; 40 answers are kept."), 130, "40 answers are kept"),
}


def fails_with(error):
    def invoke(words):
        raise error

    return invoke


@pytest.mark.parametrize(("error", "code", "said"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_one_sentence_and_no_verdict(run, monkeypatch, error, code, said):
    monkeypatch.setattr(verbs, "invoke", fails_with(error))
    done = run("verify", "f", "s")
    assert done.code == code and done.out == ""
    assert done.err.startswith("exitprint: ") and said in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize("asked", ["option", "variable"])
@pytest.mark.parametrize("error", [TypeError("odd"), ExitprintError("mend it."), Interrupted("stopped.")])
def test_where_it_was_is_said_when_asked_for(run, monkeypatch, error, asked):
    monkeypatch.setattr(verbs, "invoke", fails_with(error))
    if asked == "variable":
        monkeypatch.setenv("EXITPRINT_TRACEBACK", "1")
    done = run("verify", "f", "s", *["--traceback"] * (asked == "option"))
    assert "in fails_with" not in done.err and "in invoke" in done.err and done.err.splitlines()[-1].startswith("exit")


@pytest.mark.parametrize("words", [["--traceback", "info", "nothing"], ["info", "nothing", "--traceback"]])
def test_the_option_may_stand_anywhere(run, words):
    done = run(*words)
    assert done.code == 2 and "Traceback" in done.err and "there is no file 'nothing'" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["verify"], "Missing argument"),
        (["verify", "a", "b", "--nonsense"], "No such option"),
        (["verify", "a", "b", "--alpha", "much"], "--alpha"),
        (["verify", "a", "b", "c"], "unexpected extra argument"),
    ],
)
def test_words_that_cannot_be_read_are_one_sentence(run, words, said):
    done = run(*words)
    assert done.code == 2 and said in done.err and "--help" in done.err and done.err.count("\n") == 1


@pytest.fixture
def unread():
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.fixture
def files(tmp_path):
    """Two files for stdout and stderr, and what is in them."""
    names = [tmp_path / "out", tmp_path / "err"]
    numbers = [os.open(name, os.O_RDWR | os.O_CREAT) for name in names]
    yield numbers, lambda: [name.read_text() for name in names]
    for number in numbers:
        os.close(number)


def gives(code, lines=1):
    """A command that prints a verdict and ends with its code."""

    def before():
        cli.verbs.invoke = lambda words: print("derived\n" * lines) or code

    return before


@pytest.mark.parametrize("lines", [1, 100_000])
@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_reader_that_went_away_does_not_change_the_verdict(unread, files, code, lines):
    (_, err), said = files
    assert code_in_a_fork("verify", streams={1: unread, 2: err}, before=gives(code, lines)) == code
    assert said()[1] == ""


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("code", [0, 1, 3])
def test_closed_streams_do_not_change_the_verdict(files, code, closed):
    (out, err), said = files
    streams = {0: 0, 1: out, 2: err} | dict.fromkeys(closed)
    assert code_in_a_fork("verify", streams=streams, before=gives(code)) == code
    assert said()[1] == ""


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_verdict_that_could_not_be_written_is_none(files, code):
    (_, err), said = files
    with open("/dev/full", "w") as full:
        assert code_in_a_fork("verify", streams={1: full.fileno(), 2: err}, before=gives(code)) == 2
    assert "No space left on device" in said()[1] and said()[1].count("\n") == 1


@pytest.mark.parametrize("code", [0, 1, 3])
def test_what_cannot_be_said_on_stderr_does_not_change_the_verdict(files, unread, code):
    (out, _), said = files

    def warned():
        cli.verbs.invoke = lambda words: print("careful", file=sys.stderr) or print("derived") or code

    with open("/dev/full", "w") as full:
        for bad in (full.fileno(), unread):
            assert code_in_a_fork("verify", streams={1: out, 2: bad}, before=warned) == code
    assert said()[0] == "derived\n" * 2


@pytest.mark.parametrize("bad", ["closed", "full", "unread"])
def test_an_error_that_cannot_be_said_is_still_an_error(files, unread, bad):
    (out, _), _ = files
    with open("/dev/full", "w") as full:
        stream = {"closed": None, "full": full.fileno(), "unread": unread}[bad]
        assert code_in_a_fork("info", "nothing", streams={1: out, 2: stream}) == 2


def test_a_file_never_takes_the_place_of_a_closed_stream(tmp_path):
    """Else a warning on stderr would be written into the journal that was opened next."""
    journal = tmp_path / "journal"

    def opens():
        def invoke(words):
            kept = os.open(journal, os.O_CREAT | os.O_WRONLY)
            print("a warning", file=sys.stderr, flush=True)
            os.write(2, b"another\n")
            os.write(kept, b"an answer\n")
            return 0

        cli.verbs.invoke = invoke

    assert code_in_a_fork("verify", streams={1: None, 2: None}, before=opens) == 0
    assert journal.read_text() == "an answer\n"


@pytest.mark.parametrize("module", ["exitprint.cli.streams", "exitprint.cli.verbs", "typer"])
def test_a_program_that_cannot_even_be_loaded_says_no_verdict(module):
    words = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv = ['exitprint', 'verify']; import exitprint.cli as c;"
    )
    done = subprocess.run([sys.executable, "-c", f"{words} c.main()"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.startswith("exitprint: ") and done.stderr.count("\n") == 1


def test_the_program_as_it_is_installed(unread):
    """A real process, from its start to its end."""
    program = [sys.executable, "-m", "exitprint"]
    assert subprocess.run([*program, "--help"], stdout=unread, timeout=60).returncode == 0
    done = subprocess.run([*program, "info", Path(__file__)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == ""
