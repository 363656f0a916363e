"""The page of a study: its tables and figures, one below the other, in one self-contained HTML file."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from markupsafe import Markup, escape

from exitprint.reports.page import environment
from exitprint.reports.text import MISSING, number, shown


@dataclass(frozen=True)
class Section:
    """One table, with its figure where it has one.

    Attributes
    ----------
    title, note
        Heading, and what the columns mean; words between asterisks are set off.
    rows
        Of the table, all with the same columns.
    svg
        The figure.
    """

    title: str
    note: str
    rows: Sequence[Mapping[str, Any]]
    svg: bytes | None = None

    @property
    def columns(self) -> list[str]:
        """Headings of the table."""
        return list(self.rows[0]) if self.rows else []

    @property
    def picture(self) -> str | None:
        """The figure as a data URI."""
        return None if self.svg is None else "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode("ascii")


def study_page(title: str, note: str, sections: Sequence[Section]) -> str:
    """HTML that loads nothing from anywhere."""
    template = environment().from_string(resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(title=title, note=note, sections=sections, cell=cell, set_off=set_off)


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None or value != value:
        return MISSING
    return number(value) if isinstance(value, float) else shown(value)


def set_off(text: str) -> Markup:
    """Text, escaped, with words between asterisks emphasised."""
    return Markup(re.sub(r"\*([^*]+)\*", r"<em>\1</em>", str(escape(text))))
