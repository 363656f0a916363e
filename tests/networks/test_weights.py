"""Weights that somebody else saved: as they are usually kept, and what is refused."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import save_file

import user_modules as user
from exitprint.errors import ExitprintError
from exitprint.networks.weights import load_weights


def saved(folder, how):
    weights = user.Residual().state_dict()
    if how == "safetensors":
        save_file(weights, folder / "w.safetensors")
        return weights, folder / "w.safetensors"
    content = {
        "plain": weights,
        "lightning": {"state_dict": {f"model.{k}": v for k, v in weights.items()}, "epoch": 3},
        "parallel": {"state_dict": {f"module.{k}": v for k, v in weights.items()}, "best_prec1": 92.6},
        "compiled": {f"_orig_mod.{k}": v for k, v in weights.items()},
        "old": {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")},
    }[how]
    torch.save(content, folder / "w.th")
    return weights, folder / "w.th"


@pytest.mark.parametrize("how", ["safetensors", "plain", "lightning", "parallel", "compiled", "old"])
def test_weights_as_they_are_usually_kept(tmp_path, how):
    weights, path = saved(tmp_path, how)
    module = user.Residual()
    load_weights(module, path)
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


class Surprise:
    def __reduce__(self):
        return os.mkdir, ("was-here",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state_dict": Surprise()}, "could run code"),
        ({"a": torch.zeros(1)}, "do not fit"),
        ([torch.zeros(1)], "no dictionary of weights"),
        ({"epoch": 3}, "no dictionary of weights"),
        ({k: v[:1] for k, v in user.Residual().state_dict().items() if v.ndim}, "should be"),
    ],
)
def test_what_is_no_set_of_weights_is_refused(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ExitprintError, match=said):
        load_weights(user.Residual(), tmp_path / "w.pt")
    assert os.listdir(tmp_path) == ["w.pt"]


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_damaged_and_missing_files(tmp_path, name):
    with pytest.raises(ExitprintError, match="no file"):
        load_weights(user.Residual(), tmp_path / name)
    (tmp_path / name).write_bytes(b"nothing of that kind")
    with pytest.raises(ExitprintError, match=r"not a readable|could run code"):
        load_weights(user.Residual(), tmp_path / name)
