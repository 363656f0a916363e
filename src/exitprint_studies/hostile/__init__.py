"""A server that misbehaves in one chosen way, to see what a verification makes of it.

It speaks the Open Inference Protocol v2 with nothing but the standard library, since much of what it does wrong is
below what a server's framework would let through. It listens at 127.0.0.1 only and ends by itself.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread, Timer
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork, load_network
from exitprint.serving.process import in_process_of_its_own
from exitprint.threads import single_thread
from exitprint_studies.hostile.operators import Answers, Operator, known

DEAD_SECONDS = 1.0
"""How long a server that restarts is away."""
LARGEST_REQUEST = 64 * 2**20
ENDLESS_BYTES = 2**30
"""After so many, an answer without end ends."""


@contextmanager
def misbehaving(
    network: str | os.PathLike[str],
    trouble: str = "none",
    amount: float | None = None,
    *,
    answers: Answers = "probabilities",
    seed: int = 0,
    lifetime: float = 1800.0,
) -> Iterator[str]:
    """As `exitprint.serving.running`, by a server that misbehaves.

    Parameters
    ----------
    network
        A network's file.
    trouble, amount
        What the server does wrong, by its name in `TROUBLES`, and how much of it.
    answers
        What it answers with.
    seed
        Of whatever it does at random.
    lifetime
        Seconds after which it ends in any case.
    """
    with in_process_of_its_own(_serve, (Path(network), known(trouble), amount, answers, seed, lifetime)) as url:
        yield url


@contextmanager
def misbehaving_here(
    network: MultiExitNetwork,
    trouble: str = "none",
    amount: float | None = None,
    *,
    answers: Answers = "probabilities",
    seed: int = 0,
) -> Iterator[str]:
    """As `misbehaving`, from a thread of this process: at hand at once, and of no use where time is measured."""
    service = Service(Operator(network, known(trouble), amount, answers, seed))
    addresses: SimpleQueue[str] = SimpleQueue()
    thread = Thread(target=service.serve, args=(addresses.put,), daemon=True)
    thread.start()
    try:
        yield addresses.get(timeout=10)
    finally:
        service.stop()
        thread.join()


def _serve(
    path: Path,
    trouble: str,
    amount: float | None,
    answers: Answers,
    seed: int,
    lifetime: float,
    announce: Callable[[str], None],
) -> None:
    service = Service(Operator(load_network(path), trouble, amount, answers, seed))
    end = Timer(lifetime, service.stop)
    end.daemon = True
    end.start()
    with single_thread():
        service.serve(announce)


class Service:
    """An operator at a port of this machine, until it is stopped."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._stopped = Event()
        self._server: _Server | None = None

    def serve(self, announce: Callable[[str], None]) -> None:
        """Serve until `stop` is called; a server that dies comes back at the same port."""
        if self._operator.trouble == "load":
            Thread(target=self._operator.work_for_others, args=(self._stopped,), daemon=True).start()
        port = 0
        while not self._stopped.is_set():
            with _Server(self._operator, port) as self._server:
                if not port:
                    port = self._server.server_port
                    announce(f"http://127.0.0.1:{port}/v2/models/network")
                if self._stopped.is_set():
                    break
                self._server.serve_forever(poll_interval=0.02)
                self._server.hang_up()
            self._stopped.wait(DEAD_SECONDS)

    def stop(self) -> None:
        """End `serve`, from another thread."""
        self._stopped.set()
        if self._server is not None:
            self._server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, operator: Operator, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.operator = operator
        self.connections: set[socket.socket] = set()

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        network = self.server.operator.network
        if self.path == "/v2":
            self._send_json(200, {"name": "hostile", "version": "1", "extensions": ["binary_tensor_data"]})
        elif self.path == "/v2/models/network":
            outputs = {
                "probabilities": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, network.classes]}],
                "logits": [{"name": "logits", "datatype": "FP32", "shape": [-1, network.classes]}],
                "labels": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
            }[self.server.operator.answers]
            images = {"name": "images", "datatype": "FP32", "shape": [-1, *network.input_shape]}
            self._send_json(200, {"name": "network", "platform": "", "inputs": [images], "outputs": outputs})
        else:
            self._send_json(404, {"error": "not found"})

    def do_POST(self) -> None:
        operator = self.server.operator
        length = int(self.headers.get("content-length", "0"))
        if self.path != "/v2/models/network/infer" or length > LARGEST_REQUEST:
            self.close_connection = True
            return self._send_json(404, {"error": "not found"})
        body = self.rfile.read(length)
        number = next(operator.requests)
        if not operator.allows():
            return self._send(429, b"", {"retry-after": "1"})
        match operator.trouble:
            case "redirect":
                return self._send(307, b"", {"location": "http://elsewhere.example/v2/models/network/infer"})
            case "silent":
                return self._hang()
            case "huge":
                return self._send_zeros({"content-length": str(10 * 2**30)})
            case "endless":
                return self._send_zeros({"connection": "close"})
            case "drip":
                return self._drip(operator.amount / 1000)
        try:
            x = _images(body, int(self.headers["inference-header-content-length"]))
            outputs = operator.answer(x, number)
        except (ExitprintError, KeyError, TypeError, ValueError) as error:
            return self._send_json(400, {"error": str(error)})
        answer, json_length = _encoded(outputs)
        cut = operator.trouble == "cut" and number % operator.amount == 0
        self._send(200, answer, {"inference-header-content-length": str(json_length)}, cut)
        if operator.trouble == "restart" and number % operator.amount == 0:
            self.close_connection = True
            self.server.shutdown()

    def _send_json(self, status: int, content: Any) -> None:
        self._send(status, json.dumps(content).encode(), {"content-type": "application/json"})

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: bool = False) -> None:
        lines = [f"{name}: {value}\r\n" for name, value in {**headers, "content-length": str(len(body))}.items()]
        head = "".join([f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n", *lines, "\r\n"])
        self.wfile.write(head.encode() + (body[: len(body) // 2] if cut else body))
        self.close_connection = self.close_connection or cut

    def _send_zeros(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        for _ in range(ENDLESS_BYTES >> 16):
            self.wfile.write(bytes(1 << 16))

    def _drip(self, pause: float) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
        for _ in range(10_000):
            self.wfile.write(b"x")
            time.sleep(pause)

    def _hang(self) -> None:
        self.close_connection = True
        self.connection.settimeout(600)
        self.rfile.read(1)


def _images(body: bytes, length: int) -> Tensor:
    given = json.loads(body[:length])["inputs"][0]
    array = np.frombuffer(body[length:], np.float32).reshape(given["shape"])
    return torch.from_numpy(array.copy())


def _encoded(outputs: list[tuple[str, np.ndarray]]) -> tuple[bytes, int]:
    described, tensors = [], []
    for name, array in outputs:
        tensors.append(np.ascontiguousarray(array).tobytes())
        datatype = "INT64" if array.dtype.kind == "i" else "FP32"
        size = {"binary_data_size": len(tensors[-1])}
        described.append({"name": name, "datatype": datatype, "shape": list(array.shape), "parameters": size})
    start = json.dumps({"model_name": "network", "outputs": described}).encode()
    return start + b"".join(tensors), len(start)
