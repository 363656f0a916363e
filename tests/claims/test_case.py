"""What a case comes to: script and library agree, verifications combine, a panel's rank is exact."""

import json
import math
import shutil
import subprocess
import sys
import venv
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from acting import Noisy, lines_of, script, verified

from exitprint.claims import audit, check_pack, commit, pack
from exitprint.claims.committing import Place, committed_fingerprint, load_opening
from exitprint.claims.control import rank_p_value
from exitprint.claims.register import Asking, Brought, Register
from exitprint.claims.replay import log_mean
from exitprint.claims.signing import load_claim
from exitprint.claims.verification import begin
from exitprint.data import eight_bit
from exitprint.errors import ExitprintError
from exitprint.files import file_digest
from exitprint.fingerprints import load_fingerprint, paper_fingerprint, save_fingerprint, verify
from exitprint.networks import ExitPolicy
from exitprint.serving import running
from exitprint.suspects import CostModel, open_suspect

SMALLER = 1 / 6
"""As the paper crafts, the change is so large that references are needed, and those follow it too."""


@pytest.fixture(scope="module")
def fingerprints(target, digits, fingerprint_file, tmp_path_factory):
    """A fingerprint of each kind, and a contrast that names references."""
    folder = tmp_path_factory.mktemp("fingerprints")
    paper = paper_fingerprint(target, digits.test, samples=100, seed=1)
    change = SMALLER * (paper.x - paper.benign)
    paper = replace(paper, samples=eight_bit(paper.benign + change))
    paper.record["data"] = {"name": "digits"}
    save_fingerprint(paper, folder / "paper.safetensors")
    return {"contrast": fingerprint_file, "paper": folder / "paper.safetensors"}


@pytest.fixture
def claimed(target_file, digits, tmp_path):
    """Commit to a fingerprint, without a time stamp."""

    def make(fingerprint, **options):
        claim = tmp_path / "claim.json"
        commit(target_file, [fingerprint], claim, tmp_path / "key.pem", digits, **options)
        return claim

    return make


@pytest.fixture
def packed(whole_case, tmp_path):
    """Pack a claim, check it with the library, and give the pack and what the script says."""

    def make(claim, fingerprint, **options):
        case = pack(claim, [fingerprint], whole_case.digests, tmp_path / "pack", **options)
        assert check_pack(tmp_path / "pack").decision == case.decision
        said = script(tmp_path / "pack")
        assert (said.returncode, said.stderr) == (0, "")
        return case, said.stdout

    return make


@pytest.fixture
def audited(whole_case, references):
    """Audit a claim, with the references that its asker brought."""

    def make(claim, fingerprint, **options):
        brought = {"references": list(references.values()), **options}
        return audit(claim, [fingerprint], whole_case.digests, **brought)

    return make


@pytest.mark.parametrize("kind", ["contrast", "paper"])
@pytest.mark.parametrize("origin", ["copy", "independent", "one exit"])
@pytest.mark.parametrize("noise", [None, 1e-7, 1e-4])
def test_script_and_library_agree(references, claimed, packed, fingerprints, target, independent, kind, origin, noise):
    network = independent if origin == "independent" else target
    if origin == "one exit":
        network = deepcopy(target)
        network.policy = ExitPolicy(0.0)
    claim = claimed(fingerprints[kind], budget=400)
    suspect = CostModel(network) if noise is None else Noisy(network, noise, seed=5)
    brought = references if kind == "contrast" else None
    alone = verified(claim, fingerprints[kind], suspect, "suspect", brought)
    case, said = packed(claim, fingerprints[kind])
    assert f"Verdict: {case.decision}." in said and case.decision == alone.decision
    assert f"the e-value is {math.exp(case.log_e):.4g}" in said


@pytest.mark.parametrize("requests", [0, 1, 8, 20, 60])
def test_a_verification_that_was_cut_off_counts(references, claimed, packed, fingerprint_file, target, requests):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, Noisy(target, 1e-4, seed=5), "suspect", references)
    journal = Place(claim).runs / "0001.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: requests + 1]) + b'{"reque')
    case, said = packed(claim, fingerprint_file)
    assert case.decision == "inconclusive" and "Verdict: inconclusive." in said


def test_two_verifications_count_by_the_mean_of_their_e_values(
    references, claimed, packed, fingerprint_file, target, independent
):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(independent), "suspect", references)
    first = verified(claim, fingerprint_file, CostModel(target), "suspect", references)
    assert first.decision == "derived"
    case, said = packed(claim, fingerprint_file)
    assert case.decision == "inconclusive" and "the owner in 2 of 2 verifications" in said
    assert case.log_e == pytest.approx(log_mean([each.log_e for each in case.runs]))


def test_other_suspects_do_not_count_and_are_told(
    references, claimed, packed, audited, fingerprint_file, target, independent
):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(independent), "stranger", references)
    verified(claim, fingerprint_file, CostModel(target), "copy", references)
    with pytest.raises(ExitprintError, match="2 suspects were asked"):
        audited(claim, fingerprint_file)
    case, said = packed(claim, fingerprint_file, suspect="copy")
    assert case.decision == "derived" and "the owner in 1 of 2 verifications the suspect is derived" in said


def test_a_run_goes_on_under_its_claim(references, claimed, fingerprint_file, target):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(target), "suspect", references)
    first = begin(claim, fingerprint_file, "suspect", "cost-model", 1, False, True, references)
    assert first.journal.name == "0001.jsonl"
    assert (
        begin(claim, fingerprint_file, "suspect", "cost-model", 1, False, False, references).journal.name
        == "0002.jsonl"
    )
    with pytest.raises(ExitprintError, match="leave out --resume"):
        begin(claim, fingerprint_file, "another", "cost-model", 1, False, True, references)


def test_a_secret_fingerprint_counts_as_if_it_brought_nothing(
    references, target, target_file, digits, fingerprint_file, whole_case, tmp_path
):
    second = load_fingerprint(fingerprint_file)
    second = replace(second, record={**second.record, "second": True})
    save_fingerprint(second, tmp_path / "second.safetensors")
    claim, files = tmp_path / "claim.json", [fingerprint_file, tmp_path / "second.safetensors"]
    commit(target_file, files, claim, tmp_path / "key.pem", digits)
    for each in files:
        verified(claim, each, CostModel(target), "suspect", references)
    opened = pack(claim, files, whole_case.digests, tmp_path / "both")
    secret = pack(claim, files[:1], whole_case.digests, tmp_path / "one")
    assert (opened.decision, secret.decision) == ("derived", "inconclusive")
    for folder, decision in (("both", "derived"), ("one", "inconclusive")):
        assert f"Verdict: {decision}." in script(tmp_path / folder).stdout


def test_a_panel_network_that_follows_sinks_the_fingerprint(
    references, claimed, packed, audited, fingerprint_file, target, target_file, panel_folder, tmp_path
):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(target), "suspect", references)
    shutil.copytree(panel_folder, tmp_path / "panel")
    shutil.copy(target_file, tmp_path / "panel" / "transfers.safetensors")
    case = audited(claim, fingerprint_file, panel=tmp_path / "panel")
    assert case.decision == "inconclusive" and case.panel.followers == ("transfers",)
    assert case.panel.p_value == 2 / 4
    case, said = packed(claim, fingerprint_file)
    assert "Verdict: inconclusive." in said
    assert "The fingerprint is sunk" in (tmp_path / "pack" / "page.html").read_text()


def test_an_audit_goes_on_where_it_was_stopped(references, claimed, audited, fingerprint_file, target, panel_folder):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(target), "suspect", references)
    whole = audited(claim, fingerprint_file, panel=panel_folder)
    journal = Place(claim).panel / "0002.jsonl"
    journal.write_bytes(journal.read_bytes()[:2000])
    again = audited(claim, fingerprint_file, panel=panel_folder)
    assert [each.log_e for each in again.panel.found] == [each.log_e for each in whole.panel.found]


def test_a_suspect_at_an_address_is_asked_beside_served_networks(
    references, claimed, packed, audited, fingerprint_file, target_file, panel_folder, tmp_path
):
    claim = claimed(fingerprint_file, budget=120)
    with running(target_file) as url:
        begun = begin(claim, fingerprint_file, url, "measured", 2, True, False, references)
        verify(
            load_fingerprint(fingerprint_file),
            open_suspect(url, amplification=2),
            budget=120,
            seed=begun.claim.seed,
            journal=begun.journal,
            subject=begun.subject,
            references=begun.references,
        )
    (tmp_path / "panel").mkdir()
    shutil.copy(panel_folder / "network-1.safetensors", tmp_path / "panel")
    case = audited(claim, fingerprint_file, panel=tmp_path / "panel")
    assert case.panel.found[0].begun.address and case.panel.found[0].begun.amplification == 2
    assert case.panel.found[0].verdict.clock == "measured"
    packed(claim, fingerprint_file)


def test_the_network_of_the_claim_is_looked_at(
    references, claimed, audited, fingerprint_file, target, target_file, whole_case
):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(target), "suspect", references)
    assert audited(claim, fingerprint_file, network=target_file).decision == "derived"
    with pytest.raises(ExitprintError, match="not the network"):
        audited(claim, fingerprint_file, network=whole_case.panel / "network-1.safetensors")


def test_a_network_that_does_not_behave_as_claimed(
    references, audited, fingerprint_file, target, digits, whole_case, tmp_path
):
    stranger = whole_case.panel / "network-1.safetensors"
    claim = tmp_path / "claim.json"
    commit(stranger, [fingerprint_file], claim, tmp_path / "key.pem", digits)
    verified(claim, fingerprint_file, CostModel(target), "suspect", references)
    with pytest.raises(ExitprintError, match="does not behave as claimed"):
        audited(claim, fingerprint_file, network=stranger)


def test_references_are_computed_again(
    references, claimed, audited, packed, fingerprint_file, target, panel_folder, whole_case
):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(target), "suspect", references)
    assert audited(claim, fingerprint_file).unseen == ()
    with pytest.raises(ExitprintError, match="his word without their networks: give another too"):
        audited(claim, fingerprint_file, references=[])
    with pytest.raises(ExitprintError, match="is no reference of this claim"):
        audited(claim, fingerprint_file, references=[panel_folder / "network-1.safetensors"])
    case, said = packed(claim, fingerprint_file)
    assert case.unseen == ("another",) and "NOT CHECKED" in said and "the reference 'another' came to" in said
    assert "the asker’s word" in (claim.parent / "pack" / "page.html").read_text()


def test_an_invented_reference_is_caught(references, claimed, audited, fingerprint_file, target):
    """The register's chain holds, and so does the journal's, and the network comes to something else."""
    claim = claimed(fingerprint_file)
    register = Register(Place(claim).runs, file_digest(claim))
    committed = committed_fingerprint(load_claim(claim), load_opening(Place(claim).opening), fingerprint_file)
    invented = (Brought("another", file_digest(references["another"]), 0.0),)
    begun = register.begin("suspect", Asking(committed, "cost-model", 1, False, invented))
    verify(
        load_fingerprint(fingerprint_file),
        CostModel(target),
        seed=load_claim(claim).seed,
        journal=register.journal(1),
        subject=register.subject(begun),
        references=begun.seen,
    )
    with pytest.raises(ExitprintError, match=r"comes to 0\.\d+ of the pairs, and .* says 0\.00: it was edited"):
        audited(claim, fingerprint_file)


@pytest.fixture
def asked_again(audited, fingerprint_file):
    """Audit a claim, and ask somebody again."""

    def make(claim, network, **options):
        @contextmanager
        def opened(first):
            yield CostModel(network)

        return audited(claim, fingerprint_file, again=opened, **options)

    return make


def test_the_judge_asks_the_suspect_again(
    references, claimed, packed, audited, asked_again, fingerprint_file, target, panel_folder
):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(target), "suspect", references)
    case = asked_again(claim, target, panel=panel_folder)
    assert (case.decision, case.again.decision) == ("derived", "derived")
    assert case.again.alike == case.again.both > 20
    assert audited(claim, fingerprint_file).again.decision == "derived"
    case, said = packed(claim, fingerprint_file)
    assert "Asked by the judge the suspect is derived" in said and "Verdict: derived." in said
    assert "This rests on nothing that the owner kept" in (claim.parent / "pack" / "page.html").read_text()


def test_an_invented_journal_is_caught_while_the_suspect_answers(
    references, claimed, packed, audited, asked_again, fingerprint_file, target, independent
):
    """The owner asks his own network and writes that the suspect answered: nothing in the files says otherwise."""
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(target), "honest", references)
    assert audited(claim, fingerprint_file).decision == "derived"
    case = asked_again(claim, independent)
    assert (case.by_journals, case.decision, case.again.decision) == ("derived", "inconclusive", "inconclusive")
    case, said = packed(claim, fingerprint_file)
    assert "Asked by the judge the suspect is inconclusive" in said and "Verdict: inconclusive." in said
    assert "or they were invented" in (claim.parent / "pack" / "page.html").read_text()
    shutil.rmtree(claim.parent / "pack" / "claim.again")
    with pytest.raises(ExitprintError, match="the pack says"):
        check_pack(claim.parent / "pack")
    assert "DOES NOT HOLD: the verdict is what the answers say" in script(claim.parent / "pack").stderr


def test_the_judges_asking_goes_on_where_it_was_stopped(
    references, claimed, asked_again, fingerprint_file, target, independent
):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, CostModel(target), "suspect", references)
    whole = asked_again(claim, target)
    journal = Place(claim).again / "0001.jsonl"
    journal.write_bytes(journal.read_bytes()[:2000])
    assert asked_again(claim, target).again.log_e == whole.again.log_e
    verified(claim, fingerprint_file, CostModel(independent), "another", references)
    assert asked_again(claim, independent, suspect="another").again.decision == "inconclusive"
    assert asked_again(claim, target, suspect="suspect").again.log_e == whole.again.log_e
    assert len(lines_of(Place(claim).again / "register.jsonl")) == 3


def test_who_does_not_answer_the_judge_leaves_the_claim_as_it_was(
    references, claimed, audited, fingerprint_file, target
):
    claim = claimed(fingerprint_file)
    verified(claim, fingerprint_file, Noisy(target, 1e-7, seed=5), "suspect", references)

    @contextmanager
    def gone(first):
        suspect = Noisy(target, 1e-7, seed=5)
        suspect.ask = fails
        yield suspect

    def fails(x):
        raise ExitprintError("nobody answers at this address.")

    with pytest.raises(ExitprintError, match="nobody answers"):
        audited(claim, fingerprint_file, again=gone)
    case = audited(claim, fingerprint_file)
    assert case.decision == "derived" and case.again is None


def test_the_rank_is_exact():
    """Of exchangeable networks the suspect is above all nine of a panel in one of ten cases, ties or none."""
    rng = np.random.default_rng(1)
    runs = 20_000
    for draw in (lambda: rng.normal(size=10), lambda: rng.integers(0, 3, size=10).astype(float)):
        p_values = np.array([rank_p_value(x[0], x[1:].tolist()) for x in (draw() for _ in range(runs))])
        for level in (0.1, 0.2, 0.5):
            share = (p_values <= level + 1e-12).mean()
            assert share <= level + 4 * math.sqrt(level * (1 - level) / runs)
    values = [rank_p_value(x[0], x[1:].tolist()) for x in (rng.normal(size=10) for _ in range(runs))]
    assert abs(np.mean(np.array(values) <= 0.1 + 1e-12) - 0.1) < 4 * math.sqrt(0.09 / runs)


def test_the_mean_of_e_values():
    assert log_mean([math.log(3.0), math.log(1.0)]) == pytest.approx(math.log(2.0))
    assert log_mean([-math.inf, math.log(4.0)]) == pytest.approx(math.log(2.0))


def test_the_page(whole_case):
    page = (whole_case.pack / "page.html").read_text()
    claim = load_claim(whole_case.claim)
    register = Register(Place(whole_case.claim).runs, file_digest(whole_case.claim))
    committed = committed_fingerprint(claim, load_opening(Place(whole_case.claim).opening), whole_case.fingerprint)
    for words in (
        file_digest(whole_case.claim),
        claim.network,
        committed,
        claim.program.version,
        claim.program.sha256,
        str(claim.seed),
        f"{datetime.fromisoformat(register.read()[0].begun):%Y-%m-%d %H:%M:%S}",
        "computed, not measured",
        "What this claim does not say",
        "@media print",
        "network-2",
        "0.333",
    ):
        assert words in page, words
    assert "http" not in page.replace("http-equiv", "").replace("http://suspect", "").replace(
        "http://www.w3.org/2000/svg", ""
    )


def test_the_pack_holds_neither_the_network_nor_its_salt(whole_case, target_file):
    opening = json.loads((whole_case.pack / "claim.opening.json").read_text())
    assert set(opening) == {"exitprint", "fingerprints"}
    sizes = {path.stat().st_size for path in whole_case.pack.rglob("*") if path.is_file()}
    assert target_file.stat().st_size not in sizes


def test_a_pack_is_whole_or_absent(whole_case, tmp_path):
    with pytest.raises(ExitprintError):
        pack(whole_case.claim, [whole_case.fingerprint], ["0" * 64], tmp_path / "pack", authority=whole_case.authority)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "pack").mkdir()
    with pytest.raises(ExitprintError, match="is there already"):
        pack(
            whole_case.claim,
            [whole_case.fingerprint],
            whole_case.digests,
            tmp_path / "pack",
            authority=whole_case.authority,
        )


def test_the_script_is_short_and_needs_numpy_alone(whole_case):
    source = (whole_case.pack / "check.py").read_text()
    assert source.count("\n") < 250
    names = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.stdlib_module_names)"], capture_output=True, text=True
    ).stdout.split()
    imported = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported - set(names) == {"numpy"}


def test_a_bare_environment_with_numpy_checks_a_pack(whole_case, tmp_path):
    venv.create(tmp_path / "bare", symlinks=True)
    python = next((tmp_path / "bare" / "bin").glob("python3"))
    packages = next((tmp_path / "bare" / "lib").glob("python*")) / "site-packages"
    for folder in Path(np.__file__).parents[1].glob("numpy*"):
        (packages / folder.name).symlink_to(folder)
    without = subprocess.run([python, "-I", "-c", "import exitprint"], capture_output=True, text=True)
    assert "No module named 'exitprint'" in without.stderr
    command = [python, "-I", whole_case.pack / "check.py", whole_case.authority]
    said = subprocess.run(command, capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "") and "The authority saw the claim on" in said.stdout
