"""A custom runtime of MLServer: `"implementation": "on_mlserver.Runtime"`, `"parameters": {"uri": "copy.onnx"}`."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from network import Network


class Runtime(MLModel):
    async def load(self) -> bool:
        self.network = Network(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        labels = self.network.labels(NumpyCodec.decode_input(payload.inputs[0]).astype(np.float32))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("label", labels)])
