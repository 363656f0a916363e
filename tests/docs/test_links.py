"""Links of the pages: those inside the project lead somewhere, anchors included; those outside have the right shape."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from pages import PAGES, ROOT, name

NOTEBOOKS = sorted((ROOT / "docs").rglob("*.ipynb"))
EVERY = [*PAGES, *(ROOT / each for each in ("CHANGELOG.md", "CONTRIBUTING.md")), *NOTEBOOKS]
MADE_BY_THE_BUILD = {ROOT / "docs" / each for each in ("changelog.md", "contributing.md")}


def text(page: Path) -> str:
    """The page's Markdown; of a notebook, its Markdown cells."""
    if page.suffix != ".ipynb":
        return page.read_text(encoding="utf-8")
    cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def links(page: Path) -> list[str]:
    """Where the page's links and pictures lead."""
    found = []
    for token in MarkdownIt().parse(text(page)):
        for child in token.children or []:
            target = child.attrGet("href") if child.type == "link_open" else child.attrGet("src")
            if target and child.type in ("link_open", "image"):
                found.append(str(target))
    return found


def anchors(page: Path) -> set[str]:
    """What headings of a page are called in a link."""
    tokens = MarkdownIt().parse(text(page))
    headings = [inline.content for mark, inline in pairwise(tokens) if mark.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", EVERY, ids=name)
def test_links_lead_somewhere(page):
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("https", "mailto") and (parts.netloc or parts.path), link
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        assert target in MADE_BY_THE_BUILD or target.exists(), f"{name(page)} links to {link}"
        if parts.fragment and target.suffix in (".md", ".ipynb"):
            assert parts.fragment in anchors(target), f"{name(page)} links to {link}"


def test_every_page_is_in_the_contents():
    contents = ROOT / "docs" / "SUMMARY.md"
    listed = {(contents.parent / link).resolve() for link in links(contents) if "*" not in link}
    for pattern in re.findall(r"^\s*- (\S+\*\S*)$", contents.read_text(), re.M):
        listed |= set(contents.parent.glob(pattern))
    pages = {page for page in [*PAGES[1:], *NOTEBOOKS] if page != contents}
    assert {name(page) for page in pages - listed} == set()
