"""The notebooks run from their first cell to their last, quickly, and say what their stored outputs say."""

from __future__ import annotations

import io
import json
import os
import re
import traceback
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib
import nbformat
import pytest
from nbclient import NotebookClient
from pages import ROOT

from exitprint import training

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


def printed(cells: list[str], folder: Path) -> list[str]:
    """What each cell prints, run in order in a fork of this process, in a folder and names of its own."""
    file = folder / "printed.json"
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.chdir(folder)
            matplotlib.use("agg", force=True)
            names: dict[str, object] = {"__name__": "__main__"}
            texts = []
            for cell in cells:
                with redirect_stdout(io.StringIO()) as text:
                    exec(compile(cell, "cell", "exec"), names)
                texts.append(text.getvalue())
            file.write_text(json.dumps(texts))
            code = 0
        except BaseException:
            (folder / "error").write_text(traceback.format_exc())
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, (folder / "error").read_text()
    return list(json.loads(file.read_text()))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_says_what_is_stored(path: Path, tmp_path, monkeypatch, training_once):
    monkeypatch.setattr(training, "train_network", training_once)
    stored = nbformat.read(path, 4)
    nbformat.validate(stored)
    measured, exits = said(outputs(stored))
    assert measured
    fresh = printed([cell.source for cell in stored.cells if cell.cell_type == "code"], tmp_path)
    assert said(fresh) == (pytest.approx(measured, abs=ROUNDING), exits)


CELLS = (
    "import exitprint as ep\ndata = ep.load_data('digits')",
    "network = ep.train_network(ep.architecture('resnet8', data.input_shape, data.classes, width=4), data, "
    "ep.recipe('fast', 'resnet', 'digits', epochs=1))",
    "network",
    "ep.load_fingerprint('nowhere.safetensors')",
)


def test_in_a_kernel_a_network_shows_itself_and_a_mistake_is_one_sentence(tmp_path, monkeypatch):
    """Jupyter itself: training shows its progress there, and what is wrong is said by the library's own error."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    _, training, network, mistake = (cell.outputs for cell in notebook.cells)
    assert not any(output.output_type == "error" for output in training)
    assert "takes all" in network[0]["data"]["text/html"] and "text/plain" in network[0]["data"]
    assert mistake[0].ename == "ExitprintError"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_pictures_and_without_errors_or_warnings(path: Path):
    notebook = nbformat.read(path, 4)
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in shown) >= 2
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in shown)
    assert path.stat().st_size < 300_000
