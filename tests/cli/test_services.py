"""Services as they are, from the command line: described, tried, asked, and no secret kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "suspects"))
sys.path.insert(0, str(Path(__file__).parents[1] / "suspects" / "servers"))
from scripted import Model, answering, hosted
from starting import started

CLIENT = """
class Client:
    def encode(self, images):
        return images.numpy().tobytes()

    def send(self, content):
        return [sum(content[:64]) % 10] * (len(content) // 256)


def raises(images):
    raise ValueError("no such model")
"""


@pytest.fixture(scope="module")
def server(target_file):
    with started("uploads.py", target_file) as (address,):
        yield address


def test_a_service_is_described_tried_and_asked(run, server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = run("describe-service", f"{server}/form", "--size", 8)
    assert made.code == 0 and "service.toml is written" in made.out
    for words in ("a form with the file in 'file'", "a label at 'predictions.0.label'", "--server-clock"):
        assert words in made.out
    text = (tmp_path / "service.toml").read_text()
    assert 'label = "predictions.0.label"' in text and "# resize" in text and "$MY_TOKEN" in text
    tried = run("describe-service", "service.toml", "--size", 8)
    assert tried.code == 0 and "1 request in all" in tried.out
    probed = run("probe", "service.toml", "--data", "digits", "--queries", 40, "--repeats", 1, "--json",
                 "--journal", "j")  # fmt: skip
    assert probed.code == 0 and probed.json["requests"] >= 40 and probed.json["bytes"] > 0
    timed = run("probe", "service.toml", "--data", "digits", "--queries", 40, "--repeats", 1, "--json",
                "--server-clock", "server-timing:total")  # fmt: skip
    assert timed.code == 0 and timed.json["clock"] == "server-reported"


def test_a_picture_of_the_users_and_a_body_that_he_says(run, server, tmp_path):
    import numpy as np
    from PIL import Image

    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    done = run("describe-service", f"{server}/raw", "--out", tmp_path / "s.toml", "--image", tmp_path / "a.png",
               "--body", "raw", "--format", "jpeg", "--quality", 80)  # fmt: skip
    assert done.code == 0 and "the file alone" in done.out and "1 request in all" in done.out
    assert 'format = "jpeg"' in (tmp_path / "s.toml").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["http://127.0.0.1:1/x"], "check the address"),
        (["ftp://127.0.0.1/x"], "http or https"),
        (["nowhere.toml"], "cannot read"),
        (["SERVER/form", "--field", "a"], "--body"),
        (["SERVER/form", "--size", 0], "--size"),
        (["SERVER/form", "--quality", 0], "quality"),
        (["SERVER/form", "--image", "nothing.png"], "cannot be read"),
        (["SERVER/nothing"], "refused every way"),
        (["SERVER/nothing", "--body", "raw"], "has no /nothing"),
    ],
)
def test_bad_input_is_one_sentence(run, server, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    done = run("describe-service", *(str(word).replace("SERVER", server) for word in words))
    assert done.code == 2 and sentence in done.err and done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_description_is_not_written_over(run, server, tmp_path):
    (tmp_path / "s.toml").write_text("mine")
    done = run("describe-service", f"{server}/form", "--out", tmp_path / "s.toml")
    assert done.code == 2 and "there already" in done.err and (tmp_path / "s.toml").read_text() == "mine"


def test_a_users_own_class_is_asked_and_resumed(run, tmp_path):
    (tmp_path / "client.py").write_text(CLIENT)
    words = ("probe", f"{tmp_path / 'client.py'}:Client", "--data", "digits", "--queries", 30, "--repeats", 1,
             "--rate", 2000, "--amplification", 2, "--json", "--journal", tmp_path / "j")  # fmt: skip
    first = run(*words)
    again = run(*words, "--resume")
    assert first.code == again.code == 0 and first.json["images"] == 30
    assert again.json["requests"] <= first.json["requests"] + 1
    (tmp_path / "client.py").write_text(CLIENT + "\n# another\n")
    assert "another" in run(*words, "--resume").err
    failed = run("probe", f"{tmp_path / 'client.py'}:raises", "--data", "digits", "--queries", 30)
    assert failed.code == 2 and "ValueError: no such model" in failed.err and "Traceback" not in failed.err


def test_what_the_model_wants_is_said_and_secrets_are_not_kept(run, tmp_path):
    def infer(number, request):
        return answering([[0.25, 0.75]], request)

    with hosted(Model(inputs=[], infer=infer)) as model:
        words = ("probe", f"{model.url}?key=secret", "--data", "digits", "--queries", 30, "--repeats", 1)
        silent = run(*words)
        assert silent.code == 2 and "--input-name" in silent.err
        done = run(*words, "--input-name", "x", "--input-type", "fp32", "--input-shape", "-1,8,8,1", "--layout", "NHWC",
                   "--mean", "0.5", "--std", "0.25", "--input", "threshold=0.5", "--plot", tmp_path / "p.png",
                   "--journal", tmp_path / "j")  # fmt: skip
        assert done.code == 0, done.err
    assert all(path.endswith("?key=secret") for _, path, *_ in model.asked)
    kept = (tmp_path / "j").read_text()
    assert ("secret" not in kept and "key=…" in kept.encode().decode("unicode_escape")) or "\\u2026" in kept
    assert "secret" not in kept + done.out + done.err
    assert b"secret" not in (tmp_path / "p.png").read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--mean", "a,b"], "--mean"),
        (["--std", "0"], "std"),
        (["--input-shape", "3xx"], "--input-shape"),
        (["--input", "threshold"], "NAME=VALUE"),
        (["--server-clock", "sundial"], "server-timing"),
        (["--quality", "0"], "quality"),
    ],
)
def test_options_that_cannot_be_are_said(run, target_file, words, sentence):
    done = run("probe", "http://127.0.0.1:1/v2/models/m", "--data", "digits", *words)
    assert done.code == 2 and sentence in done.err and done.err.count("\n") == 1
    assert run("probe", target_file, "--data", "digits", "--mean", "0.5").code == 2
