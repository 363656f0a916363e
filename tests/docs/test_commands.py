"""Every block of every page runs as it stands, or says why not and parses."""

from __future__ import annotations

import pytest
from pages import JOINED, PAGES, RUN, Block, blocks, name
from parsing import check_commands, check_python

ALL = [block for page in PAGES for block in blocks(page)]
NOT_RUN = [block for block in ALL if block.reason]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in RUN if page not in JOINED], ids=name)
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
