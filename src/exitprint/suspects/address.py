"""Where a suspect is: an address taken apart, or refused in one sentence that names the part."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from exitprint.errors import ExitprintError, told

SCHEME = re.compile(r"(https?|grpcs?)://", re.IGNORECASE)
VERSION = re.compile(r"(?P<name>.+)/versions/(?P<version>[^/]+)")


@dataclass(frozen=True)
class Address:
    """An address of a server, and of a place there.

    Attributes
    ----------
    scheme
        In small letters.
    host
        Without the brackets of an IPv6 host.
    port
        As given, or what the scheme stands for.
    path, query
        As given, percent signs and all.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @property
    def encrypted(self) -> bool:
        """Whether what is sent is hidden from those on the path."""
        return self.scheme in ("https", "grpcs")

    @property
    def server(self) -> str:
        """Host and port, as an address writes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """The server, without a place there."""
        return f"{self.scheme}://{self.server}"

    @property
    def private(self) -> bool:
        """Whether what is sent stays secret: it is encrypted, or does not leave this machine."""
        return self.encrypted or self.loopback

    @property
    def loopback(self) -> bool:
        """Whether the server is on this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            ip = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def printable(text: str, longest: int = 200) -> str:
    """What a server said, as far as a message may repeat it."""
    return "".join(c if c.isprintable() else " " for c in text[:longest])


def is_address(text: str) -> bool:
    """Whether this is meant as the address of a server."""
    return SCHEME.match(text) is not None


def shown(text: str) -> str:
    """A suspect's name as journals, reports and messages show it: without a password, and without a query's values."""
    if not is_address(text):
        return text
    before, question, query = text.partition("?")
    before = re.sub(r"(://)[^/@]*@", r"\1…@", before)
    return before + question + re.sub(r"=[^&]*", "=…", query)


def taken_apart(text: str) -> Address:
    """The parts of an address.

    Raises `ExitprintError` if a part of it cannot be; the sentence names that part, and repeats no secret.
    """
    name = shown(text)
    if bad := next((c for c in text if not c.isprintable() or c.isspace()), None):
        raise ExitprintError(f"the address {name!r} holds the character {bad!r}, which no address can: correct it.")
    with told(
        f"the host of the address {name!r} cannot be read: an IPv6 host stands in brackets, as in http://[::1]:8080/.",
        ValueError,
    ):
        parts = urlsplit(text)
    if "@" in parts.netloc:
        raise ExitprintError("the address holds a user name: put credentials into EXITPRINT_HEADERS instead.")
    if parts.fragment:
        raise ExitprintError(f"the part '#{parts.fragment}' of the address is never sent to a server: leave it out.")
    scheme = parts.scheme.lower()
    default = 443 if scheme in ("https", "grpcs") else 80
    return Address(scheme, _host(parts, name), _port(parts, name, default), parts.path, parts.query)


def _host(parts: SplitResult, name: str) -> str:
    without_port = re.sub(r":[^:\]]*$", "", parts.netloc)
    if ":" in without_port and not without_port.startswith("["):
        raise ExitprintError(
            f"the host of the address {name!r} has more than one colon: an IPv6 host stands in brackets, "
            "as in http://[::1]:8080/."
        )
    host = parts.hostname
    if not host:
        raise ExitprintError(f"the address {name!r} has no host: give it behind the two slashes.")
    with told(f"the host {host!r} of the address can be no host's name: correct it.", UnicodeError):
        return host if host.isascii() else host.encode("idna").decode()


def _port(parts: SplitResult, name: str, default: int) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        wrong = parts.netloc.rpartition(":")[2]
        raise ExitprintError(f"the port {wrong!r} of the address {name!r} is no number from 1 to 65535: correct it.")
    return port or default


def model_at(address: Address, text: str) -> tuple[str, str, str | None]:
    """Base path, name and version of the model that an address of the Open Inference Protocol v2 leads to.

    Raises `ExitprintError` if it leads to no model.
    """
    if address.scheme in ("grpc", "grpcs"):
        before, found, rest = "", "/", address.path.strip("/")
    else:
        before, found, rest = address.path.partition("/v2/models/")
    rest = rest.strip("/")
    rest = rest.removesuffix("/infer") if found != "/" else rest
    versioned = VERSION.fullmatch(rest)
    name, version = (versioned["name"], versioned["version"]) if versioned else (rest, None)
    if not is_address(text) or not found or not name or "" in name.split("/") or name.endswith("/versions"):
        raise ExitprintError(
            f"{shown(text)!r} is no address of a model: give http(s)://host/v2/models/NAME or grpc://host:port/NAME, "
            "with /versions/V behind it for one version, or the file of an upload (exitprint describe-service)."
        )
    return before, name, version
