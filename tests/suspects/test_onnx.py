"""ONNX models as suspects, from friends and from strangers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork
from exitprint.networks.onnx_export import export_onnx
from exitprint.suspects import OnnxSuspect

X = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def written(
    path: Path,
    nodes: Sequence[NodeProto],
    weights: Sequence[TensorProto] = (),
    shape: Sequence[int | str] = (1, 1, 8, 8),
    kind: int = TensorProto.FLOAT,
    domains: Sequence[str] = (),
) -> Path:
    """A file with a model of these nodes, from x to y."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in domains)]
    path.write_bytes(helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())
    return path


def test_it_answers_as_the_network_does(target: MultiExitNetwork, digits: ImageData, tmp_path: Path) -> None:
    x = torch.cat([digits.test.x, digits.train.x])[:1000]
    export_onnx(target, tmp_path / "m.onnx")
    answer, expected = OnnxSuspect(tmp_path / "m.onnx").ask(x), target.predict(x)
    assert answer.labels is not None and answer.labels.tolist() == expected.labels.tolist()
    assert answer.probabilities is not None
    assert np.allclose(answer.probabilities, expected.probabilities.numpy(), atol=1e-4)
    assert answer.clock == "measured" and answer.seconds.shape == (1000,) and (answer.seconds > 0).all()
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    exits = [int(session.run(["exit"], {"images": image.numpy()})[0][0]) for image in x.split(1)]
    assert exits == expected.exits.tolist() and len(set(exits)) > 2


def test_a_model_for_batches_of_8_bit_pixels_channels_last(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["y"]),
    ]
    path = written(tmp_path / "m.onnx", nodes, shape=("batch", 8, 8, 1), kind=TensorProto.UINT8)
    answer = OnnxSuspect(path).ask(X)
    assert answer.labels is not None and answer.labels.tolist() == X.flatten(1).argmax(1).tolist()
    assert len(set(answer.seconds.tolist())) == 1


@pytest.mark.parametrize("junk", [b"", b"junk" * 100, bytes(1000), b"\x80\x02}q\x00."])
def test_junk_is_refused(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(junk)
    with pytest.raises(ExitprintError, match="cannot load"):
        OnnxSuspect(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ExitprintError, match="no file"):
        OnnxSuspect(tmp_path / "m.onnx")


@pytest.mark.parametrize("location", ["../secret.bin", "{absolute}", "link.bin"])
@pytest.mark.parametrize("constant", [False, True])
def test_weights_outside_the_folder_are_not_read(location: str, constant: bool, tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.arange(64, dtype=np.float32).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(secret)
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 1, 8, 8], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=location.format(absolute=secret))
    weight.external_data.add(key="length", value="256")
    nodes = [helper.make_node("Add", ["x", "w"], ["a"]), helper.make_node("Flatten", ["a"], ["y"])]
    if constant:
        nodes = [helper.make_node("Constant", [], ["w"], value=weight), *nodes]
    path = written(folder / "m.onnx", nodes, [] if constant else [weight])
    with pytest.raises(ExitprintError, match="cannot load"):
        OnnxSuspect(path)


def test_unknown_operators_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", [helper.make_node("Run", ["x"], ["y"], domain="evil")], domains=["evil"])
    with pytest.raises(ExitprintError, match="evil"):
        OnnxSuspect(path)


def endless() -> GraphProto:
    return helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["v", "v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )


def test_a_model_that_never_ends_is_stopped(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["true"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("Loop", ["", "true", "x"], ["a"], body=endless()),
        helper.make_node("Flatten", ["a"], ["y"]),
    ]
    with pytest.raises(ExitprintError, match=r"0\.2 seconds"):
        OnnxSuspect(written(tmp_path / "m.onnx", nodes), timeout=0.2).ask(X[:1])


def test_a_model_that_wants_all_memory_fails_in_one_sentence(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Mul", ["s", "huge"], ["t"]),
        helper.make_node("Expand", ["x", "t"], ["y"]),
    ]
    huge = numpy_helper.from_array(np.array([2**21, 2**21, 1, 1], np.int64), "huge")
    with pytest.raises(ExitprintError, match="cannot run"):
        OnnxSuspect(written(tmp_path / "m.onnx", nodes, [huge])).ask(X[:1])


def test_nonsense_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Sub", ["x", "x"], ["o"]), helper.make_node("Div", ["o", "o"], ["y"])]
    with pytest.raises(ExitprintError, match="NaN"):
        OnnxSuspect(written(tmp_path / "m.onnx", nodes)).ask(X[:1])


@pytest.mark.parametrize(("shape", "word"), [((4, 1, 8, 8), "exactly 4"), ((1, 1, 1, 8, 8), "no image")])
def test_models_that_cannot_be_asked_one_image_are_refused(shape: tuple[int, ...], word: str, tmp_path: Path) -> None:
    with pytest.raises(ExitprintError, match=word):
        OnnxSuspect(written(tmp_path / "m.onnx", [helper.make_node("Identity", ["x"], ["y"])], shape=shape))


KINDS = {"float16": TensorProto.FLOAT16, "double": TensorProto.DOUBLE, "int32": TensorProto.INT32}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [("batch", 1, 8, 8), ("batch", 64), ("batch", 8, 8)], ids=str)
def test_models_of_other_types_and_forms(kind: str, shape: tuple[int | str, ...], tmp_path: Path) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), helper.make_node("Flatten", ["f"], ["y"])]
    path = written(tmp_path / "m.onnx", nodes, shape=shape, kind=KINDS[kind])
    answer = OnnxSuspect(path).ask(X)
    assert answer.labels is not None and answer.labels.tolist() == X.flatten(1).argmax(1).tolist()


def test_a_second_input_is_given_by_name(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Mul", ["f", "factor"], ["y"])],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 1, 8, 8)),
            helper.make_tensor_value_info("factor", TensorProto.FLOAT, (1,)),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    answer = OnnxSuspect(tmp_path / "m.onnx", inputs={"factor": -1.0}).ask(X)
    assert answer.labels is not None and answer.labels.tolist() == X.flatten(1).argmin(1).tolist()
    with pytest.raises(ExitprintError, match="factor"):
        OnnxSuspect(tmp_path / "m.onnx").ask(X)


def test_normalisation_is_done_where_it_is_said(tmp_path: Path) -> None:
    path = written(tmp_path / "m.onnx", [helper.make_node("Flatten", ["x"], ["y"])], shape=("batch", 1, 8, 8))
    answer = OnnxSuspect(path, scale=-2.0, mean=0.5).ask(X)
    assert answer.labels is not None and answer.labels.tolist() == X.flatten(1).argmin(1).tolist()
