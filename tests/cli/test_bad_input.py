"""Bad input: one sentence, exit code 2, nothing written."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from behaviour import crafted
from commands import Started
from exitprint.fingerprints import PaperMethod, load_fingerprint, paper_fingerprint, save_fingerprint
from exitprint.networks import MultiExitNetwork, architecture, load_network, save_network


@pytest.fixture
def fingerprint_file(target, digits, tmp_path):
    path = tmp_path / "f.safetensors"
    save_fingerprint(paper_fingerprint(target, digits.test, samples=3, method=PaperMethod(steps=5), check=False), path)
    return path


def refused(done, *words):
    assert done.code == 2
    assert done.err.startswith("exitprint: ") and done.err.count("\n") == 1 and "Traceback" not in done.err
    for word in words:
        assert word in done.err
    assert done.out == ""


def test_a_missing_file(run, fingerprint_file, tmp_path):
    refused(run("verify", fingerprint_file, tmp_path / "nobody.safetensors"), "nobody.safetensors", "check the path")
    refused(run("verify", tmp_path / "none.safetensors", tmp_path / "nobody.safetensors"), "none.safetensors")
    refused(run("info", tmp_path / "none.safetensors"), "none.safetensors")


def test_a_truncated_and_a_renamed_file(run, target_file, fingerprint_file, tmp_path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(target_file.read_bytes()[:-100])
    refused(run("verify", fingerprint_file, cut), "truncated")
    renamed = tmp_path / "renamed.safetensors"
    renamed.write_text("not tensors at all")
    refused(run("verify", fingerprint_file, renamed), "not a readable .safetensors")
    refused(run("verify", target_file, target_file), "network file where a fingerprint file is needed")


def test_a_pickle_offered_as_a_network(run, fingerprint_file, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path}/owned",))

    bomb = tmp_path / "bomb.safetensors"
    bomb.write_bytes(pickle.dumps(Bomb()))
    refused(run("verify", fingerprint_file, bomb), "pickle")
    torch.save({"a": torch.zeros(2)}, tmp_path / "saved.safetensors")
    refused(run("info", tmp_path / "saved.safetensors"), "pickle")
    assert not (tmp_path / "owned").exists()


def test_a_fingerprint_of_another_shape_or_range(run, tmp_path):
    made = tmp_path / "f.safetensors"
    save_fingerprint(crafted("contrast"), made)
    other = MultiExitNetwork.build(architecture("resnet8", (3, 16, 16), 10, width=4), seed=0)
    save_network(other, tmp_path / "other.safetensors")
    refused(run("verify", made, tmp_path / "other.safetensors"), "(3, 16, 16)")
    from safetensors import safe_open

    with safe_open(made, "pt") as file:
        header = json.loads(file.metadata()["exitprint"])
    header["value_range"] = [0, 255]
    save_file(load_file(made), made, metadata={"exitprint": json.dumps(header)})
    refused(run("verify", made, tmp_path / "other.safetensors"), "[0, 255]")


def test_a_way_through_a_front_door_that_is_none(run, target_file, fingerprint_file, tmp_path):
    words = ("fingerprint", target_file, "--data", "digits", "--out", tmp_path / "f")
    refused(run(*words, "--through", "png:3"), "'png:3' is no way through a front door")
    refused(run(*words, "--through", "jpeg:75"), "hold behind jpeg:75 too", "--reference")
    refused(run(*words, "--kind", "paper", "--through", "jpeg:75"), "--kind contrast")
    refused(run("verify", fingerprint_file, target_file, "--through", "jpeg:200"), "from 1 to 100")
    refused(run("serve", target_file, "--through", "jpeg"), "'jpeg' is no way")
    assert not (tmp_path / "f").exists()


def test_a_suspect_with_one_exit(run, fingerprint_file, tmp_path):
    arch = architecture("resnet8", (1, 8, 8), 10, width=4).model_copy(update={"exits": ()})
    save_network(MultiExitNetwork.build(arch, seed=0), tmp_path / "one.safetensors")
    refused(run("verify", fingerprint_file, tmp_path / "one.safetensors"), "one exit only")


def test_no_suspect_at_all(run, fingerprint_file):
    refused(run("verify", fingerprint_file, "model.bin"), "no suspect")


def test_an_unknown_data_set_architecture_preset_and_kind(run, target_file, tmp_path):
    out = tmp_path / "out.safetensors"
    refused(run("train", "--data", "mnist1", "--out", out), "mnist1", "cifar10")
    refused(run("train", "--arch", "resnet9", "--depth", 9, "--out", out), "resnet")
    refused(run("train", "--arch", "resnet", "--depth", 9, "--out", out), "6k + 2")
    refused(run("tamper", target_file, "burn", "--data", "digits", "--out", out), "burn", "prune")
    refused(run("tamper", target_file, "prune", "--set", "rate=lots", "--data", "digits", "--out", out), "rate")
    refused(run("tamper", target_file, "prune", "--set", "rate", "--data", "digits", "--out", out), "NAME=VALUE")
    refused(
        run("fingerprint", target_file, "--data", "digits", "--kind", "contrast", "--all-steps", "--out", out),
        "--kind paper",
    )
    refused(run("train", "--out", tmp_path / "no" / "out.safetensors"), "no folder")
    assert not out.exists()


def test_parquet_without_the_columns_and_no_parquet(run, tmp_path):
    (tmp_path / "cifar10").mkdir()
    words = ("--data", "cifar10", "--data-dir", tmp_path, "--out", tmp_path / "out.safetensors")
    refused(run("train", *words), "train*.parquet")
    for part in ("train", "test"):
        pq.write_table(pa.table({"picture": [b""], "label": [0]}), tmp_path / "cifar10" / f"{part}.parquet")
    refused(run("train", *words), "'img'", "picture")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_full_disk_keeps_the_old_file(run, target_file, tmp_path, monkeypatch):
    out = tmp_path / "out.safetensors"
    out.write_bytes(target_file.read_bytes())

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    done = run("tamper", target_file, "remove-exits", "--set", "every=2", "--data", "digits", "--out", out)
    refused(done, "No space left", "unchanged")
    monkeypatch.undo()
    assert out.read_bytes() == target_file.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["out.safetensors"]


def read_until(terminal: int, word: bytes | None = None) -> bytes:
    """What is shown on a terminal up to this word, or until nobody has it open any more."""
    said = b""
    while word is None or word not in said:
        try:
            said += os.read(terminal, 4096)
        except OSError:
            break
    return said


def test_ctrl_c_during_training_and_the_rerun_continues_to_the_same_bytes(run, tmp_path):
    words = ("train", "--arch", "resnet8", "--width", 8, "--data", "digits", "--epochs", 6, "--seed", 3)
    out, partial = tmp_path / "n.safetensors", tmp_path / ".n.safetensors.partial"
    process = Started(*words, "--out", out)
    while not partial.exists():
        assert process.runs()
        time.sleep(0.01)
    process.send(signal.SIGINT)
    done = process.ended()
    assert done.code == 130 and "continues after epoch" in done.err and "Traceback" not in done.err
    assert not out.exists()
    again = run(*words, "--out", out)
    assert again.code == 0 and "an unfinished training was found" in again.err
    assert run(*words, "--out", tmp_path / "whole.safetensors").code == 0
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n.safetensors", "whole.safetensors"]


def test_kill_during_training_leaves_nothing_that_looks_whole(tmp_path):
    out = tmp_path / "n.safetensors"
    process = Started("train", "--data", "digits", "--epochs", 12, "--out", out)
    while not any(tmp_path.iterdir()):
        assert process.runs()
        time.sleep(0.01)
    process.send(signal.SIGKILL)
    assert process.ended().code == -signal.SIGKILL and not out.exists()


def test_ctrl_c_during_crafting(target_file, tmp_path):
    out = tmp_path / "f.safetensors"
    words = ("--data", "digits", "--kind", "paper", "--samples", 400, "--all-steps", "--out", out)
    terminal, theirs = os.openpty()
    process = Started("fingerprint", target_file, *words, stderr=theirs)
    os.close(theirs)
    assert b"crafting" in read_until(terminal, b"crafting")
    process.send(signal.SIGINT)
    said = read_until(terminal)
    os.close(terminal)
    assert process.ended().code == 130 and b"Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_files_are_whole_after_all_this(target_file, fingerprint_file):
    assert load_network(target_file).num_exits == 7
    assert len(load_fingerprint(fingerprint_file)) == 3
