"""Checkpoints as people have them are loaded, and what is no checkpoint is called what it is."""

from __future__ import annotations

import argparse
import gzip
import json
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import user_modules as user
from exitprint.errors import ExitprintError
from exitprint.networks.weights import load_weights

torch.manual_seed(0)
WEIGHTS = user.Residual().state_dict()
OTHER = user.Residual().state_dict()


def under(prefix, weights=WEIGHTS):
    return {f"{prefix}{name}": tensor for name, tensor in weights.items()}


def optimiser():
    module = user.Residual()
    adam = torch.optim.Adam(module.parameters())
    sum(p.sum() for p in module.parameters()).backward()
    adam.step()
    return adam.state_dict()


def averaged():
    module = user.Residual()
    module.load_state_dict(WEIGHTS)
    return torch.optim.swa_utils.AveragedModel(module).state_dict()


CHECKPOINTS = {
    "plain": WEIGHTS,
    "parallel": under("module."),
    "compiled": under("_orig_mod."),
    "compiled and parallel": under("_orig_mod.module."),
    "parallel and compiled": under("module._orig_mod."),
    "lightning": {"state_dict": under("model."), "epoch": 3, "global_step": 9, "pytorch-lightning_version": "2.4"},
    "lightning compiled": {"state_dict": under("model._orig_mod."), "hyper_parameters": {"lr": 0.1}},
    "lightning's net": {"state_dict": under("net.")},
    "lightning with a loss": {"state_dict": {**under("net."), "criterion.weight": torch.ones(10)}},
    "a name of the user's own": under("student.backbone."),
    "parallel inside": {k.replace("blocks.", "blocks.module."): v for k, v in WEIGHTS.items()},
    "compiled inside": {k.replace("blocks.1.", "blocks.1._orig_mod."): v for k, v in WEIGHTS.items()},
    "net": {"net": WEIGHTS, "acc": 93.1, "epoch": 200},
    "network": {"network": under("module.")},
    "one in another": {"checkpoint": {"ema": {"state_dict": under("module.")}}},
    "average alone": {"ema_state_dict": WEIGHTS},
    "average beside": {"ema_state_dict": OTHER, "state_dict": WEIGHTS, "optimizer": optimiser()},
    "model beside its average": {"model_ema": OTHER, "model": WEIGHTS, "args": {"lr": 0.1}, "scaler": {}},
    "optimiser first": {"optimizer_state_dict": optimiser(), "model_state_dict": WEIGHTS, "loss": torch.tensor(0.1)},
    "averaged model": averaged(),
    "counted operations": {
        **WEIGHTS,
        "total_ops": torch.zeros(1),
        "total_params": torch.zeros(1),
        "stem.total_ops": torch.zeros(1),
    },
    "half precision": {k: v.half() if v.is_floating_point() else v for k, v in WEIGHTS.items()},
    "without counters": {k: v for k, v in WEIGHTS.items() if not k.endswith("num_batches_tracked")},
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_weights_are_found_wherever_they_lie(kind, tmp_path):
    torch.save(CHECKPOINTS[kind], tmp_path / "w.pt")
    module = user.Residual()
    load_weights(module, tmp_path / "w.pt")
    got = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    close = {"rtol": 0, "atol": 1e-3} if kind == "half precision" else {"rtol": 0, "atol": 0}
    torch.testing.assert_close(got, {k: WEIGHTS[k] for k in got}, **close)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("plain", ""),
        ("net", "the weights are those under ['net']"),
        ("one in another", "the weights are those under ['checkpoint']['ema']['state_dict']"),
        ("averaged model", "'n_averaged' of the file belongs to no part"),
        ("counted operations", "'stem.total_ops', 'total_ops', 'total_params' of the file belongs"),
        ("lightning with a loss", "'criterion.weight' of the file belongs"),
    ],
)
def test_what_is_taken_and_what_is_left_out_is_said(kind, said, tmp_path):
    torch.save(CHECKPOINTS[kind], tmp_path / "w.pt")
    text = str(load_weights(user.Residual(), tmp_path / "w.pt"))
    assert said in text if said else text == ""


def test_a_module_that_is_wrapped_itself_takes_bare_weights(tmp_path):
    torch.save(WEIGHTS, tmp_path / "w.pt")
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    for name in ("w.pt", "w.safetensors"):
        module = nn.DataParallel(user.Residual())
        load_weights(module, tmp_path / name)
        assert torch.equal(module.module.head.weight, WEIGHTS["head.weight"])


def saved(content):
    return lambda path: torch.save(content, path)


def zipped(*names):
    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"0")

    return write


NO_CHECKPOINTS = {
    "lfs": (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"), "Git LFS"),
    "page": (lambda p: p.write_text("\n<!DOCTYPE html><html><body>Sign in</body></html>"), "a web page"),
    "index": (
        lambda p: p.write_text(json.dumps({"weight_map": {"a": "w-00001-of-00002.safetensors"}})),
        "an index of weights that lie in 'w-00001-of-00002.safetensors'",
    ),
    "json": (lambda p: p.write_text(json.dumps({"error": "not found"})), "JSON and not weights"),
    "script": (lambda p: torch.jit.save(torch.jit.script(nn.Linear(2, 2)), p), "TorchScript"),
    "program": (
        lambda p: p.write_bytes(_program(p)),
        "a program of torch.export",
    ),
    "empty": (lambda p: p.write_bytes(b""), "empty"),
    "keras": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 99), "an HDF5 file"),
    "packed": (lambda p: p.write_bytes(gzip.compress(b"weights")), "still packed"),
    "numpy": (lambda p: np.savez(p.open("wb"), a=np.zeros(2)), "NumPy arrays"),
    "zip": (zipped("readme.txt", "model.pt"), "a ZIP archive of other things"),
}


def _program(path):
    other = path.with_suffix(".pt2")
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), other)
    content = other.read_bytes()
    other.unlink()
    return content


@pytest.mark.parametrize("kind", NO_CHECKPOINTS)
def test_what_is_no_checkpoint_is_called_what_it_is(kind, tmp_path):
    write, said = NO_CHECKPOINTS[kind]
    write(tmp_path / "w.pt")
    with pytest.raises(ExitprintError, match="is ") as caught:
        load_weights(user.Residual(), tmp_path / "w.pt")
    text = str(caught.value)
    assert said in text and "could run code" not in text and text.count("\n") == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (user.Residual(), "user_modules.Residual"),
        ({"args": argparse.Namespace(lr=1), "state_dict": WEIGHTS}, "argparse.Namespace"),
        ({"best": np.float64(1.0), "state_dict": WEIGHTS}, "numpy"),
    ],
)
def test_pickles_stay_refused_with_the_way_to_convert_them(content, said, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ExitprintError, match=r"convert it by torch\.save") as caught:
        load_weights(user.Residual(), tmp_path / "w.pt")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({k: v for k, v in WEIGHTS.items() if "stem" not in k}, "'stem.bias', 'stem.weight' of the module is missing"),
        (user.Residual(blocks=6).state_dict(), "is not in the module"),
        (under("net.", user.Residual(blocks=6).state_dict()), "is not in the module"),
        (user.Residual(blocks=2).state_dict(), "and 16 more of the module is missing"),
        (user.Residual(channels=16).state_dict(), "should be"),
        ({"student": WEIGHTS, "teacher": OTHER}, "several sets of weights that fit, ['student'] and ['teacher']"),
        ({"optimizer": {"lr": 1}}, "no dictionary of weights"),
        ([WEIGHTS], "no dictionary of weights"),
    ],
)
def test_weights_of_another_network_are_refused_by_name(content, said, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    module = user.Residual()
    before = module.state_dict()["head.weight"].clone()
    with pytest.raises(ExitprintError) as caught:
        load_weights(module, tmp_path / "w.pt")
    assert said in str(caught.value)
    assert torch.equal(module.state_dict()["head.weight"], before)
