"""Tables: the same rows give the same bytes; Markdown that a person can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from exitprint.errors import ExitprintError
from exitprint_studies import markdown, read_parquet, write_parquet

ROWS = [
    {"network": "target", "rad": 5, "auc": 0.98765, "held": True},
    {"network": "a|b", "rad": 15, "auc": None, "held": False},
]


def test_parquet_comes_back_and_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_parquet(ROWS, tmp_path / name)
    assert read_parquet(tmp_path / "a") == ROWS
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_markdown() -> None:
    assert markdown(ROWS, {"network": "Network", "rad": "RAD", "auc": "AUC"}, digits=2) == (
        "| Network | RAD | AUC |\n|---|---:|---:|\n| target | 5 | 0.99 |\n| a\\|b | 15 | – |\n"
    )
    assert markdown(ROWS).splitlines()[0] == "| network | rad | auc | held |"
    assert markdown([{"x": float("nan")}]).splitlines()[2] == "| – |"
    assert markdown([{"x": 12000, "y": True, "z": 999}]).splitlines()[2] == "| 12,000 | True | 999 |"


def test_wrong_rows_and_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExitprintError, match="no results"):
        markdown([])
    with pytest.raises(ExitprintError, match="same columns"):
        write_parquet([{"a": 1}, {"b": 1}], tmp_path / "x")
    (tmp_path / "broken").write_bytes(b"PAR1 and no more")
    for name in ("broken", "absent"):
        with pytest.raises(ExitprintError, match="make it again"):
            read_parquet(tmp_path / name)
