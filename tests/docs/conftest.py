"""Pages that were run: the folder that each leaves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pages import blocks, starts_with
from shell import programs, run


@pytest.fixture(scope="session")
def environment(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with programs(tmp_path_factory.mktemp("programs"), shared) as environment:
        yield environment


@pytest.fixture(scope="session")
def after(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """The folder that a page leaves; each page is run once."""
    left: dict[Path, Path] = {}

    def folder_after(page: Path) -> Path:
        if page not in left:
            folder = tmp_path_factory.mktemp("page") / page.stem
            before = starts_with(page)
            if before:
                shutil.copytree(folder_after(before), folder)
            else:
                folder.mkdir()
            run([block for block in blocks(page) if not block.reason], folder, environment)
            left[page] = folder
        return left[page]

    return folder_after
