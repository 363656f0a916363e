"""The README's commands and its Python run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from exitprint.cli import app

    blocks = re.findall(r"^```\n(.*?)^```", README, re.S | re.M)
    commands = [line for block in blocks for line in block.splitlines() if line.startswith("exitprint ")]
    assert len(commands) == 7
    for line in commands:
        quiet = ["--clock", "cost-model"] if " verify " in line else []
        code = app([*shlex.split(line)[1:], *quiet], standalone_mode=False) or 0
        assert code == 0, line
    assert (tmp_path / "report.html").exists() and (tmp_path / "target.onnx").exists()


def test_the_python(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    threads = torch.get_num_threads()
    exec(compile(code, "README.md", "exec"), {})
    assert torch.get_num_threads() == threads
    assert capsys.readouterr().out.startswith(("derived", "inconclusive"))


def test_links_lead_somewhere():
    root = Path(__file__).parent.parent
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (root / link).exists(), link


@pytest.mark.parametrize("page", ["architecture.md", "training.md", "contrast.md"])
def test_rooms_and_pages_exist(page):
    text = (Path(__file__).parent.parent / "docs" / page).read_text()
    assert text.startswith("# ")
