"""A real KServe v2 server in another process, asked by the suspect that anybody's server is asked by."""

from __future__ import annotations

import multiprocessing
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork
from exitprint.serving import running, serve
from exitprint.suspects import KServeSuspect, http


@pytest.fixture(scope="module")
def url(target_file: Path) -> Iterator[str]:
    with running(target_file, "stolen", show_exit=True) as address:
        yield address


@pytest.mark.parametrize("extension", ["binary_tensor_data", "not offered"])
def test_answers_are_those_in_process(
    url: str, extension: str, target: MultiExitNetwork, digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BINARY_EXTENSION", extension)
    suspect = KServeSuspect(url)
    x = torch.cat([digits.test.x, digits.train.x])[:1000]
    answers = [suspect.ask(part) for part in (x[:1], x[1:2], x[2:100], x[100:])]
    expected = target.predict(x)
    labels = np.concatenate([answer.labels for answer in answers if answer.labels is not None])
    probabilities = np.concatenate([answer.probabilities for answer in answers if answer.probabilities is not None])
    assert labels.tolist() == expected.labels.tolist()
    assert np.allclose(probabilities, expected.probabilities.numpy(), atol=1e-4)
    assert all((answer.seconds > 0).all() for answer in answers)


def test_exits_are_those_in_process_where_shown(url: str, target: MultiExitNetwork, digits: ImageData) -> None:
    x = torch.cat([digits.test.x, digits.train.x])[:1000]
    images = {"name": "images", "datatype": "FP32", "shape": list(x.shape), "data": x.flatten().tolist()}
    answer = httpx.post(f"{url}/infer", json={"id": "7", "inputs": [images], "outputs": [{"name": "exit"}]}).json()
    assert answer["id"] == "7" and [output["name"] for output in answer["outputs"]] == ["exit"]
    assert answer["outputs"][0]["data"] == target.predict(x).exits.tolist()


def test_metadata_says_what_is_needed(url: str) -> None:
    said = httpx.get(url).json()
    assert said["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]
    assert {output["name"]: output["shape"] for output in said["outputs"]} == {
        "probabilities": [-1, 10],
        "label": [-1],
        "exit": [-1],
    }
    assert "binary_tensor_data" in httpx.get(url.partition("/models/")[0]).json()["extensions"]


def test_one_output_can_be_asked_for_in_binary(url: str, target: MultiExitNetwork) -> None:
    header = (
        b'{"inputs": [{"name": "images", "datatype": "FP32", "shape": [1, 1, 8, 8], '
        b'"parameters": {"binary_data_size": 256}}], '
        b'"outputs": [{"name": "label", "parameters": {"binary_data": true}}]}'
    )
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(header))}
    answer = httpx.post(f"{url}/infer", content=header + bytes(256), headers=headers)
    length = int(answer.headers["inference-header-content-length"])
    expected = target.predict(torch.zeros(1, 1, 8, 8)).labels
    assert np.frombuffer(answer.content[length:], np.int64).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "given",
    [
        {"name": "other", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0.5] * 64},
        {"name": "images", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0.5] * 63},
        {"name": "images", "datatype": "FP32", "shape": [1, 1, 4, 16], "data": [0.5] * 64},
        {"name": "images", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": ["a"] * 64},
        {"name": "images", "datatype": "FP32", "shape": [0, 1, 8, 8], "data": []},
    ],
)
def test_bad_requests_are_refused_and_the_server_lives_on(url: str, given: dict[str, object]) -> None:
    assert httpx.post(f"{url}/infer", json={"inputs": [given]}).status_code == 400
    assert KServeSuspect(url).ask(torch.zeros(1, 1, 8, 8)).labels is not None


@pytest.mark.parametrize("length", ["5", "0", "99999", "-1"])
def test_bad_binary_requests_are_refused(url: str, length: str) -> None:
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": length}
    assert httpx.post(f"{url}/infer", content=b'{"inputs": 1}', headers=headers).status_code == 400


def test_another_name_is_not_there(url: str) -> None:
    with pytest.raises(ExitprintError, match="name of the model"):
        KServeSuspect(url + "s")


def test_exits_stay_hidden_and_the_process_ends_with_the_block(target_file: Path) -> None:
    with running(target_file) as address:
        assert [output["name"] for output in httpx.get(address).json()["outputs"]] == ["probabilities", "label"]
        assert len(multiprocessing.active_children()) >= 1
    with pytest.raises(ExitprintError, match="could not be asked"):
        KServeSuspect(address)


def test_what_cannot_be_served_is_said_by_the_parent(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"junk")
    with pytest.raises(ExitprintError, match="not a readable"), running(path):
        pass


def test_names_and_ports_are_checked(target: MultiExitNetwork) -> None:
    with pytest.raises(ExitprintError, match="model's name"):
        serve(target, "a/b")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ExitprintError, match="choose another"):
        serve(target, port=taken.getsockname()[1])
