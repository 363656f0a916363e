"""One kept-alive HTTP connection to a server that is not trusted: timed, bounded, and tried again after faults.

Imported only where the extra `remote` is there.
"""

from __future__ import annotations

import gc
import json
import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import Any
from urllib.parse import SplitResult

import httpx

from exitprint.errors import ExitprintError
from exitprint.suspects.deadline import deadline
from exitprint.suspects.suspect import BudgetSpent

TOKEN_VARIABLE = "EXITPRINT_TOKEN"
HEADERS_VARIABLE = "EXITPRINT_HEADERS"
LARGEST_ANSWER = 64 * 2**20
RETRIES = 8
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes
    ----------
    headers, body
        Of the answer, whose status was 200.
    seconds
        From the first byte sent to the last byte received; NaN when the request had to be repeated, since a server
        may have begun, finished or kept the work of an earlier try.
    """

    headers: httpx.Headers
    body: bytes
    seconds: float


class _Fault(Exception):  # noqa: N818
    """Something that may pass; `pause` is how long the server asked to wait, in seconds."""

    def __init__(self, text: str, pause: float | None = None) -> None:
        super().__init__(text)
        self.pause = pause


class _Exchange:
    """Listens to what the HTTP client does, for the moments that are timed and for the socket."""

    def __init__(self) -> None:
        self.sent = self.received = math.nan
        self.socket: socket.socket | None = None

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
        Scheme, host and port are used.
    timeout
        Seconds that one exchange may take in all.
    patience
        Seconds during which a request is tried again after faults, waits that the server asked for included.
    rate
        Most requests per second.
    budget
        Most requests in all, repeated ones included.

    Raises
    ------
    ExitprintError
        If the environment's headers are unusable, or a token would go over an unencrypted connection.
    """

    def __init__(
        self, address: SplitResult, timeout: float, patience: float, rate: float | None, budget: int | None
    ) -> None:
        self.requests = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self._name = f"{address.scheme}://{address.netloc}"
        self._timeout = timeout
        self._patience = patience
        self._interval = 1 / rate if rate else 0.0
        self.budget = budget
        self._not_before = 0.0
        self._reached = False
        self._socket: socket.socket | None = None
        loopback = address.hostname in LOOPBACK
        self._client = httpx.Client(
            headers=_headers(private=address.scheme == "https" or loopback),
            timeout=timeout,
            mounts={"all://": None} if loopback else None,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None),
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def exchange(self, method: str, url: str, content: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """Send a request and read the answer whole; after a fault that may pass, try again.

        Raises
        ------
        ExitprintError
            If there is no usable answer within `patience`, or the server refuses, redirects, or sends too much.
        BudgetSpent
            If the budget allows no further request.
        """
        request = self._client.build_request(method, url, content=content or None, headers=headers)
        end = time.monotonic() + self._patience
        for attempt in range(RETRIES + 1):
            try:
                reply = self._once(request, len(content))
                return reply if attempt == 0 else Reply(reply.headers, reply.body, math.nan)
            except _Fault as fault:
                pause = fault.pause if fault.pause is not None else min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
                if fault.pause is not None and time.monotonic() + pause > end:
                    raise ExitprintError(
                        f"{self._name} {fault} and asks to wait {pause:.0f} seconds, longer than the "
                        f"{self._patience:.0f} seconds allowed: ask at a lower rate, or go on later."
                    ) from fault
                if not self._reached or attempt == RETRIES or time.monotonic() + pause > end:
                    raise ExitprintError(
                        f"{self._name} {fault}; given up after {attempt + 1} attempt(s): "
                        "check the address and that the server runs."
                    ) from fault
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, request: httpx.Request, sent: int) -> Reply:
        self._wait_for_turn()
        self.requests += 1
        self.bytes_sent += sent
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
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise ExitprintError(
                    f"the certificate of {self._name} cannot be verified ({_printable(str(error))}): "
                    "set SSL_CERT_FILE to the authority that signed it."
                ) from error
            if late or isinstance(error, httpx.TimeoutException):
                raise _Fault(f"did not answer within {self._timeout:g} seconds") from error
            raise _Fault(f"could not be asked ({_printable(str(error)) or type(error).__name__})") from error
        finally:
            self._socket = exchange.socket
        if late:
            raise _Fault(f"did not answer within {self._timeout:g} seconds")
        self._reached = True
        self._check_status(response, body)
        return Reply(response.headers, body, exchange.received - exchange.sent)

    def _wait_for_turn(self) -> None:
        if self.budget is not None and self.requests >= self.budget:
            raise BudgetSpent(f"the budget of {self.budget} requests is spent: allow more requests.")
        now = time.monotonic()
        if now < self._not_before:
            time.sleep(self._not_before - now)
        self._not_before = max(now, self._not_before) + self._interval

    def _read(self, response: httpx.Response) -> bytes:
        announced = response.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > LARGEST_ANSWER:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_raw():
            size += len(chunk)
            self.bytes_received += len(chunk)
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
            busy = "is asked too often (429)" if status == 429 else f"answered with status {status}"
            raise _Fault(busy, _retry_after(response.headers.get("retry-after")))
        if response.has_redirect_location or 300 <= status < 400:
            raise ExitprintError(
                f"{self._name} redirects to {_printable(response.headers.get('location', 'another place'))}, which is "
                "not followed: if you trust that address, give it as the suspect."
            )
        if status in (401, 403):
            raise ExitprintError(
                f"{self._name} refuses access ({status}): "
                f"set {TOKEN_VARIABLE} or {HEADERS_VARIABLE} in the environment."
            )
        if status == 404:
            raise ExitprintError(f"{self._name} has no {response.request.url.path}: check the name of the model.")
        if status != 200:
            why = _printable(body[:200].decode(errors="replace"))
            raise ExitprintError(f"{self._name} refused a request with status {status}: {why}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ExitprintError(f"{self._name} answers compressed although asked not to, which is not supported.")


def _headers(private: bool) -> dict[str, str]:
    headers = {"accept-encoding": "identity"}
    text = os.environ.get(HEADERS_VARIABLE)
    if text:
        try:
            custom = json.loads(text)
        except ValueError:
            custom = None
        if not isinstance(custom, dict) or not all(
            isinstance(value, str) and value.isprintable() for value in custom.values()
        ):
            raise ExitprintError(
                f'{HEADERS_VARIABLE} must be one JSON object of strings, such as {{"x-api-key": "..."}}: correct it.'
            )
        headers.update(custom)
    token = os.environ.get(TOKEN_VARIABLE)
    if token:
        if not private:
            raise ExitprintError(
                f"{TOKEN_VARIABLE} is set, and would be sent unencrypted: use an https address, or unset it."
            )
        headers["authorization"] = f"Bearer {token}"
    return headers


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


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:200])
