import errno
import json
import os
import stat
import sys
from dataclasses import dataclass
from hashlib import sha256

import pytest

from exitprint.errors import ExitprintError
from exitprint.suspects.journal import Work, opened, read


@dataclass(frozen=True)
class Said:
    """A line."""

    word: str


WORK = Work("test", "key", Said, "settings", {"seed": 3})


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


def test_without_a_file_nothing_is_kept():
    with opened(None, WORK, resume=True) as journal:
        journal.add(Said("a"))
        assert (journal.path, journal.earlier, journal.head) == (None, (), "")


def test_each_line_holds_the_digest_of_the_one_before(tmp_path):
    path = tmp_path / "journal"
    head = kept(path, "ab")
    first, *lines = path.read_bytes().splitlines()
    assert json.loads(first) == {"exitprint": "test journal", "version": 2, "run": "key", "seed": 3} == WORK.header
    before = sha256(first).hexdigest()
    for word, line in zip("ab", lines, strict=True):
        assert json.loads(line) == {"word": word, "before": before}
        before = sha256(line).hexdigest()
    assert head == before
    with opened(path, WORK, resume=True) as journal:
        assert (journal.path, journal.earlier, journal.head) == (path, (Said("a"), Said("b")), head)


def test_every_line_is_on_the_disk_at_once_and_the_file_is_closed_at_the_end(tmp_path, monkeypatch):
    path, synced = tmp_path / "journal", []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append((file, path.read_bytes().count(b"\n"))))
    with opened(path, WORK, resume=False) as journal:
        for word in "ab":
            journal.add(Said(word))
    assert [lines for _, lines in synced] == [1, 2, 3]
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(synced[0][0])


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_all(tmp_path, monkeypatch):
    whole, slow = tmp_path / "whole", tmp_path / "slow"
    kept(whole, "ab")
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:3]))
    kept(slow, "ab")
    assert slow.read_bytes() == whole.read_bytes()


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    kept(path, "a")

    def full(file, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ExitprintError, match=r"could not write the journal .* No space left .* then resume"):
        kept(path, "b")
    assert read(path, WORK).earlier == (Said("a"),)


def test_what_is_there_is_not_overwritten(tmp_path):
    path = tmp_path / "journal"
    path.write_text("")
    with pytest.raises(ExitprintError, match="is there already: resume"), opened(path, WORK, resume=False):
        pass
    with pytest.raises(ExitprintError, match=r"cannot write the journal .*choose another place"):
        kept(tmp_path / "none" / "journal", "a")
    with pytest.raises(ExitprintError, match="is a folder"):
        kept(tmp_path, "a")


def test_others_may_read_what_the_umask_lets_them(tmp_path):
    before = os.umask(0o027)
    try:
        kept(tmp_path / "journal", "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o640


@pytest.mark.parametrize("cut", range(1, 30, 7))
def test_a_torn_first_line_is_written_anew(tmp_path, cut):
    path = tmp_path / "journal"
    kept(path, "")
    header = path.read_bytes()
    path.write_bytes(header[:cut])
    kept(path, "a")
    assert path.read_bytes().startswith(header) and read(path, WORK).earlier == (Said("a"),)


@pytest.mark.parametrize("content", [b"x", b'{"exitprint": "other journal', b"[]\n", b"3\n", b"[" * 10_000 + b"\n"])
def test_what_is_no_journal_stays_as_it_is(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ExitprintError, match="is no journal of a test: name another file"):
        kept(path, "a")
    assert path.read_bytes() == content


def test_the_article_follows_the_kind(tmp_path):
    path = tmp_path / "file"
    kept(path, "a")
    for kind, words in (("inquiry", "an inquiry"), ("verification", "a verification"), ("asking", "an asking")):
        with pytest.raises(ExitprintError, match=f"is no journal of {words}:"):
            read(path, Work(kind, "key", Said, "settings"))


def test_the_journal_of_other_work_says_what_must_be_the_same(tmp_path):
    path = tmp_path / "journal"
    kept(path, "a")
    for other in (Work("test", "k", Said, "images or seed"), Work("test", "key", Said, "images or seed", {"seed": 4})):
        with pytest.raises(ExitprintError, match=r"journal of another test \(other images or seed\)"):
            read(path, other)


@pytest.mark.parametrize("line", [b'{"word": 3}', b'{"no word": "b"}', b"junk", b'["b"]', b""])
def test_a_line_that_is_none_is_named_by_its_number(tmp_path, line):
    path = tmp_path / "journal"
    kept(path, "abc")
    lines = path.read_bytes().splitlines()
    lines[3] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(ExitprintError, match="is damaged in line 4"):
        read(path, WORK)


def test_a_line_without_a_digest_does_not_follow(tmp_path):
    path = tmp_path / "journal"
    kept(path, "ab")
    lines = path.read_bytes().splitlines()
    lines[1] = b'{"word": "a"}'
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(ExitprintError, match=r"line 2 of the journal .* does not follow"):
        read(path, WORK)


def test_only_a_torn_line_is_cut_off(tmp_path):
    path = tmp_path / "journal"
    kept(path, "ab")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"wo')
    with opened(path, WORK, resume=True) as journal:
        assert journal.earlier == (Said("a"), Said("b")) and path.read_bytes() == whole
    path.write_bytes(whole[:-1])
    with opened(path, WORK, resume=True) as journal:
        assert journal.earlier == (Said("a"),)
        journal.add(Said("c"))
    assert read(path, WORK).earlier == (Said("a"), Said("c"))


def test_where_python_has_no_locks_the_journal_is_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    kept(tmp_path / "journal", "a")
    assert read(tmp_path / "journal", WORK).earlier == (Said("a"),)
