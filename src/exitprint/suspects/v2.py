"""What suspects share that take tensors, in ONNX Runtime or by the Open Inference Protocol v2 over REST and gRPC."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from exitprint.errors import ExitprintError, told
from exitprint.suspects.address import Address
from exitprint.suspects.datatypes import ENCODED, received
from exitprint.suspects.inputs import Declared, further_inputs, image_among
from exitprint.suspects.options import InputOptions, SuspectOptions
from exitprint.suspects.outputs import read_outputs, together
from exitprint.suspects.paced import Paced
from exitprint.suspects.suspect import Answer, Clock, Closing

Tensors = Sequence[tuple[Declared, np.ndarray]]


@dataclass(frozen=True)
class Outcome:
    """One answered request.

    Attributes
    ----------
    outputs
        Numeric outputs.
    seconds
        From sending to receiving, or by the server's own clock; None where the request had to be repeated.
    """

    outputs: list[np.ndarray]
    seconds: float | None


class ModelSuspect(Closing):
    """A model that takes tensors, whose inputs are known once `_declare` was called.

    Attributes
    ----------
    image
        The model's input that takes the image.
    """

    clock: Clock = "measured"
    amplification: int = 1

    def _declare(self, inputs: Sequence[Declared], options: InputOptions) -> None:
        self._inputs = inputs
        self.image = image_among(inputs, options)
        if self.image.batch == 1:
            self._check_amplification(1)

    def _check_amplification(self, takes: int) -> None:
        if takes == 1 and self.amplification > 1:
            raise ExitprintError("the model takes one image at a time, so nothing can be amplified: do without.")

    def ask(self, x: Tensor) -> Answer:
        """Answer and say how long that took; see `Answer.seconds` for when there is no usable time.

        A model that takes one image at a time is asked once per image.

        Raises `ExitprintError` if the model fails for good, refuses, or answers nonsense; `BudgetSpent` if the budget
        allows no further request.
        """
        takes = self.image.takes(x.shape[1:])
        self._check_amplification(takes)
        if takes == -1 or len(x) == 1:
            return self._ask(x)
        return together([self._ask(each) for each in x.split(1)])

    def _ask(self, x: Tensor) -> Answer:
        copies = self.amplification
        images = self.image.encode(x.repeat_interleave(copies, 0))
        image = Declared(self.image.name, self.image.datatype, images.shape)
        batched = self.image.datatype == ENCODED or self.image.arrangement(x.shape[1:]).batched
        further = further_inputs(self._inputs, self.image, len(x) * copies, batched)
        outcome = self._infer([(image, images), *further])
        times = None if outcome.seconds is None else np.full(len(x), outcome.seconds)
        return Answer(times, self.clock, *read_outputs(outcome.outputs, len(x) * copies, copies))

    @abstractmethod
    def _infer(self, tensors: Tensors) -> Outcome:
        """Hand over encoded tensors and wait for the answer; only that is inside the time."""


class V2Suspect(Paced, ModelSuspect):
    """A model at an address."""

    def __init__(self, address: Address, options: SuspectOptions) -> None:
        super().__init__(options, address.origin)

    def _declare(self, inputs: Sequence[Declared], options: InputOptions) -> None:
        super()._declare(inputs, options)
        if self.image.batch not in (-1, 1, self.amplification):
            raise ExitprintError(
                f"the model takes exactly {self.image.batch} images at once: use amplification {self.image.batch}."
            )


def numbers_in(name: str, content: Any, datatype: str, shape: Sequence[int]) -> np.ndarray:
    """Numbers of an output, see `received`; an output that is not what it says cannot be used."""
    with told(
        nonsense(f"output {name!r} does not hold what its shape and type say"), (ValueError, TypeError, OverflowError)
    ):
        return received(content, datatype, shape)


def nonsense(what: str) -> str:
    """What is said of an answer that cannot be used."""
    return f"the suspect's answer cannot be used: {what}; check that the address is a KServe v2 model."
