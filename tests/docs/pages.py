"""What the pages hold: their code blocks, and what a comment before a block says about running it.

A block of `bash`, `console` or `python`, and one of no language with a command in it, is run by the tests. Comments on
the line before it:

`<!-- not run: REASON -->`
    The tests lack what it needs. It has to parse all the same: every option known, every imported name there.
`<!-- exits with: 1 or 3 -->`
    The block is one command, and this is its exit code.
`<!-- prints: derived or inconclusive -->`
    One of these is in what the block prints.

A block with `title="FILE"` is a file that the reader writes. At the top of a page
`<!-- starts with: quickstart.md -->` says that the reader has the files which that page leaves. Pages in `results`
record what was measured on data and machines that tests do not have: their blocks have to parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = ("bash", "sh", "console")
COMMAND = re.compile(r"^(\$ )?(exitprint|make|python|pip|export) ", re.M)
RECORD = "the record of a measurement"


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes
    ----------
    page
        The file, relative to the project.
    line
        Where the block begins.
    language
        ``bash`` or ``python``.
    code
        What is in it, prompts left out.
    reason
        Why it is not run; empty if it is.
    codes
        The exit codes that it may end with.
    prints
        Words of which one has to be printed; empty if anything may be.
    file
        The file that the block is, if it is one.
    """

    page: str
    line: int
    language: str
    code: str
    reason: str
    codes: tuple[int, ...]
    prints: tuple[str, ...]
    file: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name(page: Path) -> str:
    """What a page is called."""
    return page.relative_to(ROOT).as_posix()


@cache
def blocks(page: Path) -> list[Block]:
    """The page's blocks of commands and of Python, in order."""
    return list(_blocks(name(page), page.read_text(encoding="utf-8")))


def starts_with(page: Path) -> Path | None:
    """The page whose files the reader of this one has already."""
    found = re.search(r"^<!-- starts with: (\S+) -->$", page.read_text(encoding="utf-8"), re.M)
    return page.parent / found[1] if found else None


def _blocks(page: str, text: str) -> Iterator[Block]:
    comment = ""
    for token in MarkdownIt().parse(text):
        if token.type == "fence" and token.map:
            info, _, rest = token.info.strip().partition(" ")
            language = _language(info, token.content)
            if language:
                reason = _said(comment, "not run") or (RECORD if page.startswith("docs/results/") else "")
                title = re.search(r'title="(.+?)"', rest)
                yield Block(
                    page,
                    token.map[0] + 1,
                    language,
                    _without_prompts(token.content),
                    reason,
                    tuple(int(code) for code in (_said(comment, "exits with") or "0").split(" or ")),
                    tuple(filter(None, _said(comment, "prints").split(" or "))),
                    title[1] if title else "",
                )
        comment = comment + token.content if token.type == "html_block" else ""


def _said(comment: str, about: str) -> str:
    found = re.search(rf"<!-- {about}: (.+?) -->", comment)
    return found[1] if found else ""


def _language(info: str, code: str) -> str | None:
    if info == "python":
        return "python"
    return "bash" if info in SHELL or (not info and COMMAND.search(code)) else None


def _without_prompts(code: str) -> str:
    """Of a block with `$ ` prompts the commands; of any other, all."""
    lines = code.splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith(("$ ", "> "))]
    return "\n".join(lines) + "\n"


RUN = [page for page in PAGES if any(not block.reason for block in blocks(page))]
"""The pages that tests run."""
_BEFORE = {page: starts_with(page) for page in RUN}
JOINED = [page for page in RUN if _BEFORE[page] or page in _BEFORE.values()]
"""Those whose reader has the files of another page, and those that leave them."""
