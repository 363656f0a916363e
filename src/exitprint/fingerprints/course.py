"""How a verification went, request by request: what a report draws."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from exitprint.fingerprints.statistic import Name, Test
from exitprint.timing.session import Session


@dataclass(frozen=True)
class Course:
    """How the evidence grew.

    Attributes
    ----------
    requests
        Requests made when each observation came, shape (observations,).
    streams
        The stream of each observation, same shape.
    log_nature, log_claim, log_clear
        Natural logarithms of the evidence against the three null hypotheses then, same shape.
    asked, seconds
        Kind of input and time of each request in the order of asking, shape (requests,).
    """

    requests: NDArray[np.int64]
    streams: NDArray[np.str_]
    log_nature: NDArray[np.float64]
    log_claim: NDArray[np.float64]
    log_clear: NDArray[np.float64]
    asked: NDArray[np.str_]
    seconds: NDArray[np.float64]


@dataclass
class Recorder:
    """Notes the evidence after each observation."""

    test: Test
    rows: list[tuple[int, Name, float, float, float]] = field(default_factory=list)

    def note(self, stream: Name, requests: int) -> None:
        """Note where the test stands."""
        test = self.test
        nature = 0.0 if test.nature is None else test.nature.log_e
        self.rows.append((requests, stream, nature, test.claim.log_e, test.clear.log_e))

    def course(self, session: Session) -> Course | None:
        """The course of what was noted; None if nothing was."""
        if not self.rows:
            return None
        requests, streams, nature, claim, clear = (np.array(column) for column in zip(*self.rows, strict=True))
        asked = np.array([one.kind for one in session.asked])
        seconds = np.array([one.seconds for one in session.asked])
        return Course(requests, streams, nature, claim, clear, asked, seconds)
