"""An output never destroys what a command reads, nor a special file; links stay; other kinds of file need --force."""

from __future__ import annotations

import os
import shutil
import socket
import stat

import pytest

from behaviour import crafted
from exitprint.errors import ExitprintError
from exitprint.files import kind_of, load_tensors, write_bytes
from exitprint.fingerprints import save_fingerprint
from exitprint.networks import load_network
from exitprint.suspects.journal import Record, Work, opened

DIGITS = ("--data", "digits")
NETWORK = "small.safetensors"
FINGERPRINT = "f.safetensors"
MODULE = "def make():\n    raise RuntimeError('not reached')\n"
COMMANDS = {
    "train": (*DIGITS, "--out"),
    "wrap": ("module.py:make", "--weights", "weights.safetensors", *DIGITS, "--out"),
    "fingerprint": (NETWORK, "--reference", "other.safetensors", "--quick", *DIGITS, "--out"),
    "tamper": (NETWORK, "remove-exits", *DIGITS, "--out"),
    "steal": (NETWORK, *DIGITS, "--clock", "cost-model", "--out"),
    "export": (NETWORK, "--out"),
    "verify": (FINGERPRINT, NETWORK, "--clock", "cost-model", "--report"),
    "probe": (NETWORK, *DIGITS, "--clock", "cost-model", "--plot"),
    "demo": ("--report",),
}
"""Every command that writes a file, up to the name of that file."""

READ = [(verb, word) for verb, words in COMMANDS.items() for word in words if str(word).endswith("safetensors")]
READ += [("wrap", "module.py")]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, small_file):
    """A folder with all that the commands read, and the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("other", "weights"):
        shutil.copy(small_file, f"{name}.safetensors")
    save_fingerprint(crafted("paper", 80), FINGERPRINT)
    (tmp_path / "module.py").write_text(MODULE)
    return tmp_path


def refused(done, *words):
    assert done.code == 2 and done.out == "" and done.err.count("\n") == 1
    for word in words:
        assert word in done.err


def unchanged(folder, before):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("by", ["name", "other name", "symbolic link", "hard link"])
@pytest.mark.parametrize(("verb", "read"), READ)
def test_no_output_is_an_input(run, folder, verb, read, by):
    output = {"name": read, "other name": f"./sub/../{read}"}.get(by, "alias")
    (folder / "sub").mkdir()
    if by == "symbolic link":
        os.symlink(read, "alias")
    elif by == "hard link":
        os.link(read, "alias")
    before = content(folder)
    for force in ((), ("--force",)):
        refused(run(verb, *COMMANDS[verb], output, *force), "by this command as well", "name another output")
        assert unchanged(folder, before)


@pytest.mark.parametrize("what", ["pipe", "device", "socket", "folder", "circle of links", "link to a device"])
@pytest.mark.parametrize("verb", COMMANDS)
def test_what_is_no_file_is_never_replaced(run, folder, verb, what):
    place = folder / "special"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as door:
            door.bind("special")
    elif what == "folder":
        place.mkdir()
    elif what == "circle of links":
        os.symlink("special", "special")
    elif what == "link to a device":
        os.symlink("/dev/null", "special")
    name = "/dev/null" if what == "device" else "special"
    before = os.lstat(name)
    for force in ((), ("--force",)):
        refused(run(verb, *COMMANDS[verb], name, *force), name)
        assert os.lstat(name).st_ino == before.st_ino and os.lstat(name).st_mode == before.st_mode


MAKES = {"train": "network", "wrap": "network", "tamper": "network", "steal": "network", "fingerprint": "fingerprint"}
HELD = {
    "network": lambda folder: (folder / "other.safetensors").read_bytes(),
    "fingerprint": lambda folder: (folder / FINGERPRINT).read_bytes(),
    "words": lambda folder: b"what I must not lose",
    "a table": lambda folder: b"PAR1",
}


@pytest.mark.parametrize(
    ("verb", "holds"), [(verb, holds) for verb in COMMANDS for holds in HELD if holds != MAKES.get(verb)]
)
def test_a_file_of_another_kind_needs_force(run, folder, verb, holds):
    (folder / "old").write_bytes(HELD[holds](folder))
    before = content(folder)
    refused(run(verb, *COMMANDS[verb], "old"), "which would be lost", "--force")
    assert unchanged(folder, before)


@pytest.mark.parametrize("holds", HELD)
def test_with_force_it_is_replaced(run, folder, holds):
    place = folder / "old.onnx"
    place.write_bytes(HELD[holds](folder))
    assert run("export", NETWORK, "--out", place).code == 2
    assert run("export", NETWORK, "--out", place, "--force").code == 0
    assert kind_of(place) == "ONNX model"


@pytest.mark.parametrize(
    ("verb", "words", "kind"),
    [
        ("export", (NETWORK, "--out"), "ONNX model"),
        ("tamper", (NETWORK, "remove-exits", "--set", "every=2", *DIGITS, "--out"), "network"),
        ("verify", (FINGERPRINT, NETWORK, "--clock", "cost-model", "--report"), "page"),
        (
            "probe",
            (NETWORK, *DIGITS, "--queries", 30, "--method", "kde", "--clock", "cost-model", "--plot"),
            "picture",
        ),
    ],
)
@pytest.mark.parametrize("there", ["nothing", "an empty file", "the same kind", "a link", "a link to nothing"])
def test_results_are_written_over_their_own_kind_and_through_links(run, folder, verb, words, kind, there):
    place, behind = folder / "result", folder / "behind"
    if there == "an empty file":
        place.touch()
    elif there == "the same kind":
        assert run(verb, *words, place).code in (0, 1, 3)
    elif there == "a link":
        behind.touch()
        os.symlink("behind", place)
    elif there == "a link to nothing":
        os.symlink("behind", place)
    assert run(verb, *words, place).code in (0, 1, 3)
    assert kind_of(place) == kind and place.is_symlink() == ("link" in there)
    assert behind.exists() == ("link" in there) and not behind.is_symlink()
    assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]


def test_a_series_of_copies_does_not_replace_the_network_that_it_is_made_from(run, folder, small_file):
    network = small_file.rename(folder / "copy-2.safetensors")
    before = content(folder)
    words = ("finetune", "--set", "epochs=2", *DIGITS, "--save-every", 1, "--out", "copy.safetensors")
    refused(run("tamper", network, *words), "copy-2.safetensors", "by this command as well")
    assert unchanged(folder, before)


@pytest.mark.parametrize("verb", ["verify", "probe"])
def test_two_outputs_are_two_files(run, verb):
    words = [*COMMANDS[verb], "both", "--journal", "both"]
    refused(run(verb, *words), "by this command as well")
    assert not os.path.exists("both")


@pytest.mark.parametrize("what", ["pipe", "device", "folder"])
def test_a_journal_is_a_file(folder, what):
    place = folder / "journal"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "folder":
        place.mkdir()
    else:
        os.symlink("/dev/full", place)
    for resume in (False, True):
        with pytest.raises(ExitprintError, match="name of a file"), opened(place, Work("x", "k", Record, "x"), resume):
            pass


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_replaced_stays_as_private_as_it_was(folder, mode):
    write_bytes("secret", b"1")
    os.chmod("secret", mode)
    write_bytes("secret", b"2")
    assert stat.S_IMODE(os.stat("secret").st_mode) == mode and (folder / "secret").read_bytes() == b"2"


def test_what_was_refused_can_still_be_read():
    assert load_network(NETWORK).num_exits > 1 and load_tensors(FINGERPRINT, "fingerprint")
