"""Which suspect an argument means."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scripted import Model

from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork
from exitprint.networks.onnx_export import export_onnx
from exitprint.suspects import InProcess, KServeSuspect, OnnxSuspect, Suspect, open_suspect


def test_each_kind_is_opened(target: MultiExitNetwork, target_file: Path, model: Model, tmp_path: Path) -> None:
    export_onnx(target, tmp_path / "m.onnx")
    kinds = {str(target_file): InProcess, str(tmp_path / "m.onnx"): OnnxSuspect, model.url: KServeSuspect}
    for argument, kind in kinds.items():
        suspect = open_suspect(argument)
        assert type(suspect) is kind and isinstance(suspect, Suspect)
        assert suspect.ask(torch.zeros(1, 1, 8, 8)).labels is not None


def test_limits_reach_the_server(model: Model) -> None:
    suspect = open_suspect(model.url, amplification=3, budget=2)
    with pytest.raises(ExitprintError, match="budget of 2"):
        suspect.ask(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("argument", ["network.pt", "nonsense", "", "ftp://x/v2/models/m"])
def test_anything_else_is_refused(argument: str) -> None:
    with pytest.raises(ExitprintError, match="is no suspect"):
        open_suspect(argument)


def test_only_a_server_is_amplified(target_file: Path) -> None:
    with pytest.raises(ExitprintError, match="amplif"):
        open_suspect(str(target_file), amplification=2)
