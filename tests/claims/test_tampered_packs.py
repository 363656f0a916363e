"""Every way to tamper with a case is found, each by `audit`, by `commit --check` and by the script, with a sentence."""

import base64
import json
import shutil
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
import torch
from acting import chained, copied, lines_of, script, verified

from exitprint.claims import audit, check_pack, commit, pack
from exitprint.claims.committing import Place
from exitprint.claims.signing import load_claim, load_or_make_key, public_key, sign
from exitprint.claims.timestamps import stamp
from exitprint.errors import ExitprintError
from exitprint.fingerprints import load_fingerprint, save_fingerprint
from exitprint.suspects import CostModel


def edit(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def fingerprint_in(folder):
    return next((folder / "fingerprints").iterdir())


def one_image_exchanged(folder, case):
    made = load_fingerprint(fingerprint_in(folder))
    samples = made.samples.clone()
    samples[0] = made.originals[1] ^ 1
    save_fingerprint(replace(made, samples=samples), fingerprint_in(folder))


def another_fingerprint(folder, case):
    made = load_fingerprint(fingerprint_in(folder))
    order = torch.arange(len(made)).flip(0)
    parts = ("samples", "originals", "late", "reached", "steps", "chosen", "answers")
    save_fingerprint(replace(made, **{part: getattr(made, part)[order] for part in parts}), fingerprint_in(folder))


def one_answer_edited(folder, case):
    edit(folder / "claim.runs/0001.jsonl", b'"seconds": 0.000', b'"seconds": 0.001')


def one_label_edited(folder, case):
    edit(folder / "claim.runs/0001.jsonl", b'"label": ', b'"label": 1')


def a_line_dropped(folder, case):
    path = folder / "claim.runs/0001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:20] + lines[21:]))


def two_lines_swapped(folder, case):
    path = folder / "claim.runs/0001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[20], lines[21] = lines[21], lines[20]
    path.write_bytes(b"".join(lines))


def a_line_dropped_and_chained_again(folder, case):
    lines = lines_of(folder / "claim.runs/0001.jsonl")
    chained(folder / "claim.runs/0001.jsonl", lines[:20] + lines[21:])


def two_lines_swapped_and_chained_again(folder, case):
    lines = lines_of(folder / "claim.runs/0001.jsonl")
    lines[20], lines[21] = lines[21], lines[20]
    chained(folder / "claim.runs/0001.jsonl", lines)


def answers_added_after_the_verdict(folder, case):
    lines = lines_of(folder / "claim.runs/0001.jsonl")
    chained(folder / "claim.runs/0001.jsonl", [*lines, dict(lines[-1])])


def a_journal_of_another_run(folder, case):
    shutil.copy(folder / "claim.runs/0002.jsonl", folder / "claim.runs/0001.jsonl")


def a_journal_of_the_panel(folder, case):
    shutil.copy(folder / "claim.runs/0001.jsonl", folder / "claim.panel/0001.jsonl")


def a_seed_tried_until_it_fit(folder, case):
    lines = lines_of(folder / "claim.runs/0001.jsonl")
    lines[0]["seed"] += 1
    chained(folder / "claim.runs/0001.jsonl", lines)


def another_threshold(folder, case):
    lines = lines_of(folder / "claim.runs/0001.jsonl")
    lines[0]["p0"] = 0.5
    chained(folder / "claim.runs/0001.jsonl", lines)


def a_verification_hidden(folder, case):
    (folder / "claim.runs/0001.jsonl").unlink()


def a_verification_hidden_in_the_register_too(folder, case):
    first, _, second = lines_of(folder / "claim.runs/register.jsonl")
    chained(folder / "claim.runs/register.jsonl", [first, second | {"number": 1}])
    (folder / "claim.runs/0002.jsonl").rename(folder / "claim.runs/0001.jsonl")


def signed_anew(folder, case, key="owner.key.pem", **changes):
    claim = load_claim(folder / "claim.json")
    signer = load_or_make_key(case.claim.with_name(key))
    sign(claim.model_copy(update={"key": public_key(signer), **changes}), signer, folder / "claim.json")


def a_date_set_back(folder, case):
    made = load_claim(folder / "claim.json").made
    signed_anew(folder, case, made=made - timedelta(days=300))


def a_time_in_the_stamp_set_back(folder, case):
    stamped = folder / "claim.json.tsr"
    content = stamped.read_bytes()
    year = content.index(b"\x18\x0f20") + 2
    stamped.write_bytes(content[:year] + b"2020" + content[year + 4 :])


def a_stamp_of_another_file(folder, case):
    shutil.copy(case.another_stamp, folder / "claim.json.tsr")


def a_seed_of_ones_own(folder, case):
    signed_anew(folder, case, seed=1)
    (folder / "claim.json.tsr").unlink()


def a_signature_of_another_key(folder, case):
    claim = load_claim(folder / "claim.json")
    sign(claim, load_or_make_key(case.claim.with_name("other.pem")), folder / "claim.json")


def a_claim_edited(folder, case):
    envelope = json.loads((folder / "claim.json").read_bytes())
    payload = base64.b64decode(envelope["payload"]).replace(b'"alpha":0.001', b'"alpha":0.101')
    envelope["payload"] = base64.b64encode(payload).decode()
    (folder / "claim.json").write_text(json.dumps(envelope))


def a_claim_signed_by_somebody_else(folder, case):
    signed_anew(folder, case, key="other.pem")


def a_list_of_images_with_more(folder, case):
    with (folder / "images.txt").open("a") as file:
        file.write("0" * 64 + "\n")


def a_panel_network_hidden(folder, case):
    (folder / "claim.panel/0002.jsonl").unlink()


def a_panel_network_hidden_in_the_register_too(folder, case):
    a_panel_network_hidden(folder, case)
    lines = lines_of(folder / "claim.panel/register.jsonl")
    chained(folder / "claim.panel/register.jsonl", lines[:2])


def a_panel_hidden(folder, case):
    shutil.rmtree(folder / "claim.panel")


def another_verdict(folder, case):
    edit(folder / "verdict.json", b'"derived"', b'"independent"')


def another_rank(folder, case):
    edit(folder / "verdict.json", b'"panel_p_value": 0.3', b'"panel_p_value": 0.1')


CHANGED = "does not follow on the line before"
ORDER = "does not fit what is to be asked"
ASKS = "asks what the seed says"
OF_ANOTHER = "is the journal of another verification"
IS_OF = "is of this claim, its seed and error rates"
SIGNATURE = "is not of the key that the claim names"
STAMP = "is of another file, of another authority, or was changed"
VERDICT = "the verdict is what the answers say"

TAMPERINGS = {
    "another fingerprint": [
        (
            another_fingerprint,
            "is not a file that the claim committed to",
            "the fingerprint is one that was committed to",
        )
    ],
    "one image exchanged": [
        (
            one_image_exchanged,
            "is not a file that the claim committed to",
            "the fingerprint is one that was committed to",
        )
    ],
    "one answer or time edited": [
        (one_answer_edited, CHANGED, "follows on the line before"),
        (one_label_edited, CHANGED, "follows on the line before"),
    ],
    "a line dropped or two swapped": [
        (a_line_dropped, CHANGED, "follows on the line before"),
        (two_lines_swapped, CHANGED, "follows on the line before"),
        (a_line_dropped_and_chained_again, ORDER, ASKS),
        (two_lines_swapped_and_chained_again, ORDER, ASKS),
        (answers_added_after_the_verdict, "answers were added", "ends where the verification ended"),
    ],
    "a journal of another run": [
        (a_journal_of_another_run, OF_ANOTHER, IS_OF),
        (a_journal_of_the_panel, OF_ANOTHER, IS_OF),
        (a_verification_hidden, "is missing: a verification that was begun counts", "is in the pack"),
        (a_verification_hidden_in_the_register_too, OF_ANOTHER, IS_OF),
    ],
    "a seed tried until it fit": [
        (a_seed_tried_until_it_fit, OF_ANOTHER, IS_OF),
        (another_threshold, OF_ANOTHER, IS_OF),
        (a_seed_of_ones_own, "it was chosen", "the seed follows from what was committed to"),
    ],
    "a date set back": [
        (a_date_set_back, STAMP, "the time stamp is of this claim"),
        (a_time_in_the_stamp_set_back, STAMP, "unchanged, and signed by the authority"),
    ],
    "a time stamp of another file": [(a_stamp_of_another_file, STAMP, "the time stamp is of this claim")],
    "a signature of another key": [
        (a_signature_of_another_key, SIGNATURE, "the signature is of the key that the claim names"),
        (a_claim_edited, SIGNATURE, "the signature is of the key that the claim names"),
        (a_claim_signed_by_somebody_else, STAMP, "the time stamp is of this claim"),
    ],
    "originals that are not in the data set": [
        (a_list_of_images_with_more, "not those of 'digits'", "the list of images is the one that was committed to")
    ],
    "a panel network hidden": [
        (a_panel_network_hidden, "is missing: a verification that was begun counts", "is in the pack"),
        (a_panel_network_hidden_in_the_register_too, "was not asked, or its answers were hidden", "none is hidden"),
        (a_panel_hidden, "the pack says", VERDICT),
    ],
    "another verdict": [(another_verdict, "the pack says", VERDICT), (another_rank, "the pack says", VERDICT)],
}
BY_NATURE_UNSEEN = {
    a_list_of_images_with_more: "an audit goes by the judge's own images",
    a_panel_hidden: "an audit does not read what a pack says of the verdict, and asks a panel of the judge's",
    another_verdict: "an audit does not read what a pack says of the verdict",
    another_rank: "an audit does not read what a pack says of the verdict",
}
"""What an audit cannot see, and why: docs/judge.md says so too."""
CASES = [pytest.param(*each, id=each[0].__name__) for ways in TAMPERINGS.values() for each in ways]


@pytest.fixture(scope="module")
def case(whole_case, authority, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "stamp"
    stamp(Path(__file__), authority.url, other)
    whole_case.__dict__["another_stamp"] = other
    return whole_case


@pytest.fixture
def audited(case, references, run):
    """Audit what is in a folder, as the judge does who was given it."""

    def make(folder, *words):
        brought = [word for path in references.values() for word in ("--reference", path)]
        return run(
            "audit", folder / "claim.json", fingerprint_in(folder), *brought, "--authority", case.authority, *words
        )

    return make


def test_every_lie_of_the_issue_is_in_the_table():
    assert len(TAMPERINGS) >= 11


def test_nothing_is_found_where_nothing_was_tampered_with(case, audited):
    assert check_pack(case.pack).decision == check_pack(case.pack, case.authority).decision == "derived"
    for words in ((), (case.authority,)):
        said = script(case.pack, *words)
        assert (said.returncode, said.stderr) == (0, "") and "Everything holds. Verdict: derived." in said.stdout
    assert audited(case.pack).code == 0


@pytest.mark.parametrize(("tamper", "by_library", "by_script"), CASES)
def test_tampering_is_found_by_all_three(case, audited, tamper, by_library, by_script, tmp_path, run):
    folder = copied(case.pack, tmp_path / "pack")
    tamper(folder, case)
    by_check = run("commit", "--check", folder, "--authority", case.authority)
    by_audit = audited(folder)
    for said in (by_check, by_audit)[: 1 if tamper in BY_NATURE_UNSEEN else 2]:
        assert said.code == 2 and by_library in said.err.splitlines()[-1] and "Traceback" not in said.err, said
    if tamper in BY_NATURE_UNSEEN:
        assert by_audit.code == 0
    said = script(folder, case.authority)
    assert said.returncode == 1, said
    assert said.stderr.startswith("DOES NOT HOLD: ") and said.stderr.count("\n") == 1 and by_script in said.stderr


def test_a_network_hidden_from_the_panel_is_missed_by_an_audit(case, audited, tmp_path):
    folder, panel = copied(case.pack, tmp_path / "pack"), copied(case.panel, tmp_path / "panel")
    (panel / "network-2.safetensors").unlink()
    said = audited(folder, "--panel", panel)
    assert said.code == 2 and "panel" in said.err


def test_originals_that_are_not_in_the_data_set(
    references, case, target, target_file, digits, tmp_path, monkeypatch, fingerprint_file
):
    made = load_fingerprint(fingerprint_file)
    originals = made.originals.clone()
    originals[0] = torch.randint(0, 255, originals[0].shape, generator=torch.Generator().manual_seed(0))
    save_fingerprint(replace(made, originals=originals), tmp_path / "f.safetensors")
    claim = tmp_path / "claim.json"
    with monkeypatch.context() as careless:
        for module in ("committing", "case"):
            careless.setattr(
                import_module(f"exitprint.claims.{module}"), "check_originals", lambda originals, digests: None
            )
        commit(target_file, [tmp_path / "f.safetensors"], claim, tmp_path / "key.pem", digits)
        verified(claim, tmp_path / "f.safetensors", CostModel(target), "suspect", references)
        pack(claim, [tmp_path / "f.safetensors"], case.digests, tmp_path / "pack")
    with pytest.raises(ExitprintError, match="not in the data set"):
        audit(claim, [tmp_path / "f.safetensors"], case.digests, references=list(references.values()))
    with pytest.raises(ExitprintError, match="not in the data set"):
        check_pack(tmp_path / "pack")
    assert "the originals are in the data set" in script(tmp_path / "pack").stderr
    with pytest.raises(ExitprintError, match="not those of 'digits'"):
        audit(claim, [tmp_path / "f.safetensors"], [*case.digests, "0" * 64])


def test_the_stamp_needs_the_judges_own_authority(case, tmp_path):
    """Who packs may name an authority of his own; who checks names one that he trusts."""
    folder = copied(case.pack, tmp_path / "pack")
    import authority as openssl_authority

    openssl_authority.found(tmp_path / "judges")
    with pytest.raises(ExitprintError, match="of another authority"):
        check_pack(folder, tmp_path / "judges" / "ca.pem")
    assert "signed by the authority" in script(folder, tmp_path / "judges" / "ca.pem").stderr


def test_place_names_what_lies_beside_a_claim(case):
    place = Place(case.claim)
    assert all(each.exists() for each in (place.claim, place.stamp, place.opening, place.runs, place.panel))
