"""Fingerprints, and suspects that are slow and quick on them as copies and as independents are, without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from exitprint.fingerprints import Fingerprint, Reference
from exitprint.networks import Prediction
from exitprint.suspects import Answer, Clock
from exitprint.suspects.journal import Work
from exitprint.timing.session import Asked, Session, session

EXIT = 0.001
EXITS = 10
Show = Callable[[float, int], float]


KNOWN = (Reference("one", (0.2,), "other"), Reference("another", (0.15,), "other"))


def crafted(kind: str, samples: int = 100, references: tuple[Reference, ...] = KNOWN) -> Fingerprint:
    """A fingerprint of noise: half late, half early, or all of the paper's kind."""
    generator = torch.Generator().manual_seed(0)
    originals = torch.randint(0, 256, (samples, 1, 8, 8), generator=generator)
    noise = torch.randint(-5, 6, originals.shape, generator=generator)
    late = torch.arange(samples) < (samples // 2 if kind == "contrast" else samples)
    order = torch.arange(samples)
    return Fingerprint(
        kind,  # type: ignore[arg-type]
        samples=(originals + noise).clamp(0, 255).to(torch.uint8),
        originals=originals.to(torch.uint8),
        late=late,
        reached=torch.ones(samples, dtype=torch.bool),
        steps=torch.ones(samples, dtype=torch.long),
        chosen=order,
        pool=10 * samples,
        answers=torch.zeros(samples, dtype=torch.long),
        references=references,
    )


def key(image: Tensor) -> bytes:
    """What an image is known by."""
    return image.numpy().tobytes()


def behaviour(fingerprint: Fingerprint, copy: bool, seed: int = 0) -> dict[bytes, float]:
    """Seconds of every image, ten exits one millisecond apart.

    On a copy 5 % of the samples have lost what was put into them. On an independent those of a contrast fingerprint
    keep nature's order, with some overlap; those of the paper's are slower than their originals, as they are.
    """
    rng = np.random.default_rng(seed)
    seconds = {}
    contrast = fingerprint.kind == "contrast"
    for sample, original, late in zip(fingerprint.x, fingerprint.benign, fingerprint.late.tolist(), strict=True):
        quick, slow = rng.integers(1, 5), rng.integers(4, EXITS + 1)
        natural = (quick if late else slow) if contrast else rng.integers(1, EXITS + 1)
        aimed = EXITS if late else 1
        if copy:
            reached = aimed if rng.random() > (0.05 if contrast else 0.01) else natural
        else:
            reached = natural if contrast else min(EXITS, natural + 3)
        seconds[key(original)], seconds[key(sample)] = EXIT * natural, EXIT * reached
    return seconds


class OverAPath:
    """A suspect whose times are let be seen by `show(seconds, number of the request)`, a millisecond added.

    It keeps what it was asked. `fails` is told the number of each request, and may raise.
    """

    def __init__(
        self,
        seconds: dict[bytes, float],
        show: Show = lambda seconds, number: seconds,
        clock: Clock = "measured",
        fails: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.seconds, self.show, self.clock, self.fails = seconds, show, clock, fails
        self.asked: list[bytes] = []

    def ask(self, x: Tensor) -> Answer:
        assert len(x) == 1 or self.clock == "cost-model"
        return Answer(np.array([EXIT + self._seconds(key(image)) for image in x]), self.clock)

    def _seconds(self, name: bytes) -> float:
        self.asked.append(name)
        self.fails(len(self.asked))
        return self.show(self.seconds[name], len(self.asked))


class Sleeper:
    """A network for a server: it sleeps twice as long as its behaviour says, however busy the machine is.

    An image that it does not know takes half the longest time.
    """

    input_shape = (1, 8, 8)
    classes = 2

    def __init__(self, seconds: dict[bytes, float]) -> None:
        self.seconds = seconds
        self.asked: list[bytes] = []

    def predict(self, x: Tensor) -> Prediction:
        names = [key(image) for image in x]
        self.asked += names
        time.sleep(2 * sum(self.seconds.get(name, EXIT * EXITS / 2) for name in names))
        nothing = torch.zeros(len(x), dtype=torch.long)
        return Prediction(nothing, torch.full((len(x), 2), 0.5), nothing)


class Scripted:
    """A suspect whose times are told beforehand; the path alone takes 9 s."""

    amplification, bytes_sent, bytes_received = 1, 0, 0

    def __init__(self, seconds: Iterable[float], clock: Clock = "measured") -> None:
        self.seconds, self.clock, self.requests = iter(seconds), clock, 0

    def limit(self, requests: int) -> None:
        """Allow any number."""

    def floor(self) -> float:
        """Seconds of the cheapest request."""
        self.requests += 1
        return 9.0

    def ask(self, x: Tensor) -> Answer:
        self.requests += 1
        return Answer(np.array([next(self.seconds) for _ in x]), self.clock)


def heard(askings: Iterable[tuple[int, float]], warm_up: Sequence[float] = ()) -> Session:
    """What a session was told on a measured clock: the number of an input and the seconds of each asking.

    Inputs of even numbers are "early", the others "late".
    """
    told = [(int(index), float(seconds)) for index, seconds in askings]
    suspect = Scripted([*warm_up, *(seconds for _, seconds in told)])
    images = {kind: torch.zeros(60, 1, 1, 1) for kind in ("early", "late")}
    with session(suspect, images, Work("test", "", Asked, ""), expected=1) as asking:
        asking.warm_up("early", np.arange(len(warm_up) + 5 if warm_up else 0))
        for index, _ in told:
            asking.ask("late" if index % 2 else "early", index)
    return asking
