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

from exitprint.claims import commit
from exitprint.data import ImageData
from exitprint.fingerprints import contrast_fingerprint, save_fingerprint
from exitprint.networks import MultiExitNetwork


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
def fingerprint_file(target: MultiExitNetwork, digits: ImageData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A contrast fingerprint of the owner's network."""
    path = tmp_path_factory.mktemp("fingerprint") / "owner.fingerprint.safetensors"
    made = contrast_fingerprint(target, digits.test, [lambda network: network.policy], 60, seed=3)
    made.record["data"] = {"name": "digits", "part": "test", "images": len(digits.test)}
    save_fingerprint(made, path)
    return path


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
