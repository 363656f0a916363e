"""The page of the public API has a line for each name, and for no other."""

from __future__ import annotations

import re

from pages import ROOT, blocks

import exitprint


def test_every_public_name_is_used_on_the_page_and_no_other():
    lines = [
        line.split(" #")[0] for block in blocks(ROOT / "docs" / "api" / "index.md") for line in block.code.splitlines()
    ]
    used = set(re.findall(r"\bep\.(\w+)", "\n".join(lines)))
    assert used == set(exitprint.__all__)
