from dataclasses import dataclass

import pytest

from exitprint.errors import ExitprintError
from exitprint.suspects.journal import Work, opened, read


@dataclass(frozen=True)
class Said:
    """A line."""

    word: str


WORK = Work("test", "key", Said, "settings")


def kept(path, words):
    with opened(path, WORK, resume=True) as journal:
        for word in words:
            journal.add(Said(word))
        return journal.head


def test_the_head_is_that_of_the_last_line_also_after_a_resumption(tmp_path):
    once, twice = tmp_path / "once", tmp_path / "twice"
    kept(twice, "ab")
    assert kept(once, "abc") == kept(twice, "c") == read(once, WORK).head
    assert once.read_bytes() == twice.read_bytes()
    assert read(once, WORK).earlier == tuple(map(Said, "abc"))


def edited(lines):
    lines[2] = lines[2].replace(b'"b"', b'"x"')


def dropped(lines):
    del lines[2]


def swapped(lines):
    lines[2], lines[3] = lines[3], lines[2]


def headed(lines):
    lines[0] = lines[0].replace(b'"run"', b'"more": 1, "run"')


CHAIN, OTHER = "does not follow on the line before", "is the journal of another test"


@pytest.mark.parametrize(("tamper", "said"), [(edited, CHAIN), (dropped, CHAIN), (swapped, CHAIN), (headed, OTHER)])
def test_a_journal_that_was_tampered_with_is_refused(tmp_path, tamper, said):
    path = tmp_path / "journal"
    kept(path, "abcd")
    lines = path.read_bytes().splitlines()
    tamper(lines)
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(ExitprintError, match=said):
        read(path, WORK)
    with pytest.raises(ExitprintError, match=said), opened(path, WORK, resume=True):
        pass


def test_reading_leaves_a_journal_as_it_is(tmp_path):
    path = tmp_path / "journal"
    kept(path, "ab")
    torn = path.read_bytes()[:-5]
    path.write_bytes(torn)
    with pytest.raises(ExitprintError, match="damaged in line 3"):
        read(path, WORK)
    assert path.read_bytes() == torn


def test_a_journal_that_is_not_there_or_empty_is_refused(tmp_path):
    with pytest.raises(ExitprintError, match="cannot read"):
        read(tmp_path / "none", WORK)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(ExitprintError, match="no journal"):
        read(tmp_path / "empty", WORK)
