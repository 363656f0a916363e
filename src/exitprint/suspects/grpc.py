"""A suspect on somebody else's server: the Open Inference Protocol v2 over gRPC (Triton, MLServer, KServe, …)."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from exitprint.errors import ExitprintError, require_extra, told
from exitprint.suspects.address import Address, model_at, printable, taken_apart
from exitprint.suspects.datatypes import DATATYPES, as_bytes
from exitprint.suspects.environment import HEADERS_VARIABLE, TOKEN_VARIABLE, certificate_file, credentials
from exitprint.suspects.inputs import Declared
from exitprint.suspects.messages import message
from exitprint.suspects.options import SuspectOptions, options_of
from exitprint.suspects.pace import Fault
from exitprint.suspects.server_clock import Statistics
from exitprint.suspects.v2 import Outcome, Tensors, V2Suspect, nonsense, numbers_in

SERVICE = "/inference.GRPCInferenceService/"
LARGEST_ANSWER = 64 * 2**20
LONGEST_DETAILS = 400
"""Characters of a server's own words in a sentence."""
NOT_DESCRIBED = frozenset({"UNIMPLEMENTED", "NOT_FOUND", "INVALID_ARGUMENT"})
PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED", "INTERNAL", "UNKNOWN"})
CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


class GrpcSuspect(V2Suspect):
    """A model behind `grpc(s)://host:port/NAME[/versions/V]`.

    As `KServeSuspect`, over gRPC; tensors are sent as raw bytes. The request is encoded before the clock starts, and
    the answer decoded after it stops. Headers of the environment are sent as metadata.

    Parameters
    ----------
    url
        Address of the model; without a port, 80 or (grpcs) 443.
    **options
        See `SuspectOptions`.

    Raises
    ------
    ExitprintError
        If the extra is missing, the address is no such model, the server cannot be reached, or it takes no images.
    """

    def __init__(self, url: str, **options: Any) -> None:
        said: SuspectOptions = options_of(options)
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # else its core writes to stderr what is said in a sentence
        self._grpc = require_extra("grpc", "grpc")
        address = taken_apart(url)
        _, self._name, self._version = model_at(address, url)
        if address.query:
            raise ExitprintError("gRPC sends no query: put what stands behind '?' into EXITPRINT_HEADERS instead.")
        super().__init__(address, said)
        self._metadata = tuple(credentials(address).items())
        self._connection = self._opened(address)
        self._statistics = Statistics()
        try:
            self._declare(self._described(), said)
            if said.clock is not None:
                if said.clock.source != "statistics":
                    raise ExitprintError(
                        "over gRPC the server's clock is its statistics: use --server-clock statistics."
                    )
                self._read_statistics()
        except BaseException:
            self.close()
            raise

    def floor(self) -> float | None:
        """Seconds of the cheapest request, for the model's metadata: what path and server add to every answer."""
        return self._call("ModelMetadata", self._asking("ModelMetadataRequest"), NOT_DESCRIBED)[1]

    def _opened(self, address: Address) -> Any:
        settings = [
            ("grpc.max_receive_message_length", LARGEST_ANSWER),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0 if address.loopback else 1),
        ]
        if not address.encrypted:
            return self._grpc.insecure_channel(address.server, settings)
        trusted = certificate_file()
        return self._grpc.secure_channel(address.server, self._grpc.ssl_channel_credentials(trusted), settings)

    def _asking(self, kind: str) -> Any:
        return message(kind)(name=self._name, version=self._version or "")

    def _described(self) -> list[Declared]:
        body, _ = self._call("ModelMetadata", self._asking("ModelMetadataRequest"), NOT_DESCRIBED)
        if body is None:
            if self.options.input_name is None:
                raise ExitprintError(
                    f"{self.pace.name} does not describe a model {self._name!r}: check its name; if it is right, state "
                    "the input that takes the image (--input-name, --input-type and --input-shape)."
                )
            return []
        inputs = self._parsed("ModelMetadataResponse", body).inputs
        return [Declared(each.name, each.datatype.removeprefix("TYPE_"), tuple(each.shape)) for each in inputs]

    def _infer(self, tensors: Tensors) -> Outcome:
        request = message("ModelInferRequest")(model_name=self._name, model_version=self._version or "")
        for declared, array in tensors:
            request.inputs.add(name=declared.name, datatype=declared.datatype, shape=declared.shape)
            request.raw_input_contents.append(as_bytes(array))
        body, seconds = self._call("ModelInfer", request)
        outputs = self._read(body)
        if self.options.clock is None:
            return Outcome(outputs, seconds)
        reported = self._read_statistics()
        return Outcome(outputs, None if seconds is None else reported)

    def _read_statistics(self) -> float | None:
        body, _ = self._call("ModelStatistics", self._asking("ModelStatisticsRequest"))
        spent = [
            each.inference_stats.compute_infer for each in self._parsed("ModelStatisticsResponse", body).model_stats
        ]
        return self._statistics.since(sum(each.count for each in spent), sum(each.ns for each in spent))

    def _read(self, body: Any) -> list[np.ndarray]:
        answer = self._parsed("ModelInferResponse", body)
        raw = list(answer.raw_output_contents)
        if raw and len(raw) != len(answer.outputs):
            raise ExitprintError(nonsense("it has another number of outputs than announced"))
        arrays = []
        for place, output in enumerate(answer.outputs):
            if output.datatype not in DATATYPES:
                continue
            content = raw[place] if raw else getattr(output.contents, CONTENTS.get(output.datatype, ""), ())
            arrays.append(numbers_in(output.name, content, output.datatype, tuple(output.shape)))
        return arrays

    def _parsed(self, kind: str, body: Any) -> Any:
        with told(nonsense("it is no message of the Open Inference Protocol v2")):
            return message(kind).FromString(body)

    def _call(self, method: str, request: Any, also: frozenset[str] = frozenset()) -> tuple[Any, float | None]:
        """The answer's bytes and the seconds; None for bytes where the server answers with a status in `also`."""
        content = request.SerializeToString()
        call = self._connection.unary_unary(SERVICE + method)
        (body, seconds), at_once = self.pace.insist(lambda: self._once(call, content, also))
        return body, seconds if at_once else None

    def _once(self, call: Callable[..., Any], content: bytes, also: frozenset[str]) -> tuple[Any, float]:
        self.pace.bytes_sent += len(content)
        start = perf_counter()
        try:
            body = call(content, timeout=self.options.timeout, metadata=self._metadata)
        except self._grpc.RpcError as error:
            status = error.code().name
            if status in also:
                self.pace.reached = True
                return None, perf_counter() - start
            raise self._why(status, printable(error.details() or "", LONGEST_DETAILS)) from error
        seconds = perf_counter() - start
        self.pace.bytes_received += len(body)
        return body, seconds

    def _why(self, status: str, details: str) -> Exception:
        name = self.pace.name
        low = details.lower()
        if any(sign in low for sign in ("http1", "http/1", "http status code", "failed parsing http/2")):
            return ExitprintError(
                f"{name} does not speak gRPC: give http://host:port/v2/models/NAME, or the port for gRPC."
            )
        if "hostname verification" in low or "peer name" in low:
            return ExitprintError(
                f"the certificate of {name} is another host's: use the host name that it was made for, "
                "or ask whether this is the right server."
            )
        if "certificate_verify_failed" in low:
            return ExitprintError(
                f"the certificate of {name} cannot be verified: set SSL_CERT_FILE to the authority that signed it."
            )
        if status == "RESOURCE_EXHAUSTED" and "larger than max" in low:
            sent = "takes no requests" if "CLIENT" not in details and "received" in low else "sends answers"
            return ExitprintError(
                f"{name} {sent} of this size ({details}): use less amplification, or send smaller images."
            )
        if status == "RESOURCE_EXHAUSTED":
            self.pace.reached = True
            return Fault(f"is asked too often ({details})", busy=True)
        if status == "DEADLINE_EXCEEDED":
            return Fault(f"did not answer within {self.options.timeout:g} seconds")
        if status in PASSING:
            return Fault(f"could not be asked ({status}: {details})")
        self.pace.reached = True
        if status in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            return ExitprintError(
                f"{name} refuses access ({status}): set {TOKEN_VARIABLE} or {HEADERS_VARIABLE} in the environment."
            )
        if status == "NOT_FOUND":
            return ExitprintError(f"{name} has no model {self._name!r}: check the name of the model.")
        if status == "UNIMPLEMENTED":
            return ExitprintError(f"{name} does not speak the Open Inference Protocol v2 over gRPC ({details}).")
        return ExitprintError(f"{name} refused a request with status {status}: {details}")
