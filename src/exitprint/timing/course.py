"""How a sequential verification went, request by request: what a report draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from exitprint.errors import ExitprintError
from exitprint.timing.sequential import TestPath

InputKind = Literal["fingerprint", "late", "early", "benign"]


@dataclass(frozen=True)
class Course:
    """How a sequential verification went.

    Attributes
    ----------
    path
        The test after each of its updates.
    requests
        Requests made when each update came, shape (updates,).
    asked
        Kind of input of each request in the order of asking (``late``, ``early``, ``fingerprint`` or ``benign``),
        shape (requests,).
    seconds
        Time of each of these requests, same shape.
    """

    path: TestPath
    requests: NDArray[np.int64]
    asked: NDArray[np.str_]
    seconds: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.requests) != len(self.path.log_e_null) or len(self.requests) == 0:
            raise ExitprintError("the course of a test needs the number of requests at each of its updates.")
        if (
            self.asked.shape != self.seconds.shape
            or len(self.seconds) < 2
            or not set(self.asked.tolist()) <= set(get_args(InputKind))
        ):
            raise ExitprintError(
                f"the course of a test needs a time and a kind ({', '.join(get_args(InputKind))}) for each request."
            )
