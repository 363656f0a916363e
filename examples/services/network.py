"""An exported network that answers one image at a time on one thread, for the servers beside this file."""

import numpy as np
import onnxruntime


class Network:
    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.label = [output.name for output in self.session.get_outputs()].index("label")

    def labels(self, images: np.ndarray) -> np.ndarray:
        """Labels, shape (batch,), of float32 images (batch, channels, height, width) in [0, 1]."""
        answers = [self.session.run(None, {self.input: image[None]})[self.label] for image in images]
        return np.array([np.asarray(answer).item() for answer in answers], np.int64)
