"""Labelled images in memory: uint8 pixels, int64 labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from exitprint.errors import ExitprintError


@dataclass(frozen=True)
class Images:
    """Images and their labels.

    Attributes
    ----------
    pixels
        uint8, shape (images, channels, height, width).
    labels
        int64, shape (images,).
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor | slice) -> Images:
        return Images(self.pixels[index], self.labels[index])

    @property
    def x(self) -> Tensor:
        """Pixels as float32 in [0, 1]."""
        return unit_range(self.pixels)


def unit_range(pixels: Tensor) -> Tensor:
    """8-bit pixels as float32 in [0, 1]."""
    return pixels.float() / 255


def eight_bit(x: Tensor) -> Tensor:
    """Images in [0, 1] rounded to 8-bit pixels."""
    return (x * 255).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class ImageData:
    """One data set, split: disjoint parts for training, for calibration and for testing.

    Attributes
    ----------
    name
        The name it was loaded by.
    train, calibration, test
        Disjoint parts; calibration is split off the training images.
    classes
        Number of classes.
    mean, std
        Per-channel statistics of the training images, in [0, 1].
    flips
        Whether a mirrored image still shows its class.
    """

    name: str
    train: Images
    calibration: Images
    test: Images
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flips: bool

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width


def split(images: Images, share: float | int, seed: int) -> tuple[Images, Images]:
    """A stratified, seeded split: (the rest, `share` of the images as a fraction or a count)."""
    from sklearn.model_selection import train_test_split

    try:
        rest, part = train_test_split(
            np.arange(len(images)), test_size=share, random_state=seed, stratify=images.labels.numpy()
        )
    except ValueError as error:
        raise ExitprintError(
            f"{len(images)} images are too few to split off {share} with every class in both parts: use more images."
        ) from error
    return images[torch.from_numpy(np.sort(rest))], images[torch.from_numpy(np.sort(part))]


def image_data(
    name: str, train: Images, test: Images, classes: int, flips: bool, seed: int = 0, calibration: float = 0.1
) -> ImageData:
    """Training and test images as an `ImageData`, with a share of the training images split off for calibration.

    The split depends on `seed` alone and is the same for every network that is trained on these images.
    """
    train, held_out = split(train, calibration, seed)
    pixels = train.pixels.double() / 255
    mean = tuple(pixels.mean((0, 2, 3)).tolist())
    std = tuple(pixels.std((0, 2, 3)).clamp_min(1e-3).tolist())
    return ImageData(name, train, held_out, test, classes, mean, std, flips)
