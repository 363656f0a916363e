"""A suspect on somebody else's server: the Open Inference Protocol v2 over REST (KServe, Triton, MLServer, …)."""

from __future__ import annotations

import base64
import json
from typing import Any, TypeVar

import numpy as np
from pydantic import AliasPath, BaseModel, Field

from exitprint.errors import ExitprintError, require_extra, told
from exitprint.suspects.address import model_at, taken_apart
from exitprint.suspects.datatypes import DATATYPES, ENCODED, as_bytes, numbers_of
from exitprint.suspects.inputs import Declared
from exitprint.suspects.options import SuspectOptions, options_of
from exitprint.suspects.server_clock import Statistics
from exitprint.suspects.v2 import Outcome, Tensors, V2Suspect, nonsense, numbers_in

BINARY_EXTENSION = "binary_tensor_data"
JSON_LENGTH = "Inference-Header-Content-Length"
NOT_DESCRIBED = frozenset({400, 404, 405, 501})
"""Statuses with which servers refuse a description of a model that they answer for."""

M = TypeVar("M", bound=BaseModel)


class _Tensor(BaseModel):
    name: str = Field(max_length=200)
    datatype: str = Field(max_length=20)
    shape: list[int] = Field(max_length=16)

    @property
    def declared(self) -> Declared:
        return Declared(self.name, self.datatype.removeprefix("TYPE_"), tuple(self.shape))


class _Model(BaseModel):
    inputs: list[_Tensor] | None = None
    outputs: list[_Tensor] | None = None


class _Output(_Tensor):
    parameters: dict[str, Any] | None = None
    data: list[Any] | None = None


class _Inference(BaseModel):
    outputs: list[_Output]


class _Spent(BaseModel):
    count: int = Field(validation_alias=AliasPath("inference_stats", "compute_infer", "count"))
    ns: int = Field(validation_alias=AliasPath("inference_stats", "compute_infer", "ns"))


class _Statistics(BaseModel):
    model_stats: list[_Spent] = Field(min_length=1)


class KServeSuspect(V2Suspect):
    """A model behind `http(s)://host/v2/models/NAME[/versions/V]`.

    Names, shapes and types of its tensors are read from the server, where it describes them and the options do not;
    binary tensors are used where the server offers them. One connection is kept alive. `EXITPRINT_TOKEN` in the
    environment is sent as a bearer token, `EXITPRINT_HEADERS` (a JSON object of strings) as further headers.
    Certificates are verified, redirects refused.

    Parameters
    ----------
    url
        Address of the model; a query behind it is sent with every request.
    **options
        See `SuspectOptions`.

    Attributes
    ----------
    image
        The model's input that takes the image.
    requests, bytes_sent, bytes_received
        What it has cost so far (bytes of bodies, without HTTP headers).

    Raises
    ------
    ExitprintError
        If the address is no such model, the server cannot be reached, or it takes no images.
    """

    def __init__(self, url: str, **options: Any) -> None:
        said: SuspectOptions = options_of(options)
        require_extra("httpx", "remote")
        from exitprint.suspects.connection import Connection

        address = taken_apart(url)
        before, name, version = model_at(address, url)
        super().__init__(address, said)
        self._query = f"?{address.query}" if address.query else ""
        self._server = f"{address.origin}{before}/v2"
        self._model = f"{self._server}/models/{name}" + (f"/versions/{version}" if version else "")
        self._connection = Connection(address, said.timeout, self.pace)
        self._outputs: dict[str, tuple[int, ...]] = {}
        self._statistics = Statistics()
        try:
            self._declare(self._described(), said)
            self._binary = self._offers_binary()
            if said.clock is not None and said.clock.source == "statistics":
                self._read_statistics()
        except BaseException:
            self.close()
            raise

    def floor(self) -> float | None:
        """Seconds of the cheapest request, for the model's metadata: what path and server add to every answer."""
        return self._connection.exchange("GET", self._model + self._query, also=NOT_DESCRIBED).seconds

    def _described(self) -> list[Declared]:
        reply = self._connection.exchange("GET", self._model + self._query, also=NOT_DESCRIBED)
        if reply.status != 200 and self.options.input_name is None:
            raise ExitprintError(
                f"{self.pace.name} does not describe this model (status {reply.status}): check the name of the model; "
                "if it is right, state the input that takes the image (--input-name, --input-type and --input-shape)."
            )
        if reply.status != 200 or not reply.body.strip():
            return []
        metadata = _parsed(_Model, reply.body)
        self._outputs = {output.name: tuple(output.shape) for output in metadata.outputs or []}
        return [each.declared for each in metadata.inputs or []]

    def _infer(self, tensors: Tensors) -> Outcome:
        content, headers = _request(tensors, self._binary)
        reply = self._connection.exchange("POST", f"{self._model}/infer{self._query}", content, headers)
        outputs = self._read(reply.body, reply.headers.get(JSON_LENGTH))
        clock = self.options.clock
        if clock is None:
            return Outcome(outputs, reply.seconds)
        reported = self._read_statistics() if clock.source == "statistics" else clock.read(reply.headers)
        return Outcome(outputs, None if reply.seconds is None else reported)

    def _read_statistics(self) -> float | None:
        reply = self._connection.exchange("GET", f"{self._model}/stats{self._query}")
        spent = _parsed(_Statistics, reply.body).model_stats
        return self._statistics.since(sum(each.count for each in spent), sum(each.ns for each in spent))

    def _offers_binary(self) -> bool:
        try:
            body = self._connection.exchange("GET", self._server + self._query).body
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
                    raise ExitprintError(nonsense(f"output {output.name!r} is not as long as announced"))
                binary, rest = rest[:size], rest[size:]
            if output.datatype in DATATYPES:
                content = output.data if binary is None else binary
                arrays.append(numbers_in(output.name, content, output.datatype, output.shape))
                self._check_shape(output)
        return arrays

    def _check_shape(self, output: _Output) -> None:
        declared = self._outputs.get(output.name)
        if declared is None or len(declared) != len(output.shape) or len(declared) != 2:
            return
        if any(d not in (-1, s) for d, s in list(zip(declared, output.shape, strict=True))[1:]):
            raise ExitprintError(
                nonsense(f"output {output.name!r} has shape {output.shape} where {list(declared)} was declared")
            )


def _request(tensors: Tensors, binary: bool) -> tuple[bytes, dict[str, str]]:
    if not binary:
        text = ", ".join(_as_json(declared, array) for declared, array in tensors)
        return f'{{"inputs": [{text}]}}'.encode(), {"content-type": "application/json"}
    data = [as_bytes(array) for _, array in tensors]
    inputs = [
        {**_head(declared), "parameters": {"binary_data_size": len(each)}}
        for (declared, _), each in zip(tensors, data, strict=True)
    ]
    start = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    return start + b"".join(data), {"content-type": "application/octet-stream", JSON_LENGTH: str(len(start))}


def _head(declared: Declared) -> dict[str, Any]:
    return {"name": declared.name, "datatype": declared.datatype, "shape": list(declared.shape)}


def _as_json(declared: Declared, array: np.ndarray) -> str:
    head = _head(declared)
    if declared.datatype != ENCODED:
        return f'{json.dumps(head)[:-1]}, "data": [{_numbers(numbers_of(array, declared.datatype))}]}}'
    texts = [each if isinstance(each, str) else base64.b64encode(each).decode() for each in array.ravel()]
    if any(isinstance(each, bytes) for each in array.ravel()):
        head["parameters"] = {"content_type": "base64"}
    return json.dumps({**head, "data": texts})


def _numbers(array: np.ndarray) -> str:
    """All of the same length: else an image's brightness would show in the time that reading it takes."""
    if array.dtype == np.bool_:
        return ",".join("true" if each else "false" for each in array.ravel())
    if array.dtype.kind in "iu":
        return ",".join(np.char.mod("%3d", array.ravel()))
    numbers = array.ravel().astype(np.float64)
    return ",".join(np.char.mod("%.12f" if ((numbers >= 0) & (numbers < 10)).all() else "%17.10f", numbers))


def _parsed(model: type[M], body: bytes) -> M:
    with told(nonsense("it is not the JSON of the Open Inference Protocol v2"), (ValueError, RecursionError)):
        return model.model_validate(json.loads(body))
