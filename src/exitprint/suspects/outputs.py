"""What a suspect gives: labels and probabilities out of its arrays, and several answers as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from exitprint.errors import ExitprintError
from exitprint.suspects.suspect import Answer


def read_outputs(
    outputs: Sequence[np.ndarray], inputs: int, copies: int = 1
) -> tuple[NDArray[np.int64] | None, NDArray[np.float32] | None]:
    """Labels and probabilities among a suspect's outputs, whichever it gives.

    Rows of non-negative numbers that sum to one are probabilities; other rows of numbers are taken as logits, of which
    some may be −∞. Outputs of other shapes say nothing here, and do no harm: only the time counts.

    Raises `ExitprintError` if nothing can be read, and that because an output holds NaN or infinity, or answers another
    number of images.

    Parameters
    ----------
    outputs
        Numeric arrays; the first dimension of each is the batch (left out where a single input was asked).
    inputs, copies
        How many images were asked, and how often each of them in a row.

    Returns
    -------
    labels, probabilities
        One row for each image that was asked, whose first copy counts: shapes (inputs / copies,) and
        (inputs / copies, classes); ``None`` where no output gives them.
    """
    labels: NDArray[np.int64] | None = None
    scores: list[np.ndarray] = []
    broken = ""
    for output in outputs:
        if inputs == 1 and (output.ndim == 0 or (output.ndim == 1 and len(output) != 1)):
            output = output[None]
        if len(output) != inputs:
            broken = broken or f"the suspect answered {len(output)} images where {inputs} were asked: it is broken."
        elif output.dtype.kind == "f" and output.size and not np.isfinite(output.max(-1)).all():
            broken = "the suspect answered with NaN or infinity: it is broken, or no classifier."
        elif output.dtype.kind == "f" and output.ndim == 2 and output.shape[1] > 1:
            scores.append(output.astype(np.float64))
        elif labels is None and output.dtype.kind in "iu" and output.size == inputs:
            labels = output.reshape(inputs).astype(np.int64)
    if scores:
        rows = next((each for each in scores if _are_probabilities(each)), scores[0])
        probabilities = rows if _are_probabilities(rows) else scipy.special.softmax(rows, axis=1)
        return probabilities.argmax(1).astype(np.int64)[::copies], probabilities.astype(np.float32)[::copies]
    if broken and (labels is None or "NaN" in broken):
        raise ExitprintError(broken)
    return (None if labels is None else labels[::copies]), None


def _are_probabilities(rows: NDArray[np.float64]) -> bool:
    return bool((rows >= 0).all() and np.allclose(rows.sum(1), 1, atol=1e-2))


def together(answers: Sequence[Answer]) -> Answer:
    """One answer out of those to several requests.

    Raises `ExitprintError` if the number of classes changes from answer to answer.
    """
    labels = [answer.labels for answer in answers if answer.labels is not None]
    probabilities = [answer.probabilities for answer in answers if answer.probabilities is not None]
    if len({rows.shape[1] for rows in probabilities}) > 1:
        raise ExitprintError("the suspect's number of classes changes from answer to answer: it is broken.")
    seconds = [answer.seconds for answer in answers if answer.seconds is not None]
    return Answer(
        np.concatenate(seconds) if len(seconds) == len(answers) else None,
        answers[0].clock,
        np.concatenate(labels) if len(labels) == len(answers) else None,
        np.concatenate(probabilities) if len(probabilities) == len(answers) else None,
    )
