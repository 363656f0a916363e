"""Images that are read when they are asked for, so that a set larger than memory can be used as one in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Read = Callable[[NDArray[np.int64]], NDArray[np.uint8]]
"""The images of these numbers, uint8, shape (images, channels, height, width)."""

USUAL_BATCH = 256
USUAL_PIXELS = 64 * 64
"""Larger images than of so many pixels go in smaller batches, so that a batch takes about the same memory."""


class LazyPixels:
    """8-bit images that stay where they are until some of them are asked for.

    It answers as a uint8 tensor of shape (images, channels, height, width) does to `len`, `shape`, `dtype`, indexing,
    `split` and `to`; what is read comes as tensors.

    Parameters
    ----------
    read
        Reads images by their numbers.
    numbers
        Which images these are, for `read`, int64, shape (images,).
    image_shape
        (channels, height, width) of each.
    device
        Where images go when they are read.
    """

    dtype = torch.uint8
    ndim = 4

    def __init__(
        self, read: Read, numbers: Tensor, image_shape: tuple[int, int, int], device: torch.device | str = "cpu"
    ) -> None:
        self._read = read
        self._numbers = numbers
        self.shape = torch.Size((len(numbers), *image_shape))
        self.device = torch.device(device)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Tensor | slice | int) -> Tensor:
        if isinstance(index, int):
            return self[index : index + 1 or None][0]
        wanted = self._numbers[index.cpu() if isinstance(index, Tensor) else index]
        if not len(wanted):
            return torch.empty(0, *self.shape[1:], dtype=torch.uint8, device=self.device)
        return torch.from_numpy(self._read(wanted.numpy())).to(self.device)

    def __iter__(self) -> Iterator[Tensor]:
        for part in self.split(batch_size(self.shape)):
            yield from part

    def split(self, size: int) -> Iterator[Tensor]:
        """The images in parts of `size`, each read when it is its turn."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def to(self, device: torch.device | str) -> LazyPixels:
        """The same images, going to `device` when they are read."""
        return LazyPixels(self._read, self._numbers, self._image_shape, device)

    def part(self, index: Tensor | slice) -> LazyPixels:
        """Some of the images, none of which is read."""
        return LazyPixels(self._read, self._numbers[index], self._image_shape, self.device)

    @property
    def _image_shape(self) -> tuple[int, int, int]:
        _, channels, height, width = self.shape
        return channels, height, width


Pixels: TypeAlias = Tensor | LazyPixels
"""8-bit images, shape (images, channels, height, width), in memory or read when they are asked for."""


def batch_size(shape: tuple[int, ...]) -> int:
    """How many images to compute at once: 256 of up to 64×64, and fewer of larger ones, for what they take in memory.

    Parameters
    ----------
    shape
        Ends with (height, width).
    """
    return max(1, min(USUAL_BATCH, USUAL_BATCH * USUAL_PIXELS // (shape[-2] * shape[-1])))
