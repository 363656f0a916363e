"""Servers that describe little, and take and answer what they like: only the time counts."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "suspects"))
from scripted import Model, Reply, hosted, said

from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork
from exitprint.networks.onnx_export import export_onnx
from exitprint.suspects import InProcess, KServeSuspect, OnnxSuspect, open_suspect

X = torch.randint(0, 256, (1, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 255
RGB = torch.randint(0, 256, (1, 3, 4, 5), generator=torch.Generator().manual_seed(1)) / 255


def told(model: Model, number: int = -1) -> list[dict[str, Any]]:
    """The inputs of a request for inference that was sent as JSON."""
    bodies = [body for method, _, _, body in model.asked if method == "POST"]
    return json.loads(bodies[number])["inputs"]


def an_output(name: str, shape: list[int], data: list[Any], datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


GOOD = an_output("scores", [1, 2], [0.1, 0.9])


class Undescribed(Model):
    """A server that has no metadata, or says nothing in it, though inference works."""

    def __init__(self, metadata: Reply) -> None:
        super().__init__()
        self.metadata = metadata

    def reply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        known = super().reply(method, path, headers, body)
        return known if method == "POST" or path.endswith("/v2") else self.metadata


@pytest.mark.parametrize(
    "metadata",
    [
        said({"name": "m", "inputs": [], "outputs": []}),
        said({"name": "m", "platform": ""}),
        said({}),
        said({"name": "m", "inputs": None}),
        (404, {}, b'{"error": "not found"}'),
        (501, {}, b""),
        (200, {}, b""),
    ],
    ids=str,
)
def test_where_metadata_says_nothing_the_user_does(metadata: Reply) -> None:
    with hosted(Undescribed(metadata)) as model:
        with pytest.raises(ExitprintError, match="--input-name"):
            open_suspect(model.url)
        with open_suspect(model.url, input_name="x", input_type="UINT8", input_shape=(-1, 64)) as suspect:
            assert suspect.ask(X).labels.tolist() == [1] and suspect.floor() > 0
    assert told(model)[0]["name"] == "x" and told(model)[0]["datatype"] == "UINT8"
    assert told(model)[0]["shape"] == [1, 64] and told(model)[0]["data"] == (X * 255).round().flatten().tolist()


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64", "UINT8", "INT32", "INT64", "UINT16"])
@pytest.mark.parametrize("binary", [False, True])
def test_types_of_input(datatype: str, binary: bool) -> None:
    got: list[np.ndarray] = []

    class Kept(Model):
        def reply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
            if method != "POST":
                return super().reply(method, path, headers, body)
            length = int(headers.get("inference-header-content-length", len(body)))
            given = json.loads(body[:length])["inputs"][0]
            stored = {"FP16": "<f2", "BF16": "<u2", "FP32": "<f4", "FP64": "<f8", "UINT8": "u1"}.get(datatype)
            raw = (
                np.frombuffer(body[length:], stored or f"<{datatype[0].lower()}{int(datatype[-2:]) // 8}")
                if binary
                else None
            )
            values = np.array(given["data"], float) if raw is None else raw
            if binary and datatype == "BF16":
                values = (raw.astype(np.uint32) << 16).view(np.float32)
            got.append(values.reshape(given["shape"]).astype(np.float64))
            return said({"outputs": [GOOD]})

    inputs = [{"name": "x", "datatype": datatype, "shape": [-1, 1, 8, 8]}]
    with hosted(Kept(inputs=inputs, extensions=["binary_tensor_data"] if binary else [])) as model:
        KServeSuspect(model.url).ask(X)
    whole = "INT" in datatype
    tolerance = {"FP16": 1e-3, "BF16": 1e-2}.get(datatype, 1e-6)
    assert np.allclose(got[0], X.numpy() * (255 if whole else 1), atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "options", "sent"),
    [
        ([-1, 60], {}, lambda x: x.reshape(1, 60)),
        ([60], {}, lambda x: x.reshape(60)),
        ([1, 60], {"layout": "NHWC"}, lambda x: x.permute(0, 2, 3, 1).reshape(1, 60)),
        ([-1, 4, 5, 3], {}, lambda x: x.permute(0, 2, 3, 1)),
        ([4, 5, 3], {}, lambda x: x[0].permute(1, 2, 0)),
        ([3, 4, 5], {}, lambda x: x[0]),
        ([-1, -1, -1, -1], {"layout": "NHWC"}, lambda x: x.permute(0, 2, 3, 1)),
        ([], {}, lambda x: x),
        ([-1, 4, 5], {}, lambda x: x[:, 0]),
        ([4, 5], {}, lambda x: x[0, 0]),
    ],
)
def test_forms_of_input(shape: list[int], options: dict[str, Any], sent: Any) -> None:
    x = RGB[:, :1] if shape in ([-1, 4, 5], [4, 5]) else RGB
    inputs = [{"name": "x", "datatype": "FP32", "shape": shape}]
    with hosted(Model(inputs=inputs, infer=lambda number, request: said({"outputs": [GOOD]}))) as model:
        KServeSuspect(model.url, **options).ask(x)
    assert told(model)[0]["shape"] == list(sent(x).shape)
    assert np.allclose(told(model)[0]["data"], sent(x).flatten().numpy(), atol=1e-9)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
         lambda x: (x - [[[0.5]], [[0.4]], [[0.3]]]) / [[[0.2]], [[0.3]], [[0.4]]]),
        ({"mean": 0.5, "std": 0.5}, lambda x: (x - 0.5) / 0.5),
        ({"scale": 255}, lambda x: x * 255),
        ({"scale": 255, "mean": (103, 116, 123)}, lambda x: x * 255 - [[[103]], [[116]], [[123]]]),
        ({"scale": 2, "mean": 1}, lambda x: x * 2 - 1),
    ],
    ids=["a value for each channel", "one for all", "scale", "scale and mean", "all three"],
)  # fmt: skip
def test_normalisation_that_the_user_says(options: dict[str, Any], expected: Any) -> None:
    with hosted(Model(inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 3, 4, 5]}])) as model:
        KServeSuspect(model.url, **options).ask(RGB)
    assert np.allclose(told(model)[0]["data"], expected(RGB.numpy()).ravel(), atol=1e-4)


MASK = {"name": "mask", "datatype": "INT64", "shape": [-1, 3]}
THRESHOLD = {"name": "threshold", "datatype": "FP32", "shape": [1]}
IMAGE = {"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}


@pytest.mark.parametrize(
    ("inputs", "options", "others"),
    [
        ([IMAGE, THRESHOLD], {}, {}),
        ([THRESHOLD, IMAGE], {}, {}),
        ([IMAGE, THRESHOLD], {"inputs": {"threshold": 0.5}}, {"threshold": [0.5]}),
        ([MASK, IMAGE], {"inputs": {"mask": [1, 0, 1]}}, {"mask": [1, 0, 1]}),
        ([IMAGE, {"name": "tag", "datatype": "BYTES", "shape": [1]}], {"input_name": "image", "inputs": {"tag": "a"}},
         {"tag": ["a"]}),
        ([IMAGE, {**IMAGE, "name": "reference"}], {"input_name": "image"}, {}),
    ],
    ids=str,
)  # fmt: skip
def test_further_inputs_are_left_out_or_given(
    inputs: list[dict[str, Any]], options: dict[str, Any], others: dict[str, Any]
) -> None:
    with hosted(Model(inputs=inputs, infer=lambda number, request: said({"outputs": [GOOD]}))) as model:
        KServeSuspect(model.url, **options).ask(X)
    sent = {each["name"]: each["data"] for each in told(model)}
    assert sent.pop("image") and sent == others


@pytest.mark.parametrize(
    ("outputs", "label"),
    [
        ([GOOD, an_output("boxes", [7, 4], [0.0] * 28)], 1),
        ([an_output("features", [16], [1.0] * 16, "FP64"), GOOD], 1),
        ([GOOD, an_output("depth", [], [3], "INT64")], 1),
        ([an_output("scores", [1, 3], [-math.inf, 2.0, 1.0])], 1),
        ([GOOD, an_output("aux", [1, 2], [math.nan, math.inf])], 1),
        ([an_output("aux", [1, 2], [math.nan, 1.0]), GOOD], 1),
        ([an_output("names", [1], ["cat"], "BYTES")], None),
        ([an_output("empty", [0], [])], None),
        ([an_output("map", [1, 2, 2, 2], [0.0] * 8)], None),
        ([], None),
    ],
    ids=str,
)
def test_what_else_is_answered_does_no_harm(outputs: list[dict[str, Any]], label: int | None) -> None:
    with hosted(Model(infer=lambda number, request: said({"outputs": outputs}))) as model:
        answer = KServeSuspect(model.url).ask(X)
    assert np.isfinite(answer.seconds).all()
    assert (None if answer.labels is None else answer.labels.tolist()) == (None if label is None else [label])


@pytest.mark.parametrize(
    ("ending", "path"),
    [
        ("/v2/models/team/net", "/v2/models/team/net"),
        ("/v2/models/a/b/c/versions/7", "/v2/models/a/b/c/versions/7"),
        ("/base/path/v2/models/m", "/base/path/v2/models/m"),
        ("/v2/models/m/infer", "/v2/models/m"),
        ("/v2/models/m/", "/v2/models/m"),
        ("/v2/models/team%2Fnet", "/v2/models/team%2Fnet"),
        ("/v2/models/m?key=secret&x=1", "/v2/models/m"),
    ],
)
def test_addresses_of_models(ending: str, path: str) -> None:
    with hosted(Model()) as model:
        KServeSuspect(model.url.replace("/v2/models/m", ending)).ask(X)
    asked = [each for _, each, *_ in model.asked]
    query = "?key=secret&x=1" if "?" in ending else ""
    assert asked[0] == path + query and asked[-1] == f"{path}/infer{query}"
    assert all(each.endswith(query) for each in asked)


def test_how_files_and_addresses_may_be_written(target: MultiExitNetwork, target_file: Path, tmp_path: Path) -> None:
    export_onnx(target, tmp_path / "m.onnx")
    for name in ("M.ONNX", "m.Onnx"):
        (tmp_path / name).write_bytes((tmp_path / "m.onnx").read_bytes())
        assert isinstance(open_suspect(tmp_path / name), OnnxSuspect)
        assert isinstance(open_suspect(str(tmp_path / name)), OnnxSuspect)
    assert isinstance(open_suspect(target_file), InProcess)
    other = tmp_path / "N.SAFETENSORS"
    other.write_bytes(target_file.read_bytes())
    assert isinstance(open_suspect(other), InProcess)
    with hosted(Model()) as model:
        assert open_suspect(model.url.replace("http", "HTTP")).ask(X).labels is not None
        assert open_suspect(model.url.replace("http", "Http")).ask(X).labels is not None
