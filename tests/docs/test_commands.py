"""Every block of every page runs as it stands, or says why not and parses."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pages import PAGES, Block, blocks, name, starts_with
from parsing import check_commands, check_python
from shell import programs, run

ALL = [block for page in PAGES for block in blocks(page)]
NOT_RUN = [block for block in ALL if block.reason]
RUN = [page for page in PAGES if any(not block.reason for block in blocks(page))]


def first(page: Path) -> Path:
    """The page that the reader of this one began with."""
    before = starts_with(page)
    return first(before) if before else page


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


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.xdist_group(name(first(page)))) for page in RUN], ids=name
)
def test_page_runs(page, after):
    after(page)


@pytest.mark.parametrize("block", NOT_RUN, ids=str)
def test_what_is_not_run_parses(block: Block):
    if block.language == "python":
        check_python(block.code)
    else:
        check_commands(block.code)


def test_there_is_something_to_run():
    assert len(RUN) >= 2
    assert any("exitprint" in block.code for block in ALL if not block.reason)
    assert any(block.language == "python" for block in ALL if not block.reason)
