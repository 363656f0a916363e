"""Files are whole or absent."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.files import kind_of, load_tensors, read_header, replacing, save_tensors, write_bytes


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EIO, "bad disk")])
def test_a_failing_disk_keeps_the_old_file_and_says_so(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(ExitprintError, match="unchanged"), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_an_interruption_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a") as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(ExitprintError, match="another folder"):
        write_bytes(tmp_path / "no" / "a", b"x")


def test_the_same_content_gives_the_same_bytes(tmp_path):
    tensors = {"b": torch.arange(3), "a": torch.zeros(2, 2)}
    for name, order in (("1", ("a", "b")), ("2", ("b", "a"))):
        save_tensors(tmp_path / name, "thing", {"y": 1, "x": [2]}, {key: tensors[key] for key in order})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    header, back = load_tensors(tmp_path / "1", "thing")
    assert header == read_header(tmp_path / "1") == {"kind": "thing", "x": [2], "y": 1}
    assert torch.equal(back["b"], tensors["b"])


def test_the_kind_is_checked(tmp_path):
    save_tensors(tmp_path / "a", "thing", {}, {"a": torch.zeros(1)})
    with pytest.raises(ExitprintError, match="thing file where a network file"):
        load_tensors(tmp_path / "a", "network")


def test_a_file_of_ours_is_told_whatever_its_header_is_long(tmp_path):
    first = set()
    for length in range(0, 256, 8):
        save_tensors(tmp_path / "a", "network", {"text": "x" * length}, {"w": torch.zeros(2)})
        first.add((tmp_path / "a").read_bytes()[0])
        assert kind_of(tmp_path / "a") == "network"
    assert 0x08 in first
