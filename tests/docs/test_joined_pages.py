"""Pages that follow one another: in a file of their own, so that another process of the tests runs the others."""

from __future__ import annotations

import pytest
from pages import JOINED, name


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", JOINED, ids=name)
def test_page_runs(page, after):
    after(page)
