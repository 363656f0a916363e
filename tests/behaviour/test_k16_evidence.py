"""Evidence stays: journals are kept, and the page says when, with what and of what, and accounts for every request."""

from __future__ import annotations

import hashlib
import json
import re
from importlib import metadata

import pytest

from behaviour import OverAPath, behaviour, crafted
from exitprint.errors import ExitprintError, Interrupted
from exitprint.fingerprints import save_fingerprint, verify
from exitprint.reports import provenance, verification_report


@pytest.fixture
def asked(run, tmp_path, monkeypatch, small_file):
    """A verification from the command line: its code, its page and the journals that are there after it."""
    monkeypatch.chdir(tmp_path)
    save_fingerprint(crafted("paper", 80), tmp_path / "f.safetensors")

    def ask(*words):
        done = run("verify", "f.safetensors", small_file, "--budget", 150, "--report", "r.html", "--json", *words)
        return done, (tmp_path / "r.html").read_text(), sorted(tmp_path.glob("*.journal"))

    return ask


def shown(page):
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


@pytest.mark.parametrize("named", [(), ("--journal", "mine.journal"), ("--seed", 3)])
def test_the_journal_is_kept_and_named(asked, named):
    done, page, journals = asked(*named)
    assert done.code in (0, 1, 3) and len(journals) == 1 and journals[0].name in page
    assert done.json["journal"] == journals[0].name and not journals[0].name.startswith(".")
    assert journals[0].read_bytes().count(b"\n") >= done.json["requests"]


def test_another_verification_leaves_the_first_journal_alone(asked):
    _, _, (first,) = asked()
    before = first.read_bytes()
    _, _, journals = asked()
    assert len(journals) == 2 and first.read_bytes() == before


@pytest.mark.parametrize("what", ["suspect", "fingerprint", "journal"])
def test_the_page_carries_the_digest_of_every_file(asked, small_file, what):
    _, page, journals = asked()
    file = {"suspect": small_file, "fingerprint": small_file.with_name("f.safetensors"), "journal": journals[0]}[what]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert f"SHA-256 of the {what} {digest}" in shown(page)


@pytest.mark.parametrize(
    "says", [r"date \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "program exitprint " + metadata.version("exitprint"), "seed 7"]
)
def test_the_page_says_when_by_what_and_from_which_seed(asked, says):
    _, page, _ = asked("--seed", 7)
    assert re.search(says, shown(page))


def test_the_rows_add_up_to_all_requests(asked):
    done, page, _ = asked()
    rows = re.findall(r"(?:asked: [\w ]+?|without a usable time) ([\d,]+) requests?", shown(page))
    assert sum(int(row.replace(",", "")) for row in rows) == done.json["requests"] > 0


@pytest.mark.parametrize("kind", ["contrast", "paper"])
@pytest.mark.parametrize("copy", [True, False])
def test_pictures_of_times_have_a_scale_in_milliseconds(kind, copy):
    made = crafted(kind, 100)
    verdict = verify(made, OverAPath(behaviour(made, copy)))
    page = verification_report(verdict, made, "s")
    assert len(re.findall("milliseconds", page)) >= (2 if kind == "contrast" else 1)
    assert ("T_N" in shown(page)) is False or kind == "paper"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ExitprintError("the server is gone.")])
def test_what_was_answered_before_an_error_is_kept(tmp_path, stop):
    def fails(number):
        if number == 40:
            raise stop

    made, journal = crafted("contrast", 100), tmp_path / "j"
    with pytest.raises((Interrupted, ExitprintError), match="resume"):
        verify(made, OverAPath(behaviour(made, True), fails=fails), journal=journal)
    assert journal.read_bytes().count(b"\n") == 40
    suspect = OverAPath(behaviour(made, True))
    verdict = verify(made, suspect, journal=journal, resume=True)
    assert verdict.decision == "derived" and verdict.requests - len(suspect.asked) in (39, 40)


@pytest.mark.parametrize("absent", [None, "http://127.0.0.1/v2/models/m"])
def test_what_is_no_file_has_no_digest(tmp_path, absent):
    path = None if absent is None else tmp_path / absent
    assert set(provenance({"suspect": path})) == {"date", "program"}
    assert json.dumps(provenance({})).isascii()
