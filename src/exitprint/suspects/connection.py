"""One kept-alive HTTP connection to a server that is not trusted: timed, bounded, and tried again after faults.

Imported only where the extra `remote` is there.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import Any

import httpx

from exitprint.errors import ExitprintError
from exitprint.suspects.address import Address, printable
from exitprint.suspects.deadline import deadline
from exitprint.suspects.environment import HEADERS_VARIABLE, TOKEN_VARIABLE, certificates, credentials, proxy_for
from exitprint.suspects.pace import Fault, Pace

LARGEST_ANSWER = 64 * 2**20
"""Bytes of an answer that are read; a thousand probabilities take a few thousand."""
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of faults that may pass, after which a request is repeated."""


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes
    ----------
    status, headers, body
        Of the answer.
    seconds
        From the first byte sent to the last byte received; None when the request had to be repeated, since a server
        may have begun, finished or kept the work of an earlier try.
    """

    status: int
    headers: httpx.Headers
    body: bytes
    seconds: float | None


class _Exchange:
    """Listens to what the HTTP client does, for the moments that are timed and for the socket."""

    def __init__(self) -> None:
        self.sent: float | None = None
        self.received: float | None = None
        self.socket: socket.socket | None = None

    @property
    def seconds(self) -> float | None:
        """From the first byte sent to the last byte received."""
        return None if self.sent is None or self.received is None else self.received - self.sent

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            self.sent = perf_counter()
        elif event == "http11.receive_response_body.complete":
            self.received = perf_counter()
        elif event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self.socket = info["return_value"].get_extra_info("socket")


@contextmanager
def _no_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Connection:
    """A connection to one server.

    Parameters
    ----------
    address
        Of the server.
    timeout
        Seconds that one exchange may take in all.
    pace
        How often it is asked.
    headers
        Sent with every request, beside those of the environment.

    Raises
    ------
    ExitprintError
        If the environment holds what cannot be used, or a token would go over an unencrypted connection.
    """

    def __init__(self, address: Address, timeout: float, pace: Pace, headers: dict[str, str] | None = None) -> None:
        self.pace = pace
        self._name = address.origin
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._proxy = proxy_for(address)
        sent = {"accept-encoding": "identity", **(headers or {}), **credentials(address)}
        try:
            self._client = httpx.Client(
                headers=[(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
                timeout=timeout,
                verify=certificates() if address.encrypted else False,
                proxy=self._proxy.url if self._proxy else None,
                trust_env=False,
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None),
            )
            self._client.build_request("GET", address.origin)
        except (httpx.InvalidURL, ValueError) as error:
            raise ExitprintError(
                f"{address.server!r} can be no host and port ({error}): correct the address."
            ) from error

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def exchange(
        self,
        method: str,
        url: str,
        content: bytes = b"",
        headers: dict[str, str] | None = None,
        also: frozenset[int] = frozenset(),
    ) -> Reply:
        """Send a request and read the answer whole; after a fault that may pass, try again.

        Statuses in `also` are taken for answers as 200 is.

        Raises `ExitprintError` if there is no usable answer within the patience, or the server refuses, redirects, or
        sends too much; `BudgetSpent` if the budget allows no further request.
        """
        request = self._client.build_request(method, url, content=content or None, headers=headers)
        reply, at_once = self.pace.insist(lambda: self._once(request, len(content), also))
        return reply if at_once else replace(reply, seconds=None)

    def _once(self, request: httpx.Request, sent: int, also: frozenset[int]) -> Reply:
        self.pace.bytes_sent += sent
        exchange = _Exchange()
        exchange.socket = self._socket
        request.extensions = {**request.extensions, "trace": exchange}
        late = False

        def end() -> None:
            nonlocal late
            late = True
            if exchange.socket is not None:
                with suppress(OSError):
                    exchange.socket.shutdown(socket.SHUT_RDWR)

        try:
            with deadline(self._timeout, end), _no_collection():
                response = self._client.send(request, stream=True)
                try:
                    body = self._read(response)
                finally:
                    response.close()
        except httpx.TransportError as error:
            if late or isinstance(error, httpx.TimeoutException):
                raise Fault(f"did not answer within {self._timeout:g} seconds") from error
            raise self._why(error) from error
        finally:
            self._socket = exchange.socket
        if late:
            raise Fault(f"did not answer within {self._timeout:g} seconds")
        self.pace.reached = True
        if response.status_code not in also:
            self._check_status(response, body)
        return Reply(response.status_code, response.headers, body, exchange.seconds)

    def _why(self, error: httpx.TransportError) -> Exception:
        """What to say of an exchange that failed below HTTP; faults that cannot pass end the asking."""
        text = printable(str(error)) or type(error).__name__
        if "certificate is not valid for" in text:
            return ExitprintError(
                f"the certificate of {self._name} is another host's ({text}): "
                "use the host name that it was made for, or ask whether this is the right server."
            )
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return ExitprintError(
                f"the certificate of {self._name} cannot be verified ({text}): "
                "set SSL_CERT_FILE to the authority that signed it."
            )
        if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
            return ExitprintError(f"{self._name} does not speak TLS: use an http address if you may.")
        if isinstance(error, httpx.RemoteProtocolError) and "illegal request line" in text:
            return ExitprintError(
                f"{self._name} does not answer in HTTP/1: if gRPC is spoken there, give grpc://host:port/NAME, "
                "or the port for REST; if TLS is, an https address."
            )
        if self._proxy:
            return Fault(f"could not be asked through the proxy that {self._proxy.variable} names ({text})")
        return Fault(f"could not be asked ({text})")

    def _read(self, response: httpx.Response) -> bytes:
        announced = response.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > LARGEST_ANSWER:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_raw():
            size += len(chunk)
            self.pace.bytes_received += len(chunk)
            if size > LARGEST_ANSWER:
                raise self._too_large()
            chunks.append(chunk)
        return b"".join(chunks)

    def _too_large(self) -> ExitprintError:
        return ExitprintError(
            f"{self._name} answers with more than {LARGEST_ANSWER >> 20} MiB, which no classification needs: "
            "the answer was not read."
        )

    def _check_status(self, response: httpx.Response, body: bytes) -> None:
        status = response.status_code
        if status in PASSING:
            text = "is asked too often (429)" if status == 429 else f"answered with status {status}"
            pause = _retry_after(response.headers.get("retry-after"))
            raise Fault(text, pause, busy=True if status == 429 else None if status == 503 else False)
        if response.has_redirect_location or 300 <= status < 400:
            raise ExitprintError(
                f"{self._name} redirects to {printable(response.headers.get('location', 'another place'))}, which is "
                "not followed: if you trust that address, give it as the suspect."
            )
        if status in (401, 403):
            raise ExitprintError(
                f"{self._name} refuses access ({status}): "
                f"set {TOKEN_VARIABLE} or {HEADERS_VARIABLE} in the environment."
            )
        if status == 407 and self._proxy:
            raise ExitprintError(
                f"the proxy that {self._proxy.variable} names wants a user name and password (407): put them there."
            )
        if status == 404:
            raise ExitprintError(f"{self._name} has no {response.request.url.path}: check the name of the model.")
        if status == 413:
            raise ExitprintError(
                f"{self._name} takes no requests of this size (413): use less amplification, or send smaller images."
            )
        if status != 200:
            why = printable(body[:200].decode(errors="replace"))
            raise ExitprintError(f"{self._name} refused a request with status {status}: {why}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ExitprintError(f"{self._name} answers compressed although asked not to, which is not supported.")


def _retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
