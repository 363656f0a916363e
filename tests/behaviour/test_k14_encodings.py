"""Terminals that cannot show every letter: what they cannot show is replaced, and nothing else changes."""

from __future__ import annotations

import json
import os
from itertools import cycle

import matplotlib.pyplot  # noqa: F401 - once here, and not in every fork
import pytest
import typer

from commands import code_in_a_fork
from exitprint.cli import verbs
from exitprint.networks import onnx_export, save_network  # noqa: F401
from exitprint.timing.exits import estimate  # noqa: F401

ENCODINGS = ["ascii", "latin-1", "cp437", "cp1252", "koi8-r", "utf-8"]
VERBS = sorted(typer.main.get_command(verbs.app).commands)
NETWORK = ("--arch", "resnet8", "--width", 4, "--data", "digits", "--epochs", 1, "--limit", 200)


@pytest.fixture
def shown(tmp_path):
    """The code of a command on a terminal of an encoding, and what it printed."""

    def run(*words, encoding):
        names = [tmp_path / "out", tmp_path / "err"]
        files = [os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for name in names]
        code = code_in_a_fork(*words, streams={1: files[0], 2: files[1]}, encoding=encoding)
        for file in files:
            os.close(file)
        return code, *(name.read_bytes().decode(encoding) for name in names)

    return run


@pytest.mark.parametrize(("verb", "encoding"), zip(VERBS, cycle(ENCODINGS), strict=False))
def test_every_verb_explains_itself(shown, verb, encoding):
    code, out, err = shown(verb, "--help", encoding=encoding)
    assert code == 0 and verb in out and err == ""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_longest_help_is_shown_on_every_terminal(shown, encoding):
    code, out, err = shown("fingerprint", "--help", encoding=encoding)
    assert code == 0 and "--reference" in out and err == ""


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_with_any_letters_in_its_name_is_written_and_said(shown, small_file, tmp_path, encoding):
    path = tmp_path / "größe-网络-σ.onnx"
    code, out, err = shown("export", small_file, "--out", path, encoding=encoding)
    assert code == 0 and path.exists() and err == ""
    assert out.startswith(f"{path}: ".encode(encoding, "replace").decode(encoding))


@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_a_training_ends_well(shown, tmp_path, encoding):
    path = tmp_path / "straße.safetensors"
    code, out, err = shown("train", *NETWORK, "--out", path, encoding=encoding)
    assert code == 0 and path.exists() and "exits" in out and "Traceback" not in err


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_error_is_said(shown, encoding):
    code, out, err = shown("info", "größe-网络", encoding=encoding)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert "größe-网络".encode(encoding, "replace").decode(encoding) in err


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_says_all_on_every_terminal(shown, small, tmp_path, encoding):
    network = small.copy()
    network.history = [{"step": "größe 网络 σ"}]
    save_network(network, tmp_path / "n.safetensors")
    code, out, _ = shown("info", tmp_path / "n.safetensors", "--json", encoding=encoding)
    assert code == 0 and json.loads(out)["history"] == network.history


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_is_drawn_with_what_there_is(shown, small_file, encoding):
    code, out, _ = shown("info", small_file, encoding=encoding)
    assert code == 0 and "resnet" in out and out.isascii() == (encoding != "utf-8")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_name_that_is_no_text_at_all(shown, small_file, tmp_path, encoding):
    path = tmp_path / os.fsdecode(b"caf\xe9.onnx")
    code, out, err = shown("export", small_file, "--out", path, encoding=encoding)
    assert code == 0 and out[len(f"{tmp_path}/caf?") :].startswith(".onnx: ") and err == ""
    code, out, err = shown("info", small_file.rename(path.with_suffix(".safetensors")), encoding=encoding)
    assert code == 2 and out == "" and "rename the file" in err and err.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize("name", ["größe.png", "网络.png", "a$b.png"])
def test_a_suspect_and_a_picture_with_any_letters_in_their_names(shown, small_file, tmp_path, name, encoding):
    suspect = small_file.rename(tmp_path / f"{name}.safetensors")
    words = ("--data", "digits", "--queries", 40, "--repeats", 1, "--clock", "cost-model", "--method", "kde")
    code, out, err = shown("probe", suspect, *words, "--plot", tmp_path / name, encoding=encoding)
    assert code == 0 and "exit" in out and "Traceback" not in err and (tmp_path / name).exists()
