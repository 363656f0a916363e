"""Services that take an image file: described by a TOML file, asked in another process."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, save_network
from exitprint.suspects import BudgetSpent, Metered, WithFloor, open_suspect
from exitprint.suspects.describing import CANDIDATES, described, try_service, written
from exitprint.suspects.description import Body, Picture, read_description
from exitprint.suspects.pictures import encoded
from exitprint.suspects.upload import body_of

sys.path.insert(0, str(Path(__file__).parent / "servers"))
from starting import started

X = torch.randint(0, 256, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 255


@pytest.fixture(scope="module")
def network() -> MultiExitNetwork:
    arch = architecture("resnet", (1, 8, 8), 10, depth=8, width=2)
    return MultiExitNetwork.build(arch, seed=0, policy=ExitPolicy(0.2)).eval()


@pytest.fixture(scope="module")
def server(network: MultiExitNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    save_network(network, path)
    with started("uploads.py", path) as (address,):
        yield address


def described_as(folder: Path, text: str) -> Path:
    path = folder / "service.toml"
    path.write_text(text)
    return path


FORM = """\
address = "{server}/form"
[body]
kind = "multipart"
several = true
[answer]
label = "predictions.0.label"
probabilities = "predictions.0.scores"
"""
RAW = """\
address = "{server}/raw"
[body]
kind = "raw"
[image]
resize = [16, 24]
[answer]
label = "label"
"""
JSON = """\
address = "{server}/json"
[body]
kind = "json"
at = "instances.0.image.b64"
prefix = "data:image/png;base64,"
[body.with]
top_k = 3
[answer]
label = "outputs.0.name"
classes = ["digit 0", "digit 1", "digit 2", "digit 3", "digit 4", "digit 5", "digit 6", "digit 7", "digit 8", "digit 9"]
"""


@pytest.mark.parametrize("text", [FORM, RAW, JSON], ids=["form", "raw", "json"])
def test_it_answers_as_the_network(network: MultiExitNetwork, server: str, tmp_path: Path, text: str) -> None:
    with open_suspect(described_as(tmp_path, text.format(server=server)), rate=1000) as suspect:
        assert isinstance(suspect, Metered) and not isinstance(suspect, WithFloor)
        answer = suspect.ask(X)
        assert suspect.requests == 4 and suspect.bytes_sent > 0 and suspect.bytes_received > 0
    expected = network.predict(X)
    assert answer.labels.tolist() == expected.labels.tolist() and answer.clock == "measured"
    assert (answer.seconds > 0).all() and answer.seconds.shape == (4,)
    if "probabilities" in text:
        assert np.allclose(answer.probabilities, expected.probabilities.numpy(), atol=1e-5)


def test_jpeg_is_sent_where_it_is_wanted(server: str, tmp_path: Path) -> None:
    text = RAW.format(server=server).replace("[image]", '[image]\nformat = "jpeg"\nquality = 80')
    with open_suspect(described_as(tmp_path, text)) as suspect:
        body, seconds, _ = suspect.exchange(X[:1])
    assert b'"kind":"jpeg"' in body and b'"size":[[24,16]]' in body and seconds > 0


def test_amplification_where_the_service_takes_several(server: str, tmp_path: Path) -> None:
    path = described_as(tmp_path, FORM.format(server=server))
    with open_suspect(path) as once, open_suspect(path, amplification=5) as often:
        assert once.ask(X[:1]).labels == often.ask(X[:1]).labels and often.requests == 1
        assert often.bytes_sent > 4 * once.bytes_sent
    path.write_text(RAW.format(server=server))
    with pytest.raises(ExitprintError, match="several = true"):
        open_suspect(path, amplification=5)


@pytest.mark.parametrize("clock", ["server-timing:total", "x-compute-time:ms"])
def test_the_servers_own_clock(server: str, tmp_path: Path, clock: str) -> None:
    path = described_as(tmp_path, RAW.format(server=server))
    with open_suspect(path, server_clock=clock) as suspect, open_suspect(path) as ours:
        answer = suspect.ask(X[:1])
        assert answer.clock == "server-reported" and 0 < answer.seconds[0] < 1
        assert ours.ask(X[:1]).clock == "measured"


@pytest.mark.parametrize(
    ("clock", "word"),
    [
        ("server-timing", "decode, total"),
        ("server-timing:gpu", "Server-Timing"),
        ("x-nothing:s", "x-nothing"),
        ("x-compute-time:hours", "x-compute-time:ms"),
        ("statistics", "no statistics"),
    ],
)
def test_a_clock_that_is_not_there_is_said(server: str, tmp_path: Path, clock: str, word: str) -> None:
    path = described_as(tmp_path, RAW.format(server=server))
    with pytest.raises(ExitprintError, match=word), open_suspect(path, server_clock=clock) as suspect:
        suspect.ask(X[:1])


def test_keys_and_headers_are_sent(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RAW.format(server=server).replace("/raw", "/keyed?key=secret") + '[headers]\nx-tenant = "$TENANT"\n'
    path = described_as(tmp_path, text)
    monkeypatch.delenv("TENANT", raising=False)
    with pytest.raises(ExitprintError, match=r"\$TENANT"):
        open_suspect(path)
    monkeypatch.setenv("TENANT", "a")
    with open_suspect(path) as suspect:
        assert suspect.ask(X[:1]).labels is not None
    monkeypatch.setenv("TENANT", "b")
    with pytest.raises(ExitprintError, match="refuses access") as caught, open_suspect(path) as suspect:
        suspect.ask(X[:1])
    assert "secret" not in str(caught.value)


def test_a_limit_without_retry_after_slows_down_and_stays(server: str, tmp_path: Path) -> None:
    path = described_as(tmp_path, RAW.format(server=server).replace("/raw", "/limited"))
    with open_suspect(path) as suspect:
        usable = [suspect.ask(X[:1]).seconds is not None for _ in range(8)]
        start = time.monotonic()
        suspect.ask(X[:1])
        assert time.monotonic() - start >= 0.1
    assert sum(usable) >= 6 and all(usable[3:])


def test_a_budget_is_kept(server: str, tmp_path: Path) -> None:
    with (
        open_suspect(described_as(tmp_path, RAW.format(server=server)), budget=3) as suspect,
        pytest.raises(BudgetSpent),
    ):
        suspect.ask(X)
    assert suspect.requests == 3


def test_too_large_says_less_amplification(server: str, tmp_path: Path) -> None:
    text = FORM.format(server=server).replace("/form", "/small")
    often = open_suspect(described_as(tmp_path, text), amplification=3)
    with often as suspect, pytest.raises(ExitprintError, match="less amplification"):
        suspect.ask(X[:1])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("label = ", "lable = "), r"line 7: 'answer.lable' is not known"),
        (('kind = "raw"', ""), r"line 2: 'body.kind' is missing"),
        (('kind = "raw"', 'kind = "carrier pigeon"'), "line 3: 'body.kind' cannot be used"),
        (('address = "{server}/raw"', ""), "line 1: 'address' is missing"),
        (("[body]", "[boddy]"), "line 1: 'body' is missing"),
        (("[16, 24]", "[0, 24]"), "line 5: 'image.resize.0'"),
        (("[16, 24]", "16"), "line 5: 'image.resize'"),
        (("[16, 24]", "[16"), "is not TOML"),
        (("{server}", "ftp://host"), "http or https"),
        (("{server}", "http://[::1"), "brackets"),
    ],
    ids=str,
)
def test_a_description_with_a_fault_names_it_and_its_line(tmp_path: Path, change: tuple[str, str], word: str) -> None:
    text = RAW.replace(*change).format(server="http://127.0.0.1:1")
    with pytest.raises(ExitprintError, match=word):
        open_suspect(described_as(tmp_path, text))


@pytest.mark.parametrize(
    ("answer", "word"),
    [('label = "nothing"', "'label', 'name'"), ('label = "name"', "classes"), ('probabilities = "label"', "numbers")],
)
def test_an_answer_that_is_described_wrong_is_said(server: str, tmp_path: Path, answer: str, word: str) -> None:
    text = RAW.format(server=server).replace('label = "label"', answer)
    with open_suspect(described_as(tmp_path, text)) as suspect, pytest.raises(ExitprintError, match=word):
        suspect.ask(X[:1])


def test_only_the_time_counts_where_no_answer_is_described(server: str, tmp_path: Path) -> None:
    text = RAW.format(server=server).replace("/raw", "/silent").replace('label = "label"', "")
    with open_suspect(described_as(tmp_path, text)) as suspect:
        answer = suspect.ask(X[:1])
    assert answer.labels is None and answer.probabilities is None and answer.seconds[0] > 0


@pytest.mark.parametrize(
    ("ending", "body", "label"),
    [
        ("/form", Body(kind="multipart"), "predictions.0.label"),
        ("/raw", Body(kind="raw"), "label"),
        ("/silent", Body(kind="multipart"), None),
    ],
)
def test_how_a_service_takes_images_is_found_out(
    server: str, tmp_path: Path, ending: str, body: Body, label: str | None
) -> None:
    seen = try_service(described(f"{server}{ending}", Picture()), X[:1], CANDIDATES, look=True)
    assert seen.description.body == body and seen.description.answer.label == label
    assert seen.requests == len(seen.refused) + 1 and seen.seconds > 0
    path = described_as(tmp_path, written(seen.description))
    assert read_description(path) == seen.description
    with open_suspect(path) as suspect:
        assert (suspect.ask(X[:1]).labels is None) == (label is None)


def test_whatever_is_described_can_be_written_and_read_again(tmp_path: Path) -> None:
    text = JSON.format(server="http://h") + '[headers]\n"x-a" = "b"\n[image]\nformat = "jpeg"\nresize = [3, 4]\n'
    text = text.replace("top_k = 3", 'top_k = 3\n"a b" = {c = ["d", 1.5, true]}')
    description = read_description(described_as(tmp_path, text))
    assert read_description(described_as(tmp_path, written(description))) == description


def test_png_files_and_bodies_are_equally_long_whatever_they_show() -> None:
    files = encoded(torch.cat([X, torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)]))
    assert len({len(file) for file in files}) == 1
    for body in (*CANDIDATES, Body(kind="json", at="a.0", several=True)):
        assert len({len(body_of(body, [file], "png")[0]) for file in files}) == 1
