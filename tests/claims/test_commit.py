import base64
import json
import shutil
import subprocess
from datetime import timedelta

import authority as openssl_authority
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exitprint.claims.committing import (
    Place,
    check_claim,
    commit,
    committed_fingerprint,
    committed_network,
    load_opening,
)
from exitprint.claims.signing import load_claim, load_or_make_key, public_key, sign
from exitprint.claims.statement import now
from exitprint.errors import ExitprintError
from exitprint.fingerprints import load_fingerprint, save_fingerprint


def edited(path, **changes):
    """Change the payload of a claim and leave its signature."""
    envelope = json.loads(path.read_bytes())
    payload = json.loads(base64.b64decode(envelope["payload"]))
    text = json.dumps({**payload, **changes}, sort_keys=True, separators=(",", ":"))
    envelope["payload"] = base64.b64encode(text.encode()).decode()
    path.write_text(json.dumps(envelope))


def signed_again(path, claim, key):
    """Sign a claim anew, with the key that it then names."""
    signer = load_or_make_key(key)
    sign(claim.model_copy(update={"key": public_key(signer)}), signer, path)


def test_a_claim_holds(committed, authority, target_file, fingerprint_file):
    path = committed()
    checked = check_claim(path, authority.certificate)
    assert abs(checked.stamped - now()) < timedelta(minutes=5)
    opening = load_opening(Place(path).opening)
    assert committed_network(checked.claim, opening, target_file)
    assert not committed_network(checked.claim, opening, fingerprint_file)
    assert committed_fingerprint(checked.claim, opening, fingerprint_file) in checked.claim.fingerprints


def test_nothing_proves_the_date_of_a_claim_without_a_stamp(committed):
    assert check_claim(committed(authority=None)).stamped is None


def test_openssl_verifies_the_stamp(committed, authority):
    path = committed()
    said = subprocess.run(
        ["openssl", "ts", "-verify", "-data", path, "-in", Place(path).stamp, "-CAfile", authority.certificate],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0 and "Verification: OK" in said.stdout + said.stderr


def test_the_signature_by_the_library_that_made_the_key(committed):
    envelope = json.loads(committed().read_bytes())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(json.loads(payload)["key"]))
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed)


def test_openssl_verifies_the_signature(committed, tmp_path):
    envelope = json.loads(committed().read_bytes())
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    (tmp_path / "signed").write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    said = subprocess.run(
        [
            *[
                "openssl",
                "pkeyutl",
                "-verify",
                "-rawin",
                "-inkey",
                "owner.key.pem",
                "-in",
                "signed",
                "-sigfile",
                "signature",
            ]
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr


@pytest.mark.parametrize(
    "changes", [{"made": "2020-01-01T00:00:00Z"}, {"seed": 1}, {"alpha": 0.5}, {"network": "0" * 64}]
)
def test_an_edited_claim_is_refused(committed, authority, changes):
    path = committed()
    edited(path, **changes)
    with pytest.raises(ExitprintError, match="signature"):
        check_claim(path, authority.certificate)


def test_a_signature_of_another_key_is_refused(committed, authority, tmp_path):
    path = committed()
    claim = load_claim(path)
    sign(claim, load_or_make_key(tmp_path / "other.pem"), path)
    with pytest.raises(ExitprintError, match="another key"):
        check_claim(path, authority.certificate)


def test_a_claim_signed_again_with_another_key_has_no_stamp(committed, authority, tmp_path):
    path = committed()
    claim = load_claim(path)
    signed_again(path, claim, tmp_path / "other.pem")
    with pytest.raises(ExitprintError, match="of another file"):
        check_claim(path, authority.certificate)
    with pytest.raises(ExitprintError, match="names another key"):
        check_claim(path, key=claim.key)


def test_a_seed_that_was_chosen_is_refused(committed, tmp_path):
    path = committed(authority=None)
    claim = load_claim(path)
    signed_again(path, claim.model_copy(update={"seed": claim.seed ^ 1}), tmp_path / "owner.key.pem")
    with pytest.raises(ExitprintError, match="it was chosen"):
        check_claim(path)


def test_a_date_set_back_is_refused(committed, authority, tmp_path):
    path = committed()
    claim = load_claim(path)
    signed_again(path, claim.model_copy(update={"made": now() - timedelta(days=400)}), tmp_path / "owner.key.pem")
    query = tmp_path / "query"
    subprocess.run(["openssl", "ts", "-query", "-data", path, "-sha256", "-cert", "-out", query], check=True)
    Place(path).stamp.write_bytes(openssl_authority.answer(authority.folder, query.read_bytes()))
    with pytest.raises(ExitprintError, match="its date was set"):
        check_claim(path, authority.certificate)


def test_a_stamp_of_another_file_is_refused(committed, authority, tmp_path):
    path = committed()
    query = tmp_path / "query"
    subprocess.run(["openssl", "ts", "-query", "-data", __file__, "-sha256", "-cert", "-out", query], check=True)
    Place(path).stamp.write_bytes(openssl_authority.answer(authority.folder, query.read_bytes()))
    with pytest.raises(ExitprintError, match="of another file"):
        check_claim(path, authority.certificate)


def test_a_stamp_of_another_authority_is_refused(committed, tmp_path):
    path = committed()
    openssl_authority.found(tmp_path / "other")
    with pytest.raises(ExitprintError, match="of another authority"):
        check_claim(path, tmp_path / "other" / "ca.pem")


@pytest.mark.parametrize("place", range(0, 1400, 100))
def test_a_damaged_stamp_is_refused(committed, authority, place):
    path = committed()
    stamp = Place(path).stamp
    content = bytearray(stamp.read_bytes())
    content[place] ^= 0x55
    stamp.write_bytes(content)
    with pytest.raises(ExitprintError, match="stamp"):
        check_claim(path, authority.certificate)


def test_a_stamp_needs_something_to_check_it_by(committed, authority):
    path = committed()
    with pytest.raises(ExitprintError, match="--authority"):
        check_claim(path)
    Place(path).stamp.unlink()
    with pytest.raises(ExitprintError, match="no time stamp"):
        check_claim(path, authority.certificate)


def test_a_fingerprint_with_one_pixel_changed_was_not_committed_to(committed, fingerprint_file, tmp_path):
    path = committed(authority=None)
    made = load_fingerprint(fingerprint_file)
    made.samples[0, 0, 0, 0] ^= 1
    save_fingerprint(made, tmp_path / "changed.safetensors")
    with pytest.raises(ExitprintError, match="not a file that the claim committed to"):
        committed_fingerprint(load_claim(path), load_opening(Place(path).opening), tmp_path / "changed.safetensors")


def test_salts_hide_the_files(committed, target_file):
    claims = []
    for _ in range(2):
        path = committed(authority=None)
        claims.append(load_claim(path))
        for each in (path, Place(path).opening):
            each.unlink()
    assert claims[0].network != claims[1].network and claims[0].seed != claims[1].seed


def test_originals_must_be_in_the_data_set(target_file, fingerprint_file, digits, tmp_path):
    made = load_fingerprint(fingerprint_file)
    made.originals[0] = torch.randint(0, 255, made.originals[0].shape, generator=torch.Generator().manual_seed(0))
    save_fingerprint(made, tmp_path / "f.safetensors")
    with pytest.raises(ExitprintError, match="1 of the fingerprint's 100 originals are not in the data set"):
        commit(target_file, [tmp_path / "f.safetensors"], tmp_path / "claim.json", tmp_path / "key.pem", digits)
    assert [each.name for each in tmp_path.iterdir()] == ["f.safetensors"]


def test_a_claim_is_made_once(committed):
    committed()
    with pytest.raises(ExitprintError, match="is there already"):
        committed()


def test_an_authority_that_does_not_answer_leaves_no_claim(committed, tmp_path):
    with pytest.raises(ExitprintError, match="did not answer"):
        committed(authority="http://127.0.0.1:9/")
    assert [each.name for each in tmp_path.iterdir()] == ["owner.key.pem"]


def test_the_key_is_for_its_owner_alone(committed, tmp_path):
    committed(authority=None)
    assert (tmp_path / "owner.key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[" * 100_000, b'{"payload": 1}', b"\xff"])
def test_what_is_no_claim_is_refused(content, tmp_path):
    path = tmp_path / "claim.json"
    path.write_bytes(content)
    with pytest.raises(ExitprintError, match="no claim"):
        check_claim(path)


def test_the_verb(run, target_file, fingerprint_file, authority, tmp_path):
    claim = tmp_path / "claim.json"
    words = ("commit", target_file, fingerprint_file, "--key", tmp_path / "k.pem")
    assert run(*words, "--out", claim, "--timestamp", authority.url).code == 0
    said = run("commit", "--check", claim, target_file, fingerprint_file, "--authority", authority.certificate)
    assert said.code == 0 and "The claim holds" in said.out and "says the authority" in said.out
    shutil.copy(fingerprint_file, tmp_path / "copy")
    with (tmp_path / "copy").open("ab") as file:
        file.write(b" ")
    said = run("commit", "--check", claim, tmp_path / "copy", "--authority", authority.certificate)
    assert said.code == 2 and "was changed" in said.err
