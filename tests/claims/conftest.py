"""A claim with all that belongs to it: a network, a fingerprint, an authority in another process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import authority as openssl_authority
import pytest
from acting import verified

from exitprint.claims import audit, commit, pack
from exitprint.claims.images import image_digests
from exitprint.data import ImageData
from exitprint.fingerprints import ContrastMethod, contrast_fingerprint, save_fingerprint
from exitprint.networks import MultiExitNetwork, save_network
from exitprint.suspects import CostModel


@dataclass(frozen=True)
class Authority:
    """A time-stamping authority.

    Attributes
    ----------
    url
        Where it answers.
    certificate
        What to trust, as PEM.
    folder
        Its own files.
    """

    url: str
    certificate: Path
    folder: Path


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    folder = tmp_path_factory.mktemp("authority")
    openssl_authority.found(folder)
    port = folder / "port"
    server = subprocess.Popen([sys.executable, openssl_authority.__file__, str(folder), str(port)])
    try:
        end = monotonic() + 60
        while not port.exists():
            assert server.poll() is None and monotonic() < end, "the authority did not start"
            sleep(0.02)
        yield Authority(f"http://127.0.0.1:{port.read_text()}/", folder / "ca.pem", folder)
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="session")
def fingerprint_file(
    target: MultiExitNetwork, digits: ImageData, made_once: Callable[[str, Callable[[Path], None]], Path]
) -> Path:
    """A contrast fingerprint of the owner's network."""

    def craft(path: Path) -> None:
        method = ContrastMethod(margin_log_odds=0.1)
        made = contrast_fingerprint(target, digits.test, [lambda network: network.policy], 100, 3, method)
        made.record["data"] = {"name": "digits", "part": "test", "images": len(digits.test)}
        save_fingerprint(made, path)

    return made_once("owner.fingerprint.safetensors", craft)


@pytest.fixture
def committed(
    target_file: Path, fingerprint_file: Path, authority: Authority, digits: ImageData, tmp_path: Path
) -> Callable[..., Path]:
    """Make a claim in a folder of its own and give its path."""

    def make(**options: object) -> Path:
        out = tmp_path / "claim.json"
        stamped = {"authority": authority.url, **options}
        commit(target_file, [fingerprint_file], out, tmp_path / "owner.key.pem", digits, **stamped)
        return out

    return make


@pytest.fixture(scope="session")
def panel_folder(trained: Callable[[int], MultiExitNetwork], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks of which the judge knows that they are no copies."""
    folder = tmp_path_factory.mktemp("panel")
    for seed in (1, 2):
        save_network(trained(seed), folder / f"network-{seed}.safetensors")
    return folder


@pytest.fixture(scope="session")
def references(trained: Callable[[int], MultiExitNetwork], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A network that the verifier brings: a contrast on digits takes a large change."""
    path = tmp_path_factory.mktemp("references") / "another.safetensors"
    save_network(trained(3), path)
    return {"another": path}


@dataclass(frozen=True)
class Files:
    """A case on the disk.

    Attributes
    ----------
    claim, fingerprint, panel, authority
        As the verbs take them.
    pack
        What came of it.
    digests
        Of the data set's images.
    """

    claim: Path
    fingerprint: Path
    panel: Path
    authority: Path
    pack: Path
    digests: list[str]


@pytest.fixture(scope="session")
def whole_case(
    target: MultiExitNetwork,
    target_file: Path,
    fingerprint_file: Path,
    authority: Authority,
    panel_folder: Path,
    references: dict[str, Path],
    digits: ImageData,
    tmp_path_factory: pytest.TempPathFactory,
) -> Files:
    """Committed, stamped, verified twice, audited with a panel, packed."""
    folder = tmp_path_factory.mktemp("case")
    claim, pack_folder = folder / "claim.json", folder / "pack"
    commit(target_file, [fingerprint_file], claim, folder / "owner.key.pem", digits, authority=authority.url)
    for _ in (1, 2):
        verified(claim, fingerprint_file, CostModel(target), "http://suspect", references)
    digests = image_digests(digits.test.pixels)
    found = audit(
        claim,
        [fingerprint_file],
        digests,
        panel=panel_folder,
        references=list(references.values()),
        authority=authority.certificate,
    )
    assert found.decision == "derived" and found.panel is not None and not found.panel.followers
    pack(claim, [fingerprint_file], digests, pack_folder, authority=authority.certificate)
    return Files(claim, fingerprint_file, panel_folder, authority.certificate, pack_folder, digests)
