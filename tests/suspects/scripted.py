"""A server that answers what a test says, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import numpy as np

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Model:
    """A scripted model: its metadata, and what it answers to the n-th request for inference."""

    inputs: list[dict[str, Any]] = field(
        default_factory=lambda: [{"name": "images", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]
    )
    outputs: list[dict[str, Any]] = field(default_factory=list)
    extensions: list[str] = field(default_factory=list)
    infer: Callable[[int, dict[str, Any]], Reply] = lambda number, request: answering([[0.25, 0.75]], request)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    url: str = ""

    def reply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        self.asked.append((method, path, headers, body))
        if method == "POST":
            number = sum(asked[0] == "POST" for asked in self.asked)
            return self.infer(number, json.loads(body))
        if path.endswith("/v2"):
            return said({"name": "scripted", "version": "1", "extensions": self.extensions})
        return said({"name": "m", "platform": "", "inputs": self.inputs, "outputs": self.outputs})


def said(content: Any) -> Reply:
    """A JSON answer."""
    return 200, {"content-type": "application/json"}, json.dumps(content).encode()


def answering(rows: Any, request: dict[str, Any]) -> Reply:
    """The first of `rows` for every image of the request, as one FP32 output."""
    images = request["inputs"][0]["shape"][0]
    array = np.repeat(np.asarray(rows, np.float32), images, 0)
    output = {"name": "scores", "datatype": "FP32", "shape": list(array.shape), "data": array.ravel().tolist()}
    return said({"model_name": "m", "outputs": [output]})


@contextmanager
def hosted(model: Model, context: ssl.SSLContext | None = None) -> Iterator[Model]:
    """Serve a scripted model at 127.0.0.1 from a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            model.connections.add(self.client_address)
            status, extra, content = model.reply(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in {**extra, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https" if context else "http"
        model.url = f"{scheme}://127.0.0.1:{server.server_port}/v2/models/m"
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield model
        finally:
            server.shutdown()
            thread.join()
