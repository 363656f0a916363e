"""An ONNX model as a suspect, run by ONNX Runtime on one thread. The file may come from anybody."""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any

import numpy as np

from exitprint.errors import ExitprintError, check_there, in_short, require_extra, told
from exitprint.suspects.deadline import deadline
from exitprint.suspects.inputs import Declared
from exitprint.suspects.options import options_of
from exitprint.suspects.v2 import ModelSuspect, Outcome, Tensors

DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
    "tensor(double)": "FP64",
    "tensor(bool)": "BOOL",
    **{f"tensor({kind}{bits})": f"{kind.upper()}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}


class OnnxSuspect(ModelSuspect):
    """An ONNX model in this process.

    Operators that ONNX Runtime does not have are refused, and so are weights outside the model's folder; nothing in
    the file is executed but its graph, for at most `timeout` seconds.

    Parameters
    ----------
    path
        The model: an input for an image or a batch of them, others that may be left out or are given, any outputs.
    **options
        What the model wants of its input, and the seconds that one run may take: see `SuspectOptions`.

    Raises
    ------
    ExitprintError
        If ONNX Runtime is missing, the file is missing or no model that it can run, or the model takes no images.
    """

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        said = options_of(options)
        runtime = require_extra("onnxruntime", "onnx")
        check_there(path)
        session = runtime.SessionOptions()
        session.intra_op_num_threads = session.inter_op_num_threads = 1
        session.log_severity_level = 4
        with told(f"ONNX Runtime cannot load {str(path)!r}: {{why}}"):
            self._session = runtime.InferenceSession(os.fspath(path), session, providers=["CPUExecutionProvider"])
        given = self._session.get_inputs()
        self._declare(
            [Declared(each.name, DATATYPES.get(each.type, each.type), _shape(each.shape)) for each in given], said
        )
        if self.image.batch not in (-1, 1):
            raise ExitprintError(f"{str(path)!r} takes exactly {self.image.batch} images at once: export it for one.")
        self._options = runtime.RunOptions
        self._timeout = said.timeout

    def _infer(self, tensors: Tensors) -> Outcome:
        feed = {declared.name: array for declared, array in tensors}
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
            raise ExitprintError(f"ONNX Runtime cannot run this model: {in_short(error, 300)}") from error
        numeric = [each for each in outputs if isinstance(each, np.ndarray) and each.dtype.kind in "fiu"]
        return Outcome(numeric, seconds)


def _shape(shape: list[Any]) -> tuple[int, ...]:
    return tuple(d if isinstance(d, int) and d > 0 else -1 for d in shape)
