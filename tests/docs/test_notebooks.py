"""The notebooks run from a clean kernel, quickly, and say what their stored outputs say."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SAID = re.compile(r"\bT_N = (\d\.\d+)|(\d+) exit(?:s|\(s\))")
ROUNDING = 0.1
"""What another processor's rounding, by way of the networks trained on it, may change in a T_N."""


def outputs(notebook: nbformat.NotebookNode) -> list[str]:
    """What is printed, cell by cell."""
    return [
        "".join(output.get("text", "") for output in cell.outputs)
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def said(printed: list[str]) -> tuple[list[float], list[int]]:
    """Each T_N, and each number of exits."""
    found = [match for text in printed for match in SAID.finditer(text)]
    return [float(match[1]) for match in found if match[1]], [int(match[2]) for match in found if match[2]]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_says_what_is_stored(path: Path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stored = nbformat.read(path, 4)
    nbformat.validate(stored)
    fresh = nbformat.read(path, 4)
    for cell in fresh.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(fresh, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    measured, exits = said(outputs(stored))
    assert measured
    assert said(outputs(fresh)) == (pytest.approx(measured, abs=ROUNDING), exits)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_pictures_and_without_errors_or_warnings(path: Path):
    notebook = nbformat.read(path, 4)
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in shown) >= 2
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in shown)
    assert path.stat().st_size < 300_000
