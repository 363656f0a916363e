"""A network behind the Open Inference Protocol v2 (REST), with the KServe SDK, really exiting early."""

from __future__ import annotations

import gc
import json
import logging
import re
import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch

from exitprint.errors import ExitprintError, require_extra
from exitprint.networks import MultiExitNetwork
from exitprint.suspects.through import Through
from exitprint.threads import single_thread

INPUT = "images"
LARGEST_BATCH = 4096
"""Images in one request, beyond which it is refused."""


def serve(
    network: MultiExitNetwork,
    name: str = "network",
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    show_exit: bool = False,
    through: Through | None = None,
    announce: Callable[[str], None] = partial(print, flush=True),
) -> None:
    """Serve a network until the process is told to stop (Ctrl-C, SIGTERM).

    It takes ``images`` (FP32 in [0, 1], shape (batch, channels, height, width)) and answers ``probabilities`` (FP32,
    (batch, classes)) and ``label`` (INT64, (batch,)), as JSON or as binary tensors. One request is worked on at a
    time, on one thread, in the process that holds the connection, and nothing is logged: its time is the network's
    time and as little else as possible.

    Parameters
    ----------
    network
        What answers; every input leaves at its exit.
    name
        Name of the model in the address.
    host, port
        Where to listen; port 0 takes a free one.
    show_exit
        Whether to answer ``exit`` (INT64, (batch,)) too, which gives away what timing would have to find out.
    through
        What is done to every image before the network sees it, as by a service that re-encodes what it is sent.
    announce
        Called once with the model's address as soon as requests are accepted.

    Raises
    ------
    ExitprintError
        If the KServe SDK is missing, the name is none, or the port is taken.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ExitprintError(f"{name!r} cannot be a model's name in an address: use letters, digits, '.', '_' and '-'.")
    kserve = _kserve()
    with (
        closing(_listening(host, port)) as listening,
        single_thread(),
        torch.inference_mode(),
        warnings.catch_warnings(action="ignore"),
    ):
        address = f"[{host}]" if ":" in host else host
        url = f"http://{address}:{listening.getsockname()[1]}/v2/models/{name}"
        server = _server(kserve, _model(kserve, network.eval(), name, show_exit, through), lambda: announce(url))
        gc.collect()
        gc.freeze()  # else a collection in the middle of an answer walks over every module that was imported
        server.run(sockets=[listening])


def _kserve() -> ModuleType:
    arguments, sys.argv = sys.argv, sys.argv[:1]  # the SDK parses the command line of whoever imports it
    try:
        kserve = require_extra("kserve", "serve")
    finally:
        sys.argv = arguments
    for logger in ("kserve", "uvicorn"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.access").disabled = True
    return kserve


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise ExitprintError(f"cannot listen at {host}:{port} ({error}): choose another host or port.") from error


def _model(kserve: ModuleType, network: MultiExitNetwork, name: str, show_exit: bool, through: Through | None) -> Any:
    channels, height, width = network.input_shape

    class Model(kserve.model.InferenceModel):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__(name)
            self.ready = True

        def get_input_types(self) -> list[dict[str, Any]]:
            return [{"name": INPUT, "datatype": "FP32", "shape": [-1, channels, height, width]}]

        def get_output_types(self) -> list[dict[str, Any]]:
            outputs = [
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, network.classes]},
                {"name": "label", "datatype": "INT64", "shape": [-1]},
            ]
            return [*outputs, {"name": "exit", "datatype": "INT64", "shape": [-1]}] if show_exit else outputs

        async def __call__(self, payload: Any, headers: Any = None, verb: Any = None) -> tuple[Any, dict[str, str]]:
            x = _images(kserve, payload, network.input_shape)
            prediction = network.predict(x if through is None else through(x))
            answers = {"probabilities": prediction.probabilities, "label": prediction.labels}
            if show_exit:
                answers["exit"] = prediction.exits
            outputs = []
            for output, tensor in answers.items():
                datatype = "FP32" if tensor.is_floating_point() else "INT64"
                outputs.append(kserve.InferOutput(output, list(tensor.shape), datatype, tensor.numpy()))
            response = kserve.InferResponse(
                payload.id or name,
                name,
                outputs,
                use_binary_outputs=payload.use_binary_outputs,
                requested_outputs=payload.request_outputs,
            )
            return response, {}

    return Model()


def _binary_request(kserve: ModuleType, body: bytes, length: int, model_name: str) -> Any:
    """What the SDK does too, except that it makes a list of the numbers, which takes longer than many a network."""
    from kserve.errors import InvalidInput
    from kserve.protocol.infer_type import RequestedOutput

    try:
        header = json.loads(body[:length])
        inputs, tensors = [], []
        for given in header["inputs"]:
            size = given["parameters"]["binary_data_size"]
            inputs.append(kserve.InferInput(given["name"], given["shape"], given["datatype"]))
            tensors.append(body[length : length + size])
            length += size
        outputs = [RequestedOutput(wanted["name"], wanted.get("parameters")) for wanted in header.get("outputs") or []]
        return kserve.InferRequest(
            model_name,
            inputs,
            header.get("id"),
            tensors,
            parameters=header.get("parameters"),
            request_outputs=outputs or None,
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInput("the request is not one of the binary tensor data extension") from error


def _images(kserve: ModuleType, payload: Any, input_shape: tuple[int, int, int]) -> torch.Tensor:
    from kserve.errors import InvalidInput

    if not isinstance(payload, kserve.InferRequest) or [given.name for given in payload.inputs] != [INPUT]:
        raise InvalidInput(f"one input named {INPUT!r} is needed")
    try:
        array = np.array(payload.inputs[0].as_numpy(), dtype=np.float32)
    except Exception as error:
        raise InvalidInput(f"{INPUT!r} does not hold what its shape says") from error
    if array.ndim != 4 or array.shape[1:] != input_shape or not 1 <= len(array) <= LARGEST_BATCH:
        raise InvalidInput(f"{INPUT!r} has shape {array.shape} where (1 to {LARGEST_BATCH}, *{input_shape}) is needed")
    if not np.isfinite(array).all():
        raise InvalidInput(f"{INPUT!r} holds NaN or infinity")
    return torch.from_numpy(array)


def _server(kserve: ModuleType, model: Any, started: Callable[[], None]) -> Any:
    from fastapi import FastAPI
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
    from kserve.protocol.rest.server import RESTServer

    class Data(DataPlane):
        def metadata(self) -> dict[str, Any]:
            said = super().metadata()
            return {**said, "extensions": [*said["extensions"], "binary_tensor_data"]}

        def decode_inference_request(self, body: Any, headers: dict[str, str], model_name: str) -> Any:
            length = headers.get("inference-header-content-length", "")
            if not isinstance(body, bytes) or not length.isdecimal():
                return super().decode_inference_request(body, headers, model_name)
            return _binary_request(kserve, body, int(length), model_name)

    class Quiet(RESTServer):
        def _add_middlewares(self, app: FastAPI) -> None:
            app.router.on_startup.append(started)

    models = kserve.ModelRepository()
    models.update(model)
    data = Data(models)
    return Quiet("kserve.model_server:app", data, ModelRepositoryExtension(data.model_registry), 0, grace_period=1)
