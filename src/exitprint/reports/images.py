"""Fingerprint images beside their originals, as PNG data URIs (figure 6 of the paper)."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from exitprint.fingerprints.fingerprint import Fingerprint

Pixels = NDArray[np.uint8]
GREY = 128


@dataclass(frozen=True)
class Example:
    """One fingerprint image: data URIs of the original, the sample and their amplified difference.

    Attributes
    ----------
    index
        Position of the sample in the fingerprint.
    late
        Whether the sample was made to leave late.
    l2
        ‖x − x′‖₂, pixels in [0, 1].
    """

    index: int
    late: bool
    l2: float
    original: str
    sample: str
    difference: str


def examples(fingerprint: Fingerprint, count: int) -> tuple[list[Example], int]:
    """`count` samples from the least to the most changed, late ones first, and the amplification.

    One whole factor amplifies the differences of all of them around middle grey, so far that one pixel in a hundred is
    cut off.
    """
    chosen = [
        index
        for half in (fingerprint.late, ~fingerprint.late)
        for index in _spread(fingerprint.l2, half, round(count * float(half.float().mean())))
    ]
    before = _plain(fingerprint.originals[chosen])
    after = _plain(fingerprint.samples[chosen])
    difference = after.astype(np.int64) - before
    factor = max(1, (GREY - 1) // max(1, int(np.quantile(np.abs(difference), 0.99))))
    amplified = np.clip(GREY + factor * difference, 0, 255).astype(np.uint8)
    l2 = fingerprint.l2
    return [
        Example(
            index=index,
            late=bool(fingerprint.late[index]),
            l2=float(l2[index]),
            original=png_uri(before[row]),
            sample=png_uri(after[row]),
            difference=png_uri(amplified[row]),
        )
        for row, index in enumerate(chosen)
    ], factor


def _spread(l2: Tensor, half: Tensor, count: int) -> list[int]:
    members = half.nonzero()[:, 0]
    if not len(members) or not count:
        return []
    ordered = members[l2[members].argsort(stable=True)].numpy()
    positions = np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int))
    return [int(index) for index in ordered[positions]]


def _plain(images: Tensor) -> Pixels:
    """Images as (images, height, width, 1 or 3); other numbers of channels become their mean, in grey."""
    pixels = images.permute(0, 2, 3, 1).numpy()
    return pixels if pixels.shape[-1] in (1, 3) else np.rint(pixels.mean(-1, keepdims=True)).astype(np.uint8)


def png_uri(pixels: Pixels) -> str:
    """An image, uint8 of shape (height, width, 1 or 3), as a PNG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
