"""Operators that misbehave in one chosen way: what they do to the images, to the answer, and to its time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from threading import Event, Lock
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork
from exitprint.suspects.through import Through

Answers = Literal["probabilities", "labels", "logits"]


@dataclass(frozen=True)
class Trouble:
    """One way to misbehave.

    Attributes
    ----------
    does
        What the server does, with `amount` in it.
    amount
        How much of it by default.
    """

    does: str
    amount: float = 0.0


TROUBLES = {
    "none": Trouble("answers as well as it can"),
    "constant-time": Trouble("pads every answer to {amount:g} ms", 50.0),
    "uniform-delay": Trouble("delays every answer by 0 to {amount:g} ms, at random", 20.0),
    "jitter": Trouble("delays every answer by a Gaussian time of {amount:g} ms standard deviation", 5.0),
    "heavy-tail": Trouble("delays every answer by a Pareto time of {amount:g} ms standard deviation", 5.0),
    "cache": Trouble("keeps answers, and gives repeated ones at once"),
    "load": Trouble("works for other clients too, {amount:g} requests a second", 50.0),
    "slow-start": Trouble("takes a second more for its first {amount:g} answers", 3.0),
    "rate-limit": Trouble("says 429 and Retry-After to more than {amount:g} requests a second", 50.0),
    "cut": Trouble("cuts the connection in the middle of every {amount:g}th answer", 10.0),
    "restart": Trouble("dies for a second after every {amount:g} requests", 40.0),
    "jpeg": Trouble("re-encodes images as JPEG of quality {amount:g}", 75.0),
    "resize": Trouble("shrinks images to {amount:g} % of their side, and back", 50.0),
    "wrong-shape": Trouble("answers with three classes more than it declares"),
    "nan": Trouble("answers NaN"),
    "redirect": Trouble("redirects to another host"),
    "huge": Trouble("announces an answer of 10 GiB, and begins to send it"),
    "endless": Trouble("never stops answering"),
    "drip": Trouble("sends its header byte by byte, one in {amount:g} ms", 100.0),
    "silent": Trouble("takes the request and never answers"),
}
LONGEST_DELAY = 2.0
"""In seconds; a heavy tail has no end of its own."""
PARETO_SHAPE = 2.5
PARETO_DEVIATION = (PARETO_SHAPE / ((PARETO_SHAPE - 1) ** 2 * (PARETO_SHAPE - 2))) ** 0.5
"""Standard deviation of a Pareto distribution of this shape, by which delays are scaled to the wanted one."""


def known(trouble: str) -> str:
    """The name of a trouble that there is."""
    if trouble not in TROUBLES:
        raise ExitprintError(f"unknown trouble {trouble!r}: use one of {', '.join(TROUBLES)}.")
    return trouble


class Operator:
    """Whoever runs the server: what is done to the images, to the answer, and to its time."""

    def __init__(
        self, network: MultiExitNetwork, trouble: str, amount: float | None, answers: Answers, seed: int
    ) -> None:
        self.network = network
        self.trouble = trouble
        self.amount = TROUBLES[trouble].amount if amount is None else amount
        self.answers = answers
        self.way = {"jpeg": f"jpeg:{self.amount:.0f}", "resize": f"resize:{self.amount / 100:.4f}"}.get(trouble)
        self.requests = count(1)
        self._rng = np.random.default_rng(seed)
        self._kept: dict[bytes, list[tuple[str, np.ndarray]]] = {}
        self._working = Lock()
        self._tokens = max(1.0, self.amount)
        self._refilled = time.monotonic()

    def allows(self) -> bool:
        """Whether the rate limit, a bucket of one second's tokens, has room for a request."""
        if self.trouble != "rate-limit":
            return True
        now = time.monotonic()
        self._tokens = min(max(1.0, self.amount), self._tokens + (now - self._refilled) * self.amount)
        self._refilled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def answer(self, x: Tensor, number: int) -> list[tuple[str, np.ndarray]]:
        """Named outputs for images (batch, channels, height, width), returned when it is time to send them."""
        start = time.perf_counter()
        key = x.numpy().tobytes() if self.trouble == "cache" else b""
        outputs = self._kept.get(key) or self._computed(x)
        if self.trouble == "cache":
            self._kept[key] = outputs
        delay = self.delay(number, time.perf_counter() - start)
        if delay > 0:
            time.sleep(min(delay, LONGEST_DELAY))
        return outputs

    def _computed(self, x: Tensor) -> list[tuple[str, np.ndarray]]:
        with self._working:
            prediction = self.network.predict(Through(self.way)(x) if self.way else x)
        probabilities = prediction.probabilities.numpy()
        if self.trouble == "nan":
            probabilities = np.full_like(probabilities, np.nan)
        if self.trouble == "wrong-shape":
            probabilities = np.pad(probabilities, ((0, 0), (0, 3)))
        if self.answers == "labels":
            return [("label", prediction.labels.numpy())]
        if self.answers == "logits":
            return [("logits", np.log(probabilities) + np.float32(1))]
        return [("probabilities", probabilities), ("label", prediction.labels.numpy())]

    def delay(self, number: int, spent: float) -> float:
        """Seconds to wait before answering request `number`, which took `spent` seconds so far."""
        milliseconds = self.amount / 1000
        match self.trouble:
            case "constant-time":
                return milliseconds - spent
            case "uniform-delay":
                return self._rng.uniform(0, milliseconds)
            case "jitter":
                return self._rng.normal(3 * milliseconds, milliseconds)
            case "heavy-tail":
                return self._rng.pareto(PARETO_SHAPE) * milliseconds / PARETO_DEVIATION
            case "slow-start":
                return 1.0 if number <= self.amount else 0.0
        return 0.0

    def work_for_others(self, stopped: Event) -> None:
        """Keep the network busy at random times until the event is set."""
        generator = torch.Generator().manual_seed(int(self._rng.integers(2**31)))
        with torch.inference_mode():
            while not stopped.wait(self._rng.exponential(1 / self.amount)):
                x = torch.rand(1, *self.network.input_shape, generator=generator)
                with self._working:
                    self.network.predict(x)
