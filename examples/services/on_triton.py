"""Two networks on NVIDIA Triton (nvidia-pytriton): `python on_triton.py HTTP_PORT GRPC_PORT COPY STRANGER` (ONNX)."""

import sys

import numpy as np
from network import Network
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig


def answering(path: str):
    network = Network(path)

    @batch
    def answer(images: np.ndarray) -> dict[str, np.ndarray]:
        return {"label": network.labels(images)[:, None]}

    return answer


http_port, grpc_port = map(int, sys.argv[1:3])
with Triton(config=TritonConfig(http_port=http_port, grpc_port=grpc_port)) as triton:
    for name, path in zip(("copy", "stranger"), sys.argv[3:], strict=True):
        triton.bind(
            model_name=name,
            infer_func=answering(path),
            inputs=[Tensor(name="images", dtype=np.float32, shape=(3, 32, 32))],
            outputs=[Tensor(name="label", dtype=np.int64, shape=(1,))],
            config=ModelConfig(max_batch_size=32),
        )
    triton.serve()
