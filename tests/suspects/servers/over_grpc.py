"""A network behind the Open Inference Protocol v2 over gRPC: `python over_grpc.py NETWORK` prints its addresses.

A process of its own, since the client's messages and those of KServe's SDK cannot be loaded into one.
"""

from __future__ import annotations

import io
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import torch
from PIL import Image
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc as services

from exitprint.networks import load_network

NUMBERS = {"FP32": np.float32, "FP64": np.float64, "FP16": np.float16, "UINT8": np.uint8}


MODELS = {
    "team/network": {},
    "uint8": {"datatype": "UINT8"},
    "fp16": {"datatype": "FP16"},
    "flat-fp64": {"datatype": "FP64", "shape": [-1, 64]},
    "bytes": {"datatype": "BYTES", "shape": [-1]},
    "bytes-2d": {"datatype": "BYTES", "shape": [-1, 1]},
    "contents": {"raw": False},
    "single": {"shape": [1, 8, 8]},
    "silent": {"described": False},
    "busy": {"refuses": 2},
    "dying": {"dies": True},
}


class Service(services.GRPCInferenceServiceServicer):
    """A server that answers at one port; `settings` are those of the model that was asked for."""

    def __init__(self, path: str) -> None:
        self.network = load_network(path)
        self.count = Counter()
        self.nanoseconds = Counter()

    def ModelMetadata(self, request, context):
        if request.name not in MODELS:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.name}")
        settings = MODELS[request.name]
        if not settings.get("described", True):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no metadata")
        answer = messages.ModelMetadataResponse(name=request.name)
        shape = settings.get("shape", [-1, *self.network.input_shape])
        answer.inputs.add(name="images", datatype=settings.get("datatype", "FP32"), shape=shape)
        return answer

    def ModelStatistics(self, request, context):
        answer = messages.ModelStatisticsResponse()
        answer.model_stats.add().inference_stats.compute_infer.MergeFrom(
            messages.StatisticDuration(count=self.count[request.name], ns=self.nanoseconds[request.name])
        )
        return answer

    def ModelInfer(self, request, context):
        settings = MODELS[request.model_name]
        self.count[request.model_name] += 1
        if settings.get("dies") and self.count[request.model_name] > 1:
            os._exit(1)
        if self.count[request.model_name] <= settings.get("refuses", 0):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests")
        start = time.perf_counter_ns()
        prediction = self.network.predict(self.images(request))
        self.nanoseconds[request.model_name] += time.perf_counter_ns() - start
        answer = messages.ModelInferResponse(model_name=request.model_name)
        label = answer.outputs.add(name="label", datatype="INT64", shape=[len(prediction.labels)])
        scores = answer.outputs.add(name="scores", datatype="FP32", shape=list(prediction.probabilities.shape))
        if settings.get("raw", True):
            answer.raw_output_contents.append(prediction.labels.numpy().tobytes())
            answer.raw_output_contents.append(prediction.probabilities.numpy().tobytes())
        else:
            label.contents.int64_contents.extend(prediction.labels.tolist())
            scores.contents.fp32_contents.extend(prediction.probabilities.flatten().tolist())
        return answer

    def images(self, request) -> torch.Tensor:
        given, raw = request.inputs[0], request.raw_input_contents[0]
        if given.datatype == "BYTES":
            files = []
            while raw:
                size = int.from_bytes(raw[:4], "little")
                files.append(np.asarray(Image.open(io.BytesIO(raw[4 : 4 + size]))))
                raw = raw[4 + size :]
            array = np.stack(files)[:, None] / np.float32(255)
        else:
            array = np.frombuffer(raw, NUMBERS[given.datatype]).reshape(-1, *self.network.input_shape)
            array = array.astype(np.float32) / (255 if given.datatype == "UINT8" else 1)
        return torch.from_numpy(np.array(array, np.float32))


def main() -> None:
    torch.set_num_threads(1)
    service = Service(sys.argv[1])
    servers, ports = [], []
    for largest in (2**26, 2000):
        server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", largest)])
        services.add_GRPCInferenceServiceServicer_to_server(service, server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        servers.append(server)
    print(*(f"grpc://127.0.0.1:{port}" for port in ports), flush=True)
    sys.stdin.read()


main()
