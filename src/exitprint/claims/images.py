"""Which images a data set has: the SHA-256 of each one's pixels, one to a line, in the data set's order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from torch import Tensor

from exitprint.data import Pixels
from exitprint.errors import ExitprintError


def image_digests(pixels: Pixels) -> list[str]:
    """SHA-256 of each image's 8-bit pixels (images, channels, height, width), channel by channel, row by row."""
    return [hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in pixels]


def listed(digests: Iterable[str]) -> bytes:
    """The list as a file."""
    return "".join(f"{digest}\n" for digest in digests).encode()


def check_originals(originals: Tensor, digests: Iterable[str]) -> None:
    """Refuse originals that are not in the data set.

    Raises `ExitprintError` if one is not.
    """
    known = set(digests)
    strange = [number for number, digest in enumerate(image_digests(originals)) if digest not in known]
    if strange:
        raise ExitprintError(
            f"{len(strange)} of the fingerprint's {len(originals)} originals are not in the data set that the claim "
            f"names (the first is number {strange[0]}): they were not chosen from it."
        )
