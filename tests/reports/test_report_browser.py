"""The pages in headless Chromium, where there is one; elsewhere a parser has to do."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from exitprint.reports import SuspectRow, demo_report, verification_report

PHONE = 390
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --hide-scrollbars --enable-logging=stderr --dump-dom
"""
PROBE = """<script>
const all = [...document.querySelectorAll("main *:not(svg *)")];
const outside = all.filter(e => e.getBoundingClientRect().right > innerWidth);
parent.document.documentElement.dataset.seen = JSON.stringify({
  width: innerWidth,
  needed: document.documentElement.scrollWidth,
  outside: outside.map(e => e.tagName + "." + e.className),
  images: [...document.images].map(i => i.naturalWidth),
  top: document.querySelector("main section").innerText,
});
</script></html>"""


@functools.cache
def browser() -> str | None:
    """A Chromium that starts, if there is one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0:
            return path
    return None


def opened(html: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """What a phone's width shows of a page, and what the browser wrote to the console (refused requests too).

    Headless windows are at least 500 pixels wide, so the page is put into a narrow frame.
    """
    probed = html.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
    inside = escape(probed.replace("</html>", PROBE))
    frame = f'<iframe style="width: {PHONE}px; height: 900px; border: 0" srcdoc="{inside}"></iframe>'
    file = folder / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{frame}", "utf-8")
    command = [str(browser()), *FLAGS.split(), f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    seen = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert seen, done.stderr
    return json.loads(unescape(seen[1])), re.findall(r"CONSOLE.*", done.stderr)


def pages(made: Any, verdict: Any, course: Any) -> dict[str, str]:
    fingerprint, timings = made("contrast")
    long = "https://models.example.test/v2/models/" + "W" * 300
    said = verdict("derived", "contrast", timings=timings, course=course)
    notes = {"digest": "0123456789abcdef" * 8}
    paper, paper_timings = made(shape=(3, 32, 32))
    rows = [
        SuspectRow(f"independent network number {n}" + "W" * 9 * n, "independent", verdict(timings=paper_timings))
        for n in range(7)
    ]
    return {
        "contrast": verification_report(said, fingerprint, long, notes=notes),
        "paper": verification_report(verdict("inconclusive", timings=paper_timings), paper, long, notes=notes),
        "demo": demo_report(rows, paper, notes=notes),
    }


@pytest.mark.parametrize("name", ["contrast", "paper", "demo"])
def test_the_page_opens_shows_the_verdict_and_fits_a_phone(
    made: Any, verdict: Any, tmp_path: Path, name: str, parsed: Any, course: Any
) -> None:
    html = pages(made, verdict, course)[name]
    shown = {"contrast": "derived", "paper": "inconclusive", "demo": "0 of 7 verdicts are right"}[name]
    if browser() is None:
        assert shown in parsed(html).text
        return
    seen, console = opened(html, tmp_path)
    assert console == []
    assert shown in seen["top"]
    assert seen["width"] == PHONE and seen["needed"] <= PHONE and seen["outside"] == []
    assert len(seen["images"]) == 30 and all(seen["images"])


def test_a_page_that_asked_for_more_would_be_noticed(
    made: Any, verdict: Any, tmp_path: Path, parsed: Any, course: Any
) -> None:
    html = pages(made, verdict, course)["paper"].replace("</main>", '<img src="http://127.0.0.1:9/x.png"></main>')
    if browser() is None:
        assert any((attributes.get("src") or "").startswith("http") for _, attributes in parsed(html).tags)
        return
    assert any("Content Security Policy" in line for line in opened(html, tmp_path)[1])
