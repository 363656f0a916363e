"""The site builds without a warning, shows every public name, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT

ROOMS = sorted(path.stem for path in (ROOT / "docs" / "api").glob("*.md") if path.stem != "index")
STUDIES = "studies"
"""The page of the package beside `exitprint`; every other page is one of its rooms."""
LOADED = re.compile(r"""<(?:script|img|iframe|source)[^>]*\ssrc="([^"]*)"|<link[^>]*\shref="([^"]*)"|url\(([^)]*)\)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` makes it, in a copy of the project."""
    project = tmp_path_factory.mktemp("project")
    for each in ("docs", "src"):
        shutil.copytree(ROOT / each, project / each, ignore=shutil.ignore_patterns("__pycache__"))
    for each in ("CHANGELOG.md", "CONTRIBUTING.md", "zensical.toml"):
        shutil.copy(ROOT / each, project)
    binary = Path(sys.executable).parent / "zensical"
    for command in ([sys.executable, "docs/build.py"], [str(binary), "build", "--strict", "--clean"]):
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
        assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "No issues found" in said and "griffe:" not in said, said
    return project / "site"


@pytest.mark.parametrize("room", ROOMS)
def test_the_api_page_shows_every_public_name(site, room):
    page = (site / "api" / room / "index.html").read_text(encoding="utf-8")
    anchors = {anchor.rsplit(".", 1)[-1] for anchor in re.findall(r'id="(exitprint[._][^"]+)"', page)}
    module = importlib.import_module("exitprint_studies" if room == STUDIES else f"exitprint.{room}")
    public = {
        each
        for each in getattr(module, "__all__", [])
        if inspect.isclass(getattr(module, each)) or inspect.isfunction(getattr(module, each))
    }
    assert public - anchors == set()


def test_every_room_has_a_page():
    rooms = {path.parent.name for path in (ROOT / "src" / "exitprint").glob("*/__init__.py")}
    assert rooms - {"cli"} == set(ROOMS) - {STUDIES}


def test_notebooks_and_pictures_are_there(site):
    page = (site / "notebooks" / "fingerprint" / "index.html").read_text(encoding="utf-8")
    pictures = re.findall(r'<img[^>]*\ssrc="([^"]+)"', page)
    assert len(pictures) >= 3
    for picture in pictures:
        assert (site / "notebooks" / "fingerprint" / picture).resolve().exists(), picture


def test_nothing_is_loaded_from_elsewhere(site):
    seen = 0
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        for match in LOADED.finditer(file.read_text(encoding="utf-8")):
            target = next(filter(None, match.groups()), "").strip("'\"")
            assert not re.match(r"(?:https?:)?//", target), f"{file.relative_to(site)} loads {target}"
            seen += 1
    assert seen > 100
