"""A time-stamping authority of OpenSSL behind HTTP, in a process of its own: `python authority.py FOLDER PORT_FILE`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

CONFIGURATION = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = Rehearsal
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[signer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[authority]
serial = {folder}/serial
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
signer_digest = sha256
accuracy = secs:1
"""


def found(folder: Path) -> None:
    """Make an authority: `ca.pem`, which others trust, and a signer with the purpose of stamping."""
    folder.mkdir(exist_ok=True)
    settings = folder / "openssl.cnf"
    settings.write_text(CONFIGURATION.format(folder=folder))
    (folder / "serial").write_text("01\n")
    common = ["-newkey", "rsa:2048", "-nodes", "-config", str(settings)]
    openssl(folder, "req", "-x509", *common, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-extensions", "ca")
    openssl(folder, "req", *common, "-keyout", "signer.key", "-out", "signer.csr", "-subj", "/CN=Stamps")
    openssl(
        folder,
        *[
            "x509",
            "-req",
            "-in",
            "signer.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            "signer.pem",
            "-days",
            "30",
        ],
        *("-extfile", str(settings), "-extensions", "signer"),
    )


def answer(folder: Path, query: bytes) -> bytes:
    """What the authority says to a request."""
    with tempfile.TemporaryDirectory() as scratch:
        asked, said = Path(scratch) / "asked.tsq", Path(scratch) / "said.tsr"
        asked.write_bytes(query)
        openssl(
            folder,
            *[
                "ts",
                "-reply",
                "-signer",
                "signer.pem",
                "-inkey",
                "signer.key",
                "-config",
                "openssl.cnf",
                "-section",
                "authority",
            ],
            *("-queryfile", str(asked), "-out", str(said)),
        )
        return said.read_bytes()


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


class Door(BaseHTTPRequestHandler):
    """Requests over HTTP, as RFC 3161 says in section 3.4."""

    folder = Path()

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["Content-Length"]))
        said = answer(self.folder, query)
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *words: object) -> None:
        pass


if __name__ == "__main__":
    Door.folder = Path(sys.argv[1])
    server = HTTPServer(("127.0.0.1", 0), Door)
    port = Path(sys.argv[2])
    port.with_suffix(".new").write_text(str(server.server_port))
    port.with_suffix(".new").rename(port)
    server.serve_forever()
