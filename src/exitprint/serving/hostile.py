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
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread, Timer
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork, load_network
from exitprint.serving.process import in_process_of_its_own
from exitprint.suspects.in_process import single_thread
from exitprint.suspects.through import Through

Answers = Literal["probabilities", "labels", "logits"]


@dataclass(frozen=True)
class Trouble:
    """One way to misbehave.

    Attributes
    ----------
    does
        What the server does, with `amount` in it.
    amount
        How much of it by default.
    """

    does: str
    amount: float = 0.0


TROUBLES = {
    "none": Trouble("answers as well as it can"),
    "constant-time": Trouble("pads every answer to {amount:g} ms", 50.0),
    "uniform-delay": Trouble("delays every answer by 0 to {amount:g} ms, at random", 20.0),
    "jitter": Trouble("delays every answer by a Gaussian time of {amount:g} ms standard deviation", 5.0),
    "heavy-tail": Trouble("delays every answer by a Pareto time of {amount:g} ms standard deviation", 5.0),
    "cache": Trouble("keeps answers, and gives repeated ones at once"),
    "load": Trouble("works for other clients too, {amount:g} requests a second", 50.0),
    "slow-start": Trouble("takes a second more for its first {amount:g} answers", 3.0),
    "rate-limit": Trouble("says 429 and Retry-After to more than {amount:g} requests a second", 50.0),
    "cut": Trouble("cuts the connection in the middle of every {amount:g}th answer", 10.0),
    "restart": Trouble("dies for a second after every {amount:g} requests", 40.0),
    "jpeg": Trouble("re-encodes images as JPEG of quality {amount:g}", 75.0),
    "resize": Trouble("shrinks images to {amount:g} % of their side, and back", 50.0),
    "wrong-shape": Trouble("answers with three classes more than it declares"),
    "nan": Trouble("answers NaN"),
    "redirect": Trouble("redirects to another host"),
    "huge": Trouble("announces an answer of 10 GiB, and begins to send it"),
    "endless": Trouble("never stops answering"),
    "drip": Trouble("sends its header byte by byte, one in {amount:g} ms", 100.0),
    "silent": Trouble("takes the request and never answers"),
}
DEAD_SECONDS = 1.0
"""How long a server that restarts is away."""
LONGEST_DELAY = 2.0
"""In seconds; a heavy tail has no end of its own."""
PARETO_SHAPE = 2.5
PARETO_DEVIATION = (PARETO_SHAPE / ((PARETO_SHAPE - 1) ** 2 * (PARETO_SHAPE - 2))) ** 0.5
"""Standard deviation of a Pareto distribution of this shape, by which delays are scaled to the wanted one."""
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
    """Serve a network file from another process, misbehaving, at a free port of 127.0.0.1 until the block ends.

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

    Yields
    ------
    str
        The model's address.

    Raises
    ------
    ExitprintError
        If there is no such trouble, or the server does not start.
    """
    with in_process_of_its_own(_serve, (Path(network), _known(trouble), amount, answers, seed, lifetime)) as url:
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
    operator = Operator(network, _known(trouble), amount, answers, seed)
    addresses: SimpleQueue[str] = SimpleQueue()
    thread = Thread(target=operator.serve, args=(addresses.put,), daemon=True)
    thread.start()
    try:
        yield addresses.get(timeout=10)
    finally:
        operator.stop()
        thread.join()


def _known(trouble: str) -> str:
    if trouble not in TROUBLES:
        raise ExitprintError(f"unknown trouble {trouble!r}: use one of {', '.join(TROUBLES)}.")
    return trouble


def _serve(
    path: Path,
    trouble: str,
    amount: float | None,
    answers: Answers,
    seed: int,
    lifetime: float,
    announce: Callable[[str], None],
) -> None:
    operator = Operator(load_network(path), trouble, amount, answers, seed)
    end = Timer(lifetime, operator.stop)
    end.daemon = True
    end.start()
    with single_thread():
        operator.serve(announce)


class Operator:
    """Whoever runs the server: what is done to the images, to the answer, and to its time."""

    def __init__(
        self, network: MultiExitNetwork, trouble: str, amount: float | None, answers: Answers, seed: int
    ) -> None:
        self.network = network
        self.trouble = trouble
        self.amount = TROUBLES[trouble].amount if amount is None else amount
        self.answers = answers
        self.way = {"jpeg": f"jpeg:{self.amount:.0f}", "resize": f"resize:{self.amount / 100:.4f}"}.get(trouble)
        self.requests = count(1)
        self._rng = np.random.default_rng(seed)
        self._kept: dict[bytes, list[tuple[str, np.ndarray]]] = {}
        self._working = Lock()
        self._tokens = max(1.0, self.amount)
        self._refilled = time.monotonic()
        self._stopped = Event()
        self._server: _Server | None = None

    def serve(self, announce: Callable[[str], None]) -> None:
        """Serve until `stop` is called; a server that dies comes back at the same port."""
        if self.trouble == "load":
            Thread(target=self._work_for_others, daemon=True).start()
        port = 0
        while not self._stopped.is_set():
            with _Server(self, port) as self._server:
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

    def allows(self) -> bool:
        """Whether the rate limit, a bucket of one second's tokens, has room for a request."""
        if self.trouble != "rate-limit":
            return True
        now = time.monotonic()
        self._tokens = min(max(1.0, self.amount), self._tokens + (now - self._refilled) * self.amount)
        self._refilled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def answer(self, x: Tensor, number: int) -> list[tuple[str, np.ndarray]]:
        """Named outputs for images (batch, channels, height, width), returned when it is time to send them."""
        start = time.perf_counter()
        key = x.numpy().tobytes() if self.trouble == "cache" else b""
        outputs = self._kept.get(key) or self._computed(x)
        if self.trouble == "cache":
            self._kept[key] = outputs
        delay = self.delay(number, time.perf_counter() - start)
        if delay > 0:
            time.sleep(min(delay, LONGEST_DELAY))
        return outputs

    def _computed(self, x: Tensor) -> list[tuple[str, np.ndarray]]:
        with self._working:
            prediction = self.network.predict(Through(self.way)(x) if self.way else x)
        probabilities = prediction.probabilities.numpy()
        if self.trouble == "nan":
            probabilities = np.full_like(probabilities, np.nan)
        if self.trouble == "wrong-shape":
            probabilities = np.pad(probabilities, ((0, 0), (0, 3)))
        if self.answers == "labels":
            return [("label", prediction.labels.numpy())]
        if self.answers == "logits":
            return [("logits", np.log(probabilities) + np.float32(1))]
        return [("probabilities", probabilities), ("label", prediction.labels.numpy())]

    def delay(self, number: int, spent: float) -> float:
        """Seconds to wait before answering request `number`, which took `spent` seconds so far."""
        milliseconds = self.amount / 1000
        match self.trouble:
            case "constant-time":
                return milliseconds - spent
            case "uniform-delay":
                return self._rng.uniform(0, milliseconds)
            case "jitter":
                return self._rng.normal(3 * milliseconds, milliseconds)
            case "heavy-tail":
                return self._rng.pareto(PARETO_SHAPE) * milliseconds / PARETO_DEVIATION
            case "slow-start":
                return 1.0 if number <= self.amount else 0.0
        return 0.0

    def _work_for_others(self) -> None:
        generator = torch.Generator().manual_seed(int(self._rng.integers(2**31)))
        with torch.inference_mode():
            while not self._stopped.wait(self._rng.exponential(1 / self.amount)):
                x = torch.rand(1, *self.network.input_shape, generator=generator)
                with self._working:
                    self.network.predict(x)


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
