"""A server's own clock: what it says its work took, in a header or in Triton's statistics."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from exitprint.errors import ExitprintError

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
METRIC = re.compile(r"\s*(?P<name>[^\s;,=]+)(?P<parameters>(\s*;\s*[^;,=]+(=(\"[^\"]*\"|[^;,]*))?)*)\s*")


@dataclass(frozen=True)
class ServerClock:
    """Where a server says how long it took.

    Attributes
    ----------
    source
        ``server-timing`` for the header of that name (milliseconds), ``header`` for another one, ``statistics`` for
        Triton's count of the nanoseconds that the model computed, which is asked for after every answer.
    name
        Of the header, or of the metric in Server-Timing; empty for the only one.
    unit
        Of another header's number, in seconds.
    """

    source: Literal["server-timing", "header", "statistics"]
    name: str = ""
    unit: float = 1e-3

    @classmethod
    def parsed(cls, text: str) -> ServerClock:
        """From ``server-timing``, ``server-timing:METRIC``, ``statistics``, or ``HEADER:UNIT`` with s, ms, us or ns.

        Raises `ExitprintError` if it is none of them.
        """
        name, _, rest = text.strip().partition(":")
        if name.lower() == "server-timing":
            return cls("server-timing", rest)
        if text == "statistics":
            return cls("statistics")
        if name and rest in UNITS:
            return cls("header", name, UNITS[rest])
        raise ExitprintError(
            f"{text!r} is no server's clock: use server-timing, server-timing:METRIC, statistics, or a header with its "
            "unit, as in x-compute-time:ms."
        )

    def __str__(self) -> str:
        if self.source == "header":
            return f"{self.name}:{next(unit for unit, seconds in UNITS.items() if seconds == self.unit)}"
        return f"{self.source}:{self.name}" if self.name else self.source

    def read(self, headers: Mapping[str, str]) -> float:
        """Seconds in an answer's headers.

        Raises `ExitprintError` if they do not say.
        """
        if self.source == "header":
            said, unit = _number(headers.get(self.name)), self.unit
        else:
            said, unit = self._metric(headers.get("server-timing") or ""), UNITS["ms"]
        if said is None:
            where = self.name if self.source == "header" else "Server-Timing"
            raise ExitprintError(
                f"the server's answers have no time of its own in the header {where}: ask without --server-clock."
            )
        return said * unit

    def _metric(self, text: str) -> float | None:
        times = {}
        for metric in METRIC.finditer(text):
            duration = re.search(r";\s*dur\s*=\s*\"?([^;,\"\s]+)", metric["parameters"] or "")
            if duration:
                times[metric["name"]] = _number(duration[1])
        if self.name:
            return times.get(self.name)
        if len(times) > 1:
            raise ExitprintError(
                f"the server says several times ({', '.join(sorted(times)[:8])}): say which, as in "
                f"--server-clock server-timing:{min(times)}."
            )
        return next(iter(times.values()), None)


@dataclass
class Statistics:
    """Triton's statistics of one model, read again after every answer: the difference is that answer's.

    Attributes
    ----------
    count, nanoseconds
        Requests answered, and time computed, so far.
    """

    count: int = -1
    nanoseconds: int = 0

    def since(self, count: int, nanoseconds: int) -> float | None:
        """Seconds of the one request since the last reading; None where others' were among them."""
        before = self.count, self.nanoseconds
        self.count, self.nanoseconds = count, nanoseconds
        return (nanoseconds - before[1]) / 1e9 if before[0] >= 0 and count == before[0] + 1 else None


def _number(text: str | None) -> float | None:
    """A number that can be a time."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < math.inf else None
