"""A network's file: what goes in comes out; what others put in is not believed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, load_network, save_network


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["resnet8", "vgg8", "mobilenet"]),
    seed=st.integers(0, 100),
    criterion=st.sampled_from(["confidence", "entropy", "margin", "patience"]),
    answer=st.sampled_from(["exit", "most confident"]),
    threshold=st.floats(0, 2),
    history=st.lists(st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4), max_size=3), max_size=2),
)
def test_round_trip(tmp_path, name, seed, criterion, answer, threshold, history):
    arch = architecture(name, (1, 8, 8), 10, width=4, depth=4 if name == "mobilenet" else None)
    network = MultiExitNetwork.build(arch, seed, ExitPolicy(threshold, criterion, answer), mean=[0.3], std=[0.2]).eval()
    network.history = history
    save_network(network, tmp_path / "n.safetensors")
    back = load_network(tmp_path / "n.safetensors")
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(back(x), network(x))
    assert (back.policy, back.history, back.architecture) == (network.policy, history, arch)
    first = (tmp_path / "n.safetensors").read_bytes()
    save_network(back, tmp_path / "n.safetensors")
    assert (tmp_path / "n.safetensors").read_bytes() == first
    assert not back.training and all(p.requires_grad for p in back.parameters())


@pytest.fixture
def parts(tmp_path):
    network = MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=4), 0)
    save_network(network, tmp_path / "n.safetensors")
    with safe_open(tmp_path / "n.safetensors", "pt") as file:
        header = json.loads(file.metadata()["exitprint"])
        return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def offered(tmp_path, header, tensors):
    path = tmp_path / "offered.safetensors"
    save_file(tensors, path, metadata={"exitprint": json.dumps(header)})
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"architecture": {"family": "resnet"}},
        {"policy": {"criterion": "mood", "thresholds": [0.5]}},
        {"policy": {"criterion": "confidence", "thresholds": []}},
        {"history": "long"},
        {"more": 1},
    ],
)
def test_a_header_that_makes_no_network_is_refused(tmp_path, parts, change):
    header, tensors = parts
    with pytest.raises(ExitprintError, match="makes no network"):
        load_network(offered(tmp_path, {**header, **change}, tensors))


@pytest.mark.parametrize("change", [{"depth": 10**9}, {"width": 10**9}, {"classes": 10**12}, {"family": "os.system"}])
def test_an_absurd_architecture_is_refused_before_anything_is_built(tmp_path, parts, change):
    header, tensors = parts
    header["architecture"].update(change)
    with pytest.raises(ExitprintError, match="makes no network"):
        load_network(offered(tmp_path, header, tensors))


def test_weights_that_do_not_fit_are_refused(tmp_path, parts):
    header, tensors = parts
    header["architecture"]["width"] = 6
    with pytest.raises(ExitprintError, match="do not fit"):
        load_network(offered(tmp_path, header, tensors))
    header["architecture"]["width"] = 4
    with pytest.raises(ExitprintError, match="do not fit"):
        load_network(offered(tmp_path, header, {**tensors, "more": torch.zeros(1)}))


def test_files_that_are_not_ours_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ExitprintError, match="not written by exitprint"):
        load_network(path)
    save_file({"a": torch.zeros(2)}, path, metadata={"exitprint": "[" * 100_000})
    with pytest.raises(ExitprintError, match="not written by exitprint"):
        load_network(path)


@pytest.mark.parametrize("thresholds", [[float("nan")], [0.5, 0.5]])
def test_a_policy_that_fits_no_exit_is_refused(tmp_path, parts, thresholds):
    header, tensors = parts
    header["policy"]["thresholds"] = thresholds
    with pytest.raises(ExitprintError, match="threshold"):
        load_network(offered(tmp_path, header, tensors))


def test_a_full_disk_keeps_the_network_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "n.safetensors"
    old, new = (MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=4), seed) for seed in (0, 1))
    save_network(old, path)
    before = path.read_bytes()

    def full(self, content):
        with self.open("wb") as half:
            half.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ExitprintError, match=r"No space left on device.*unchanged"):
        save_network(new, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_weights_that_alone_are_cut_or_swapped_are_refused(tmp_path, parts):
    header, tensors = parts
    name = "heads.0.linear.weight"
    for wrong in (tensors[name].double(), tensors[name].T.contiguous(), tensors[name][:, :-1].contiguous()):
        with pytest.raises(ExitprintError, match="do not fit"):
            load_network(offered(tmp_path, header, {**tensors, name: wrong}))
    less = {key: value for key, value in tensors.items() if key != name}
    with pytest.raises(ExitprintError, match="do not fit"):
        load_network(offered(tmp_path, header, less))


def test_every_truncation_is_refused(tmp_path, parts):
    whole = offered(tmp_path, *parts).read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(ExitprintError, match="not a readable"):
            load_network(cut)
