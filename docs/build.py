"""Lay the pages out under build/docs as the site's generator reads them: notebooks become pages of their own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from nbconvert import MarkdownExporter

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "build" / "docs"


def main() -> None:
    """Copy `docs` and what the site shows of the folder above it, and turn the notebooks into Markdown."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES, ignore=shutil.ignore_patterns("*.py", "__pycache__", ".ipynb_checkpoints"))
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        (PAGES / name.lower()).write_text(text.replace("](docs/", "]("), encoding="utf-8")
    for notebook in PAGES.rglob("*.ipynb"):
        _page(notebook)
    for page in PAGES.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r"(\]\([^):]+)\.ipynb\)", r"\1.md)", text), encoding="utf-8")


def _page(notebook: Path) -> None:
    body, resources = MarkdownExporter().from_filename(str(notebook), {"output_files_dir": notebook.stem})
    for name, picture in resources["outputs"].items():
        path = notebook.parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture)
    notebook.with_suffix(".md").write_text(body, encoding="utf-8")
    notebook.unlink()


if __name__ == "__main__":
    main()
