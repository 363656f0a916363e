"""What all suspects share that are asked over a network: a pace, counts of what was asked, and a limit."""

from __future__ import annotations

from typing import Any

from exitprint.suspects.options import SuspectOptions
from exitprint.suspects.pace import Pace
from exitprint.suspects.suspect import Clock, Closing


class Paced(Closing):
    """A suspect that is asked no quicker and no more often than allowed.

    Parameters
    ----------
    options
        How it is asked.
    name
        What sentences call it.
    advice
        What to do when it does not answer.

    Attributes
    ----------
    amplification
        How often an image is sent in one request.
    clock
        Whose time is taken.
    """

    _connection: Any = None
    """What is held open, such as one kept-alive connection."""

    def __init__(
        self, options: SuspectOptions, name: str, advice: str = "check the address and that the server runs."
    ) -> None:
        self.options = options
        self.amplification = options.amplification
        self.clock: Clock = "measured" if options.clock is None else "server-reported"
        self.pace = Pace(name, options.rate, options.budget, options.patience, advice)

    @property
    def requests(self) -> int:
        """Requests made so far, of all kinds."""
        return self.pace.requests

    @property
    def bytes_sent(self) -> int | None:
        """Bytes of the bodies sent so far; None where nobody counts them."""
        return self.pace.bytes_sent

    @property
    def bytes_received(self) -> int | None:
        """Bytes of the bodies received so far; None where nobody counts them."""
        return self.pace.bytes_received

    def limit(self, requests: int) -> None:
        """Allow so many requests in all, those already made included; a smaller budget stays."""
        self.pace.limit(requests)

    def close(self) -> None:
        """Close what is held open."""
        if self._connection is not None:
            self._connection.close()
