"""What the front door of a service does to an image before its network sees it: JPEG, another size and back."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from exitprint.errors import ExitprintError
from exitprint.suspects.pictures import encoded

STEP = re.compile(r"(?P<name>jpeg|resize):(?P<number>\d{1,5}(\.\d{1,6})?)")
LARGEST_SIDE = 4096
PILLOWS_OWN = 2
"""Pillow's default for subsampling: one colour for four pixels."""
LONGEST = 100
"""Characters in the name of a way."""
WRITTEN = (
    "write jpeg:75, resize:0.5 (half of each side, and back), resize:224 (pixels of the shorter side, and back), or "
)
WRITTEN += "several with commas between them"


@dataclass(frozen=True)
class Through:
    """One way in: steps that an image takes one after another, each of which gives an 8-bit image of the same size.

    Forwards it does what a service does. Backwards the gradient passes JPEG and rounding as if nothing had happened
    (straight through), and resizing by its own.

    Parameters
    ----------
    text
        ``jpeg:QUALITY`` (1 to 100, by Pillow, colours subsampled as it does by default), ``resize:SHARE`` (a number
        with a point: of each side) or ``resize:PIXELS`` (of the shorter side), bilinear with antialiasing, and back to
        the size it had; several with commas between them.

    Raises
    ------
    ExitprintError
        If the text says no way.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.text or len(self.text) > LONGEST:
            raise ExitprintError(f"{self.text[:LONGEST]!r} names no way through a front door: {WRITTEN}.")
        for step in self.text.split(","):
            _step(step)

    def __call__(self, x: Tensor) -> Tensor:
        """Images in [0, 1] as they come out, both of shape (batch, 1 or 3, height, width).

        Raises
        ------
        ExitprintError
            If images of so many channels are no JPEG, or resizing would leave less than a pixel.
        """
        for step in self.text.split(","):
            x = _step(step)(_rounded(x))
        return _rounded(x)

    def __str__(self) -> str:
        return self.text


def ways(texts: Sequence[str | os.PathLike[str] | Through]) -> tuple[Through, ...]:
    """Ways by what a user wrote, each once; raises as `Through` does."""
    return tuple(dict.fromkeys(each if isinstance(each, Through) else Through(os.fspath(each)) for each in texts))


def _step(text: str) -> Callable[[Tensor], Tensor]:
    found = STEP.fullmatch(text.strip().lower())
    number = float(found["number"]) if found else 0.0
    if found is None or number <= 0:
        raise ExitprintError(f"{text!r} is no way through a front door: {WRITTEN}.")
    share = "." in found["number"]
    if found["name"] == "jpeg":
        if share or number > 100:
            raise ExitprintError(f"the quality of a JPEG is a whole number from 1 to 100, and not {found['number']}.")
        return partial(_jpeg, quality=int(number))
    return partial(_resized, share=number if share else None, pixels=int(number))


def _rounded(x: Tensor) -> Tensor:
    """Rounded to 8 bits; the gradient passes as if nothing had happened."""
    return x + ((x.detach() * 255).round().clamp(0, 255) / 255 - x.detach())


def _jpeg(x: Tensor, quality: int) -> Tensor:
    """After JPEG of this quality; the gradient passes as if nothing had happened."""
    files = encoded(x.detach(), "jpeg", quality, subsampling=PILLOWS_OWN)
    decoded = np.stack([np.array(Image.open(io.BytesIO(file))) for file in files])
    seen = torch.from_numpy(decoded).to(x.device, x.dtype).view(len(x), *x.shape[2:], x.shape[1]) / 255
    return x + (seen.permute(0, 3, 1, 2) - x.detach())


def _resized(x: Tensor, share: float | None, pixels: int) -> Tensor:
    """In another size and back, bilinear with antialiasing and rounded to 8 bits between."""
    height, width = x.shape[2:]
    scale = share if share is not None else pixels / min(height, width)
    size = (round(height * scale), round(width * scale))
    if min(size) < 1 or max(size) > LARGEST_SIDE:
        raise ExitprintError(
            f"resizing {width}×{height} pixels to {size[1]}×{size[0]} leaves no image that could be sent: use a side "
            f"of 1 to {LARGEST_SIDE} pixels."
        )
    between = F.interpolate(x, size=size, mode="bilinear", antialias=True).clamp(0, 1)
    return F.interpolate(_rounded(between), size=(height, width), mode="bilinear", antialias=True).clamp(0, 1)
