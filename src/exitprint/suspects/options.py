"""What a user may say of a suspect beyond its address: what its model wants of an image, and how it is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from exitprint.errors import ExitprintError
from exitprint.suspects.server_clock import ServerClock

Layout = Literal["NCHW", "NHWC"]
Picture = Literal["png", "jpeg"]


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """What a model wants of its image, where it does not say so itself or says it wrong.

    Attributes
    ----------
    input_name, input_type, input_shape
        Of the input that takes the image: its name, its type as the Open Inference Protocol calls it (``FP32``,
        ``UINT8``, ``BYTES``, …), its shape with −1 where any number will do.
    layout
        ``NCHW`` for channels first, ``NHWC`` for channels last.
    scale
        Pixels in [0, 1] are multiplied by it: 1 unless said, and 255 for whole numbers.
    mean, std
        Taken off the scaled pixels, and what they are divided by then: one number, or one for each channel.
    inputs
        Values of further inputs, by name.
    picture, quality
        Where the model wants encoded images: the format, and JPEG's quality.
    """

    input_name: str | None = None
    input_type: str | None = None
    input_shape: tuple[int, ...] | None = None
    layout: Layout | None = None
    scale: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    picture: Picture = "png"
    quality: int = 95

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            numbers = getattr(self, name)
            numbers = tuple(numbers) if isinstance(numbers, list | tuple) else (numbers,)
            object.__setattr__(self, name, tuple(float(number) for number in numbers))
        if self.input_shape is not None:
            object.__setattr__(self, "input_shape", tuple(self.input_shape))
        numbers = [*self.mean, *self.std, *([] if self.scale is None else [self.scale])]
        if not all(math.isfinite(number) for number in numbers) or 0 in self.std or self.scale == 0:
            raise ExitprintError("mean, std and scale must be finite numbers, std and scale not 0: correct them.")
        if self.layout not in (None, "NCHW", "NHWC"):
            raise ExitprintError(f"the layout {self.layout!r} is unknown: use NCHW or NHWC.")
        if self.picture not in ("png", "jpeg") or not 1 <= self.quality <= 100:
            raise ExitprintError("images are encoded as png or jpeg, with a quality from 1 to 100: correct it.")


@dataclass(frozen=True, kw_only=True)
class SuspectOptions(InputOptions):
    """All that can be said of a suspect.

    Attributes
    ----------
    amplification
        How often an image is repeated in one request: the network's share of the time grows so many times, the
        path's jitter stays.
    rate
        Most requests per second.
    budget
        Most requests in all, those for metadata and repeated ones included.
    timeout
        Seconds that one request may take.
    patience
        Seconds during which a request is tried again after faults, waits that the server asked for included.
    server_clock
        Take the time that the server says it took instead of measuring: see `ServerClock`.
    """

    amplification: int = 1
    rate: float | None = None
    budget: int | None = None
    timeout: float = 30.0
    patience: float = 60.0
    server_clock: ServerClock | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            self.amplification < 1
            or not (self.rate is None or self.rate > 0)
            or not (self.budget is None or self.budget > 0)
        ):
            raise ExitprintError("amplification, rate and budget must be positive: correct them.")
        if not self.timeout > 0 or not self.patience >= 0:
            raise ExitprintError("timeout and patience are seconds, and must be positive: correct them.")
        if isinstance(self.server_clock, str):
            object.__setattr__(self, "server_clock", ServerClock.parsed(self.server_clock))

    @property
    def clock(self) -> ServerClock | None:
        """The server's own clock, where its time is wanted."""
        return self.server_clock if isinstance(self.server_clock, ServerClock) else None

    @property
    def said(self) -> dict[str, Any]:
        """What differs from the defaults, by name."""
        unsaid = SuspectOptions()
        return {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) != getattr(unsaid, each.name)
        }


def options_of(given: Mapping[str, Any]) -> SuspectOptions:
    """Options by name.

    Raises `ExitprintError` if there is no option of a name, or a value cannot be.
    """
    known = [each.name for each in fields(SuspectOptions)]
    for name in given:
        if name not in known:
            raise ExitprintError(f"a suspect has no option {name!r}: use one of {', '.join(known)}.")
    return SuspectOptions(**given)
