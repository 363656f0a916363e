"""What the environment says about asking a server: credentials, proxies, certificates. A fault names its variable."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from exitprint.errors import ExitprintError, told
from exitprint.suspects.address import Address

TOKEN_VARIABLE = "EXITPRINT_TOKEN"
HEADERS_VARIABLE = "EXITPRINT_HEADERS"
PROXIES = ("http", "https", "socks5", "socks5h")
FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Proxy:
    """A proxy, and the variable that names it."""

    url: str
    variable: str


def credentials(address: Address) -> dict[str, str]:
    """Headers that the environment wants sent to this server.

    Raises `ExitprintError` if they cannot be sent, or a token would go over an unencrypted connection.
    """
    headers = _custom()
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if token:
        if not address.private:
            raise ExitprintError(
                f"{TOKEN_VARIABLE} is set, and would be sent unencrypted: use an encrypted address (https, grpcs), "
                "or unset it."
            )
        headers["authorization"] = sendable(f"Bearer {token}", TOKEN_VARIABLE)
    return headers


def _custom() -> dict[str, str]:
    text = os.environ.get(HEADERS_VARIABLE)
    if not text:
        return {}
    try:
        custom = json.loads(text)
    except (ValueError, RecursionError):
        custom = None
    if not isinstance(custom, dict) or not all(
        isinstance(value, str) and value.isprintable() for value in custom.values()
    ):
        raise ExitprintError(
            f'{HEADERS_VARIABLE} must be one JSON object of strings, such as {{"x-api-key": "..."}}: correct it.'
        )
    for name, value in custom.items():
        if not FIELD_NAME.fullmatch(name):
            raise ExitprintError(f"{HEADERS_VARIABLE} names a header {name!r}, which can be none: correct it.")
        sendable(value, f"{name} in {HEADERS_VARIABLE}")
    return {name.lower(): value for name, value in custom.items()}


def sendable(value: str, what: str) -> str:
    """A header's value; refused, without being repeated, where a header cannot carry it."""
    for place, character in enumerate(value, 1):
        if ord(character) > 255 or not (character.isprintable() or character == "\t"):
            raise ExitprintError(
                f"{what} cannot be sent as a header, because of its character {place} of {len(value)}: "
                "only printable Latin-1 can; correct it."
            )
    return value


def proxy_for(address: Address) -> Proxy | None:
    """The proxy that the environment names for this server; none for one on this machine.

    Raises `ExitprintError` if the variable names something that can be no proxy, or one of a kind that is not there.
    """
    if address.loopback or _excepted(address):
        return None
    for variable in (f"{address.scheme}_proxy", "all_proxy"):
        for name in (variable, variable.upper()):
            if url := os.environ.get(name, "").strip():
                return _checked(url, name)
    return None


def _checked(url: str, variable: str) -> Proxy:
    url = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0) and url.isprintable()
    except ValueError:
        usable = False
    if not usable or " " in url:
        raise ExitprintError(f"{variable} does not hold the address of a proxy, http://host:port: correct or unset it.")
    scheme = parts.scheme.lower()
    if scheme not in PROXIES:
        raise ExitprintError(
            f"{variable} names a proxy of the kind {scheme!r}, which is not supported ({', '.join(PROXIES)} are): "
            "name another, or unset it."
        )
    if scheme.startswith("socks") and find_spec("socksio") is None:
        raise ExitprintError(
            f"{variable} names a SOCKS proxy, for which the package 'socksio' is needed: "
            "run pip install 'httpx[socks]', or unset it."
        )
    return Proxy(url, variable)


def _excepted(address: Address) -> bool:
    """Whether NO_PROXY says that this server is reached without a proxy; what it cannot mean is passed over."""
    text = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return any(_covers(entry, address) for entry in re.split(r"[,\s]+", text.lower()) if entry)


def _covers(entry: str, address: Address) -> bool:
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(address.host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except (ValueError, TypeError):
        pass
    found = re.fullmatch(r"\[?(?P<host>[^\[\]]*?)\]?(:(?P<port>\d+))?", entry)
    if found is None or (found["port"] and int(found["port"]) != address.port):
        return False
    name = found["host"].removeprefix("*").lstrip(".")
    return bool(name) and (address.host == name or address.host.endswith(f".{name}"))


def certificates() -> ssl.SSLContext:
    """What certificates are checked with: SSL_CERT_FILE and SSL_CERT_DIR, else those of the package certifi.

    Raises `ExitprintError` if a variable names what is not there or holds no certificates.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file and not Path(file).is_file():
        raise ExitprintError(f"SSL_CERT_FILE names {file!r}, where there is no file: correct or unset it.")
    if folder and not any(Path(each).is_dir() for each in folder.split(os.pathsep)):
        raise ExitprintError(f"SSL_CERT_DIR names {folder!r}, where there is no folder: correct or unset it.")
    context = _context()
    try:
        if file:
            context.load_verify_locations(cafile=file)
        for each in filter(None, (folder or "").split(os.pathsep)):
            context.load_verify_locations(capath=each)
        if not file and not folder:
            import certifi

            context.load_verify_locations(cafile=certifi.where())
    except (OSError, ValueError) as error:
        variable = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
        raise ExitprintError(
            f"{variable} names {file or folder!r}, in which there are no certificates that can be read: "
            "correct or unset it."
        ) from error
    return context


def certificate_file() -> bytes | None:
    """What SSL_CERT_FILE holds, checked; None where it is not set."""
    file = os.environ.get("SSL_CERT_FILE")
    if not file:
        return None
    certificates()
    return Path(file).read_bytes()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    log = os.environ.get("SSLKEYLOGFILE")
    if log:
        with told(f"SSLKEYLOGFILE names {log!r}, which cannot be written: correct or unset it.", (OSError, ValueError)):
            context.keylog_filename = log
    return context
