"""What others put into the graph of a network's file is not believed."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import user_modules as user
from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork, load_network, save_network
from exitprint.networks.exported.operators import ALLOWED, constant, encoded, operator_named


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    path = tmp_path_factory.mktemp("wrapped") / "n.safetensors"
    network = MultiExitNetwork.wrap(user.Skips().eval(), ["down", "up"], example=torch.rand(2, 1, 8, 8))
    save_network(network, path)
    with safe_open(path, "pt") as file:
        return file.metadata()["exitprint"], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def operation(op, *args, **kwargs):
    return {"op": op, "args": list(args), "kwargs": kwargs}


ZERO = {"value": 0}


@pytest.mark.parametrize(
    "hostile",
    [
        operation("aten.from_file.default", "/etc/passwd"),
        operation("os.system", "true"),
        operation("aten.add_.Tensor", ZERO, ZERO),
        operation("aten.relu.out", ZERO),
        operation("aten.relu", ZERO),
        operation("aten.__class__.default", ZERO),
        operation("prims.add.default", ZERO, ZERO),
        operation("aten.relu.default", {"value": 99}),
        operation("aten.relu.default", {"value": -1}),
        operation("aten.relu.default", {"weight": "no.such"}),
        operation("aten.relu.default", {"weight": "__class__"}),
        operation("aten.relu.default", {"dtype": "ops"}),
        operation("aten.relu.default", {"value": 0, "weight": "scale"}),
        operation("aten.relu.default", "text"),
        operation("aten.reshape.default", ZERO, [7]),
        operation("aten.full.default", [10**6, 10**6], 1.0),
        operation("layer", ZERO, name="stem.weight"),
        operation("layer", ZERO, name="nowhere"),
        operation("layer", ZERO),
    ],
)
def test_operators_that_are_not_allowed_or_cannot_run_are_refused(tmp_path, parts, hostile):
    header, tensors = parts
    header = json.loads(header)
    header["architecture"]["parts"][0]["operations"].append(hostile)
    path = tmp_path / "offered.safetensors"
    save_file(tensors, path, metadata={"exitprint": json.dumps(header)})
    with pytest.raises(ExitprintError):
        load_network(path)


def change(**fields):
    return lambda part: part.update(fields)


@pytest.mark.parametrize(
    "changed",
    [
        change(outputs=[10**6]),
        change(outputs=[]),
        change(inputs=2),
        change(inputs=10**9),
        change(operations=[]),
        change(weights={"forward": {"shape": [1], "dtype": "float32"}}),
        change(weights={"__init__.x": {"shape": [1], "dtype": "float32"}}),
        change(weights={"a": {"shape": [1], "dtype": "object"}}),
        change(weights={"a..b": {"shape": [1], "dtype": "float32"}}),
        change(layers={}),
        lambda part: part["layers"]["stem"].update(outputs=2**31, inputs=2**31),
        lambda part: part["layers"]["stem"].update(groups=0),
    ],
)
def test_parts_that_make_no_stage_are_refused(tmp_path, parts, changed):
    header, tensors = parts
    header = json.loads(header)
    changed(header["architecture"]["parts"][0])
    path = tmp_path / "offered.safetensors"
    save_file(tensors, path, metadata={"exitprint": json.dumps(header)})
    with pytest.raises(ExitprintError):
        load_network(path)


@pytest.fixture(scope="module")
def with_heads(tmp_path_factory):
    path = tmp_path_factory.mktemp("wrapped") / "n.safetensors"
    save_network(MultiExitNetwork.wrap(user.Several().eval(), example=torch.rand(2, 1, 8, 8)), path)
    with safe_open(path, "pt") as file:
        return file.metadata()["exitprint"], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize(
    "changed",
    [
        lambda heads: heads.update({"2": heads["0"]}),
        lambda heads: heads.update({"-1": heads["0"]}),
        lambda heads: heads.update({"x": heads["0"]}),
        lambda heads: heads.update({"0": heads["1"], "1": heads["0"]}),
        lambda heads: heads["0"].update(inputs=2),
        lambda heads: heads["0"].update(outputs=[0, 0]),
        lambda heads: heads["0"].update(outputs=[0]),
        lambda heads: heads["0"]["operations"].append(operation("aten.full.default", [10**6, 10**6], 1.0)),
        lambda heads: heads["0"]["operations"].append(operation("layer", ZERO, name="exit2.2")),
        lambda heads: heads["0"]["operations"].append(operation("aten.from_file.default", "/etc/passwd")),
        lambda heads: heads.pop("1"),
    ],
)
def test_heads_that_are_none_are_refused(tmp_path, with_heads, changed):
    header, tensors = with_heads
    header = json.loads(header)
    changed(header["architecture"]["heads"])
    path = tmp_path / "offered.safetensors"
    save_file(tensors, path, metadata={"exitprint": json.dumps(header)})
    with pytest.raises(ExitprintError):
        load_network(path)


def test_every_allowed_operator_exists_and_writes_nowhere():
    for name in ALLOWED:
        packet = getattr(torch.ops.aten, name)
        pure = [o for o in packet.overloads() if not getattr(packet, o)._schema.is_mutable]
        assert pure
        for overload in pure:
            operator_named(f"aten.{name}.{overload}")
            types = " ".join(str(argument.type) for argument in getattr(packet, overload)._schema.arguments)
            assert not any(word in types for word in ("Generator", "Storage", "Stream"))


@pytest.mark.parametrize(
    "value", [torch.float32, torch.channels_last, torch.strided, float("inf"), -float("inf"), 1.5, None, [1, "same"]]
)
def test_constants_come_back_from_json(value):
    kept = json.loads(json.dumps(encoded(value), allow_nan=False))
    assert (constant(*kept.popitem()) if isinstance(kept, dict) else kept) == value


def test_other_arguments_cannot_be_kept():
    with pytest.raises(ExitprintError, match="cannot be kept"):
        encoded(object())
