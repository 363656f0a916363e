"""A suspect on somebody else's server: the Open Inference Protocol v2 over REST (KServe, Triton, MLServer, …)."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
from pydantic import BaseModel, Field, ValidationError
from torch import Tensor

from exitprint.errors import ExitprintError, require_extra
from exitprint.suspects.suspect import Answer
from exitprint.suspects.tensors import DATATYPES, ImageInput, read_outputs, together

BINARY_EXTENSION = "binary_tensor_data"
JSON_LENGTH = "Inference-Header-Content-Length"

M = TypeVar("M", bound=BaseModel)


class _Tensor(BaseModel):
    name: str = Field(max_length=200)
    datatype: str = Field(max_length=20)
    shape: list[int] = Field(max_length=16)


class _Model(BaseModel):
    inputs: list[_Tensor] = []
    outputs: list[_Tensor] | None = None


class _Output(_Tensor):
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class _Inference(BaseModel):
    outputs: list[_Output]


class KServeSuspect:
    """A model behind `http(s)://host/v2/models/NAME[/versions/V]`.

    Names, shapes and types of its tensors are read from the server; binary tensors are used where the server offers
    them. One connection is kept alive. `EXITPRINT_TOKEN` in the environment is sent as a bearer token,
    `EXITPRINT_HEADERS` (a JSON object of strings) as further headers. Certificates are verified, redirects refused.

    Parameters
    ----------
    url
        Address of the model.
    amplification
        How often an input is repeated in one request: the network's share of the time grows so many times, the
        path's jitter stays.
    rate
        Most requests per second.
    budget
        Most requests in all, those for metadata and repeated ones included.
    timeout
        Seconds that one exchange may take in all.
    patience
        Seconds during which a request is tried again after faults, waits that the server asked for included.

    Attributes
    ----------
    image
        The model's input as declared.
    requests, bytes_sent, bytes_received
        What it has cost so far (bytes of bodies, without HTTP headers).

    Raises
    ------
    ExitprintError
        If the address is no such model, the server cannot be reached, or it takes no images.
    """

    def __init__(
        self,
        url: str,
        *,
        amplification: int = 1,
        rate: float | None = None,
        budget: int | None = None,
        timeout: float = 30.0,
        patience: float = 60.0,
    ) -> None:
        if amplification < 1 or not (rate is None or rate > 0) or not (budget is None or budget > 0):
            raise ExitprintError("amplification, rate and budget must be positive: correct them.")
        require_extra("httpx", "remote")
        from exitprint.suspects.connection import Connection

        address = urlsplit(url)
        before, found, model = address.path.partition("/v2/models/")
        parts = model.strip("/").split("/")
        versioned = len(parts) == 3 and parts[1] == "versions"
        if address.scheme not in ("http", "https") or not found or not all(parts) or not (len(parts) == 1 or versioned):
            raise ExitprintError(
                f"{url!r} is no address of a model: give http(s)://host/v2/models/NAME, or .../NAME/versions/V."
            )
        if "@" in address.netloc:
            raise ExitprintError("the address holds a user name: put credentials into EXITPRINT_HEADERS instead.")
        self._server = f"{address.scheme}://{address.netloc}{before}/v2"
        self._model = f"{self._server}/models/{'/'.join(parts)}"
        self._amplification = amplification
        self._connection = Connection(address, timeout, patience, rate, budget)
        metadata = _parsed(_Model, self._connection.exchange("GET", self._model).body)
        if len(metadata.inputs) != 1:
            raise ExitprintError(
                f"the model declares {len(metadata.inputs)} inputs where one, an image, is needed: "
                "ask the operator for a complete description of the model, or ask another one."
            )
        declared = metadata.inputs[0]
        self.image = ImageInput(declared.name, declared.datatype, tuple(declared.shape))
        if self.image.batch not in (-1, 1, amplification):
            raise ExitprintError(
                f"the model takes exactly {self.image.batch} images at once: use amplification {self.image.batch}."
            )
        if self.image.batch == 1 and amplification > 1:
            raise ExitprintError("the model takes one image at a time, so nothing can be amplified: do without.")
        self._outputs = {output.name: tuple(output.shape) for output in metadata.outputs or []}
        self._binary = self._offers_binary()

    @property
    def requests(self) -> int:
        """Requests sent so far, of all kinds."""
        return self._connection.requests

    @property
    def bytes_sent(self) -> int:
        """Bytes of the bodies sent so far."""
        return self._connection.bytes_sent

    @property
    def bytes_received(self) -> int:
        """Bytes of the bodies received so far."""
        return self._connection.bytes_received

    @property
    def amplification(self) -> int:
        """How often an image is sent in one request."""
        return self._amplification

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def limit(self, requests: int) -> None:
        """Allow so many requests in all, those already made included; a smaller budget stays."""
        budget = self._connection.budget
        self._connection.budget = requests if budget is None else min(budget, requests)

    def floor(self) -> float:
        """Seconds of the cheapest request, for the model's metadata: what path and server add to every answer."""
        return self._connection.exchange("GET", self._model).seconds

    def ask(self, x: Tensor) -> Answer:
        """Answer and say how long the exchange took; see `Answer.seconds` for when there is no usable time.

        A model that takes one image at a time is asked once per image.

        Raises
        ------
        ExitprintError
            If the server fails for good, refuses, or answers nonsense.
        BudgetSpent
            If the budget allows no further request.
        """
        if self.image.batch == -1 or len(x) == 1:
            return self._ask(x)
        return together([self._ask(x[index : index + 1]) for index in range(len(x))])

    def _ask(self, x: Tensor) -> Answer:
        images = self.image.encode(x.repeat_interleave(self._amplification, 0))
        content, headers = _request(self.image, images, self._binary)
        reply = self._connection.exchange("POST", f"{self._model}/infer", content, headers)
        outputs = self._read(reply.body, reply.headers.get(JSON_LENGTH))
        labels, probabilities = read_outputs(outputs, len(x) * self._amplification)
        k = self._amplification
        return Answer(
            np.full(len(x), reply.seconds),
            "measured",
            labels if labels is None else labels[::k],
            probabilities if probabilities is None else probabilities[::k],
        )

    def _offers_binary(self) -> bool:
        try:
            body = self._connection.exchange("GET", self._server).body
            extensions = json.loads(body)["extensions"]
        except (ExitprintError, ValueError, KeyError, TypeError, RecursionError):
            return False
        return isinstance(extensions, list) and BINARY_EXTENSION in extensions

    def _read(self, body: bytes, json_length: str | None) -> list[np.ndarray]:
        length = int(json_length) if json_length and json_length.isdecimal() else len(body)
        rest = memoryview(body)[length:]
        arrays = []
        for output in _parsed(_Inference, body[:length]).outputs:
            size = (output.parameters or {}).get("binary_data_size")
            binary: memoryview | None = None
            if size is not None:
                if not isinstance(size, int) or not 0 <= size <= len(rest):
                    raise _nonsense(f"output {output.name!r} is not as long as announced")
                binary, rest = rest[:size], rest[size:]
            if output.datatype in DATATYPES:
                arrays.append(_array(output, binary))
                self._check_shape(output)
        return arrays

    def _check_shape(self, output: _Output) -> None:
        declared = self._outputs.get(output.name)
        if declared is None or len(declared) != len(output.shape):
            return
        if any(d not in (-1, s) for d, s in list(zip(declared, output.shape, strict=True))[1:]):
            raise _nonsense(f"output {output.name!r} has shape {output.shape} where {list(declared)} was declared")


def _request(image: ImageInput, images: np.ndarray, binary: bool) -> tuple[bytes, dict[str, str]]:
    tensor: dict[str, Any] = {"name": image.name, "datatype": image.datatype, "shape": list(images.shape)}
    if not binary:
        text = f'{{"inputs": [{json.dumps(tensor)[:-1]}, "data": [{_numbers(images)}]}}]}}'
        return text.encode(), {"content-type": "application/json"}
    data = images.astype(images.dtype.newbyteorder("<"), copy=False).tobytes()
    header = {
        "inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}],
        "parameters": {"binary_data_output": True},
    }
    start = json.dumps(header).encode()
    return start + data, {"content-type": "application/octet-stream", JSON_LENGTH: str(len(start))}


def _numbers(images: np.ndarray) -> str:
    """All of the same length: else an image's brightness would show in the time that reading it takes."""
    return ",".join(np.char.mod("%3d" if images.dtype == np.uint8 else "%.12f", images.ravel()))


def _array(output: _Output, binary: memoryview | None) -> np.ndarray:
    dtype = np.dtype(DATATYPES[output.datatype]).newbyteorder("<")
    try:
        flat = np.asarray(output.data, dtype).ravel() if binary is None else np.frombuffer(binary, dtype)
        if min(output.shape, default=0) < 0 or math.prod(output.shape) != flat.size:
            raise ValueError
        return flat.reshape(output.shape).astype(dtype.newbyteorder("="), copy=False)
    except (ValueError, TypeError, OverflowError) as error:
        raise _nonsense(f"output {output.name!r} does not hold what its shape and type say") from error


def _parsed(model: type[M], body: bytes) -> M:
    try:
        return model.model_validate(json.loads(body))
    except (ValidationError, ValueError, RecursionError) as error:
        raise _nonsense("it is not the JSON of the Open Inference Protocol v2") from error


def _nonsense(what: str) -> ExitprintError:
    return ExitprintError(f"the suspect's answer cannot be used: {what}; check that the address is a KServe v2 model.")
