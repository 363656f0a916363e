"""An ONNX model as a suspect, run by ONNX Runtime on one thread. The file may come from anybody."""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from torch import Tensor

from exitprint.errors import ExitprintError, require_extra
from exitprint.suspects.deadline import deadline
from exitprint.suspects.suspect import Answer
from exitprint.suspects.tensors import ImageInput, read_outputs, together

DATATYPES = {"tensor(float)": "FP32", "tensor(uint8)": "UINT8"}


class OnnxSuspect:
    """An ONNX model in this process.

    Operators that ONNX Runtime does not have are refused, and so are weights outside the model's folder; nothing in
    the file is executed but its graph, for at most `timeout` seconds.

    Parameters
    ----------
    path
        The model: one input, an image or a batch of them, and any outputs.
    timeout
        Seconds that one run may take.

    Raises
    ------
    ExitprintError
        If ONNX Runtime is missing, the file is missing or no model that it can run, or the model takes no images.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float = 30.0) -> None:
        runtime = require_extra("onnxruntime", "onnx")
        if not Path(path).is_file():
            raise ExitprintError(f"there is no file {str(path)!r}: check the path.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = runtime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ExitprintError(f"ONNX Runtime cannot load {str(path)!r}: {_short(error)}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ExitprintError(f"{str(path)!r} has {len(inputs)} inputs where one, an image, is needed.")
        shape = tuple(d if isinstance(d, int) and d > 0 else -1 for d in inputs[0].shape)
        self.image = ImageInput(inputs[0].name, DATATYPES.get(inputs[0].type, inputs[0].type), shape)
        if self.image.batch not in (-1, 1):
            raise ExitprintError(f"{str(path)!r} takes exactly {self.image.batch} images at once: export it for one.")
        self._options = runtime.RunOptions
        self._timeout = timeout

    def ask(self, x: Tensor) -> Answer:
        """Answer and say how long it took; a model that takes one image at a time runs once per image.

        Raises
        ------
        ExitprintError
            If the model fails on these images, answers nonsense, or does not end in time.
        """
        if self.image.batch == -1 or len(x) == 1:
            return self._ask(x)
        return together([self._ask(x[index : index + 1]) for index in range(len(x))])

    def _ask(self, x: Tensor) -> Answer:
        feed = {self.image.name: self.image.encode(x)}
        options = self._options()

        def end() -> None:
            options.terminate = True

        try:
            with deadline(self._timeout, end):
                start = perf_counter()
                outputs = self._session.run(None, feed, options)
                seconds = perf_counter() - start
        except Exception as error:
            if options.terminate:
                raise ExitprintError(f"the model did not answer within {self._timeout:g} seconds.") from error
            raise ExitprintError(f"ONNX Runtime cannot run this model: {_short(error)}") from error
        labels, probabilities = read_outputs(_arrays(outputs), len(x))
        return Answer(np.full(len(x), seconds), "measured", labels, probabilities)


def _arrays(outputs: list[Any]) -> list[np.ndarray]:
    return [output for output in outputs if isinstance(output, np.ndarray) and output.dtype.kind in "fiu"]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
