"""Two networks on KServe's SDK: `python on_kserve.py --http_port PORT` beside `copy.onnx` and `stranger.onnx`."""

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from network import Network


class Served(Model):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.network = Network(f"{name}.onnx")
        self.ready = True

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        labels = self.network.labels(np.asarray(payload.inputs[0].as_numpy(), np.float32))
        output = InferOutput("label", list(labels.shape), "INT64")
        output.set_data_from_numpy(labels, binary_data=False)
        return InferResponse("1", self.name, [output])


if __name__ == "__main__":
    ModelServer().start([Served("copy"), Served("stranger")])
