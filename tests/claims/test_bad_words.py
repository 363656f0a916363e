"""Bad input to `commit`, `audit`, `pack` and `panel`: one sentence, exit code 2, nothing half-written."""

import shutil

import pytest
from acting import copied


@pytest.fixture
def refused(run, tmp_path, monkeypatch):
    """Run a command in an empty folder; it has to refuse in one sentence and to leave no more than there was."""
    monkeypatch.chdir(tmp_path)

    def check(words, sentence, left=()):
        before = sorted(tmp_path.rglob("*"))
        done = run(*words)
        assert done.code == 2 and done.out == "", done
        assert done.err.startswith("exitprint: ") and done.err.count("\n") == 1 and sentence in done.err, done.err
        assert sorted(tmp_path.rglob("*")) == sorted([*before, *(tmp_path / each for each in left)])

    return check


COMMITS = [
    (("commit", "NETWORK", "FINGERPRINT"), "name a network, its fingerprints and the claim to write"),
    (("commit", "NETWORK", "--out", "c.json", "--data", "digits"), "a claim needs a fingerprint"),
    (("commit", "none.safetensors", "FINGERPRINT", "--out", "c.json"), "there is no file 'none.safetensors'"),
    (("commit", "FINGERPRINT", "NETWORK", "--out", "c.json"), "where a fingerprint file is needed"),
    (("commit", "NETWORK", "FINGERPRINT", "FINGERPRINT", "--out", "c.json"), "named twice"),
    (("commit", "NETWORK", "FINGERPRINT", "--out", "nowhere/c.json"), "there is no folder 'nowhere'"),
    (("commit", "NETWORK", "FINGERPRINT", "--out", "."), "is a folder"),
    (("commit", "NETWORK", "FINGERPRINT", "--out", "c.json", "--key", "NETWORK"), "no unencrypted private key"),
    (
        ("commit", "NETWORK", "FINGERPRINT", "--out", "c.json", "--alpha", "2"),
        "alpha must lie strictly",
    ),
    (("commit", "NETWORK", "FINGERPRINT", "--out", "c.json", "--beta", "0"), "beta must lie strictly"),
    (("commit", "NETWORK", "FINGERPRINT", "--out", "c.json", "--budget", "10"), "10 requests cannot decide anything"),
    (("commit", "NETWORK", "FINGERPRINT", "--out", "c.json", "--check", "c.json"), "not both at once"),
    (("commit", "--check", "none.json"), "cannot read 'none.json'"),
    (("commit", "--check", "NETWORK"), "is no claim of exitprint"),
    (("commit", "--check", "PANEL"), "is no pack of a claim"),
    (("commit", "--check", "CLAIM"), "without the authority's certificate"),
    (("commit", "--check", "CLAIM", "--authority", "NETWORK"), "holds no certificates as PEM"),
    (("commit", "--check", "CLAIM", "--authority", "AUTHORITY", "--public-key", "0"), "it is somebody else's"),
    (("commit", "--check", "CLAIM", "NETWORK", "PANEL", "--authority", "AUTHORITY"), "Is a directory"),
]
PANELS = [
    (("panel", "--data", "digits", "--out", "p", "--networks", "0"), "at least one network"),
    (("panel", "--data", "digits", "--out", "p", "--arch", "nonsense"), "nonsense"),
    (("panel", "--data", "digits", "--out", "p", "--epochs", "0"), "epochs"),
    (("panel", "--data", "digits", "--out", "p", "--leave", "2"), "2 is no share of images"),
    (("panel", "--data", "nothing", "--out", "p"), "unknown data set 'nothing'"),
    (("panel", "--data", "digits", "--out", "NETWORK"), "cannot make the folder"),
]
AUDITS = [
    (("audit", "none.json", "FINGERPRINT"), "cannot read 'none.json'"),
    (("audit", "NETWORK", "FINGERPRINT"), "is no claim of exitprint"),
    (("audit", "CLAIM", "NETWORK"), "where a fingerprint file is needed"),
    (("audit", "CLAIM", "FINGERPRINT"), "without the authority's certificate"),
    (("audit", "CLAIM", "FINGERPRINT", "TRUSTED"), "give another too (--reference)"),
    (("audit", "CLAIM", "FINGERPRINT", "TRUSTED", "--reference", "NETWORK"), "is no reference of this claim"),
    (("audit", "CLAIM", "FINGERPRINT", "TRUSTED", "BROUGHT", "--suspect", "nobody"), "no verification of 'nobody'"),
    (("audit", "CLAIM", "FINGERPRINT", "TRUSTED", "BROUGHT", "--network", "FINGERPRINT"), "is not the network"),
    (("audit", "CLAIM", "FINGERPRINT", "TRUSTED", "BROUGHT", "--report", "."), "is a folder"),
    (("audit", "CLAIM", "FINGERPRINT", "TRUSTED", "BROUGHT", "--panel", "none"), "there is no network in 'none'"),
    (("audit", "CLAIM", "FINGERPRINT", "TRUSTED", "BROUGHT", "--ask", "nobody"), "is no suspect"),
    (("audit", "CLAIM", "FINGERPRINT", "TRUSTED", "BROUGHT", "--ask", "http://x/v2/models/y"), "the claim is about"),
    (("pack", "CLAIM", "FINGERPRINT", "TRUSTED", "--out", "."), "is there already"),
    (("pack", "CLAIM", "FINGERPRINT", "TRUSTED", "--out", "nowhere/p"), "cannot write the pack"),
    (("pack", "none.json", "FINGERPRINT", "--out", "p"), "cannot read 'none.json'"),
    (("pack", "CLAIM", "NETWORK", "TRUSTED", "--out", "p"), "where a fingerprint file is needed"),
    (("pack", "CLAIM", "FINGERPRINT", "--out", "p"), "without the authority's certificate"),
]


@pytest.mark.parametrize(("words", "sentence"), COMMITS + PANELS + AUDITS, ids=lambda each: None)
def test_bad_words(refused, whole_case, references, target_file, words, sentence):
    stands_for = {
        "NETWORK": [target_file],
        "FINGERPRINT": [whole_case.fingerprint],
        "CLAIM": [whole_case.claim],
        "PANEL": [whole_case.panel],
        "AUTHORITY": [whole_case.authority],
        "TRUSTED": ["--authority", whole_case.authority],
        "BROUGHT": ["--reference", *references.values()],
    }
    refused([word for each in words for word in stands_for.get(each, [each])], sentence)


def test_a_panel_that_cannot_be_asked_leaves_no_register(refused, whole_case, references, tmp_path):
    """What is no network is told before the register names it, so that the mended panel can be asked."""
    case = copied(whole_case.pack, tmp_path / "case")
    shutil.rmtree(case / "claim.panel")
    (tmp_path / "panel").mkdir()
    shutil.copy(whole_case.fingerprint, tmp_path / "panel" / "a.safetensors")
    words = ("audit", case / "claim.json", whole_case.fingerprint, "--authority", whole_case.authority)
    words += ("--reference", *references.values(), "--panel")
    refused([*words, tmp_path / "panel"], "is no network: take it out of the panel")


def test_another_panel_than_was_asked(refused, whole_case, references, tmp_path):
    panel = copied(whole_case.panel, tmp_path / "panel")
    shutil.copy(panel / "network-1.safetensors", panel / "network-3.safetensors")
    words = ("audit", whole_case.claim, whole_case.fingerprint, "--authority", whole_case.authority)
    words += ("--reference", *references.values(), "--panel", panel)
    refused(words, "another panel was asked for this claim")
