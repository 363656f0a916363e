"""What is shown to people: text from outside stays text, and an object in a notebook is one small table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def legible(text: str) -> str:
    """Text with everything taken out that a terminal or a browser would obey: control and direction marks."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def html_table(title: str, rows: Iterable[Sequence[object]], head: Sequence[str] = (), color: str = "inherit") -> str:
    """A table under a title, for `_repr_html_`."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="exitprint"><b style="color: {escape(color)}">{escape(title)}</b>'
        f"<table>{f'<thead><tr>{top}</tr></thead>' if top else ''}<tbody>{body}</tbody></table></div>"
    )
