"""What a foreign runtime takes and gives: images in the layout it declares, labels and probabilities out of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.suspects.suspect import Answer

DATATYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


@dataclass(frozen=True)
class ImageInput:
    """The one input of a suspect, as it declares it.

    Attributes
    ----------
    name
        Its name.
    datatype
        ``FP32`` for pixels in [0, 1], ``UINT8`` for pixels from 0 to 255.
    shape
        Four dimensions with a batch, or three without; −1 where any size will do. Channels come first or last.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.datatype not in ("FP32", "UINT8"):
            raise ExitprintError(
                f"the suspect's input {self.name!r} is {self.datatype}: images are sent as FP32 or UINT8 only."
            )
        if len(self.shape) not in (3, 4):
            raise ExitprintError(
                f"the suspect's input {self.name!r} has shape {self.shape}, which is no image or batch of images: "
                "ask a network that takes images."
            )

    @property
    def batch(self) -> int:
        """How many images one request takes: −1 for any number."""
        return self.shape[0] if len(self.shape) == 4 else 1

    def encode(self, x: Tensor) -> NDArray[np.float32] | NDArray[np.uint8]:
        """Images as the suspect wants them.

        Parameters
        ----------
        x
            Images in [0, 1], float32, shape (batch, channels, height, width).

        Raises
        ------
        ExitprintError
            If the suspect takes images of another shape.
        """
        wanted = self.shape[-3:]
        if _fits(wanted, tuple(x.shape[1:])):
            laid_out = x
        elif _fits(wanted, (*x.shape[2:], x.shape[1])):
            laid_out = x.permute(0, 2, 3, 1)
        else:
            raise ExitprintError(
                f"the suspect takes images of shape {wanted}, and not {tuple(x.shape[1:])} (channels, height, width): "
                "use a fingerprint that was made for such images."
            )
        array = np.ascontiguousarray(laid_out.float().cpu().numpy())
        if self.datatype == "UINT8":
            array = np.rint(array * 255).clip(0, 255).astype(np.uint8)
        return array if len(self.shape) == 4 else array[0]


def _fits(declared: Sequence[int], shape: Sequence[int]) -> bool:
    return len(declared) == len(shape) and all(d in (-1, s) for d, s in zip(declared, shape, strict=True))


def read_outputs(
    outputs: Sequence[np.ndarray], inputs: int
) -> tuple[NDArray[np.int64] | None, NDArray[np.float32] | None]:
    """Labels and probabilities among a suspect's outputs, whichever it gives.

    Rows of non-negative numbers that sum to one are probabilities; other rows of numbers are taken as logits.

    Parameters
    ----------
    outputs
        Numeric arrays; the first dimension of each is the batch (left out where a single input was asked).
    inputs
        How many images were asked.

    Returns
    -------
    labels, probabilities
        Shapes (inputs,) and (inputs, classes), ``None`` where no output gives them.

    Raises
    ------
    ExitprintError
        If an output holds NaN or infinity, or answers another number of images.
    """
    labels: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float32] | None = None
    for output in outputs:
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            raise ExitprintError("the suspect answered with NaN or infinity: it is broken, or no classifier.")
        if inputs == 1 and (output.ndim == 0 or (output.ndim == 1 and len(output) != 1)):
            output = output[None]
        if len(output) != inputs:
            raise ExitprintError(f"the suspect answered {len(output)} images where {inputs} were asked: it is broken.")
        if probabilities is None and output.dtype.kind == "f" and output.ndim == 2 and output.shape[1] > 1:
            probabilities = _probabilities(output)
        elif labels is None and output.dtype.kind in "iu" and output.size == inputs:
            labels = output.reshape(inputs).astype(np.int64)
    if probabilities is not None:
        labels = probabilities.argmax(1).astype(np.int64)
    return labels, probabilities


def _probabilities(scores: np.ndarray) -> NDArray[np.float32]:
    rows = scores.astype(np.float64)
    if (rows < 0).any() or not np.allclose(rows.sum(1), 1, atol=1e-2):
        rows = np.exp(rows - rows.max(1, keepdims=True))
        rows /= rows.sum(1, keepdims=True)
    return rows.astype(np.float32)


def together(answers: Sequence[Answer]) -> Answer:
    """One answer out of those to several requests.

    Raises
    ------
    ExitprintError
        If the number of classes changes from answer to answer.
    """
    labels = [answer.labels for answer in answers if answer.labels is not None]
    probabilities = [answer.probabilities for answer in answers if answer.probabilities is not None]
    if len({rows.shape[1] for rows in probabilities}) > 1:
        raise ExitprintError("the suspect's number of classes changes from answer to answer: it is broken.")
    return Answer(
        np.concatenate([answer.seconds for answer in answers]),
        answers[0].clock,
        np.concatenate(labels) if len(labels) == len(answers) else None,
        np.concatenate(probabilities) if len(probabilities) == len(answers) else None,
    )
