"""Images, with labels or without: uint8 pixels, int64 labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from exitprint.data.pixels import LazyPixels, Pixels, batch_size
from exitprint.errors import ExitprintError, told
from exitprint.progress import progress

LEVELS = 256
NO_LABELS = (
    "these images have no labels, and training, calibrating for an accuracy and measuring one need them: put the "
    "images into one folder a class, or name the labels (--label-column)."
)


class Images:
    """Images, and their labels where they are known.

    Parameters
    ----------
    pixels
        Shape (images, channels, height, width): 8-bit pixels, or numbers in [0, 1], which are rounded to them.
    labels
        Whole numbers from 0 up, shape (images,); None where they are not known.

    Attributes
    ----------
    pixels
        uint8, shape (images, channels, height, width), in memory or read when they are asked for.
    labelled
        Whether there are labels.

    Raises
    ------
    ExitprintError
        If these are no images, or no labels for them.
    """

    def __init__(self, pixels: Pixels | ArrayLike, labels: Tensor | ArrayLike | None = None) -> None:
        self.pixels: Pixels = pixels if isinstance(pixels, LazyPixels) else _checked_pixels(pixels)
        self._labels = None if labels is None else _checked_labels(labels, len(self.pixels))

    @classmethod
    def _of(cls, pixels: Pixels, labels: Tensor | None) -> Images:
        """Some of images that were checked."""
        made = cls.__new__(cls)
        made.pixels, made._labels = pixels, labels
        return made

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Tensor | slice) -> Images:
        """Some of the images, in memory."""
        return Images._of(self.pixels[index], None if self._labels is None else self._labels[index])

    def part(self, index: Tensor | slice) -> Images:
        """Some of the images, in memory where these are, else read when they are asked for."""
        pixels = self.pixels.part(index) if isinstance(self.pixels, LazyPixels) else self.pixels[index]
        return Images._of(pixels, None if self._labels is None else self._labels[index])

    def __repr__(self) -> str:
        return f"Images({len(self)} of shape {tuple(self.pixels.shape[1:])}{'' if self.labelled else ', unlabelled'})"

    @property
    def labelled(self) -> bool:
        """Whether the images have labels."""
        return self._labels is not None

    @property
    def labels(self) -> Tensor:
        """Class numbers, int64, shape (images,).

        Raises
        ------
        ExitprintError
            If there are none.
        """
        if self._labels is None:
            raise ExitprintError(NO_LABELS)
        return self._labels

    @property
    def x(self) -> Tensor:
        """Pixels as float32 in [0, 1]."""
        return unit_range(self.pixels[:])


def unit_range(pixels: Tensor) -> Tensor:
    """8-bit pixels as float32 in [0, 1]."""
    return pixels.float() / 255


def eight_bit(x: Tensor) -> Tensor:
    """Images in [0, 1] rounded to 8-bit pixels."""
    return (x * 255).round().clamp(0, 255).to(torch.uint8)


def eight_bit_values(values: Tensor, who: str = "images") -> Tensor:
    """Pixels of any number format as 8-bit pixels, where it is beyond doubt what they mean.

    Raises `ExitprintError` if they are something else, or could be two things.

    Parameters
    ----------
    values
        8-bit pixels; whole numbers from 0 to 255 in another format; 16-bit pixels (uint16), of which the upper byte is
        kept; or fractions in [0, 1].
    who
        What the sentence calls them.
    """
    if values.dtype == torch.uint8 or not values.numel():
        return values.to(torch.uint8)
    if values.is_complex() or values.dtype == torch.bool:
        raise ExitprintError(f"{who} are 8-bit pixels or numbers in [0, 1], and not {_dtype(values)}.")
    if values.dtype == torch.uint16:
        values = values.to(torch.int32)
        if values.max() < LEVELS:
            raise ExitprintError(
                f"{who} are uint16 and none is above {int(values.max())}: convert them to uint8 if they are 8-bit "
                "pixels; as 16-bit pixels they would be black."
            )
        return ((values + 128) // 257).to(torch.uint8)
    if values.is_floating_point() and not bool(values.isfinite().all()):
        raise ExitprintError(f"{who} hold numbers that are not finite (NaN or infinite): take them out.")
    low, high = values.min().item(), values.max().item()
    if values.is_floating_point() and low >= 0 and high <= 1:
        return eight_bit(values if values.dtype == torch.float64 else values.float())
    if not values.is_floating_point() and low >= 0 and high < LEVELS:
        return values.to(torch.uint8)
    raise ExitprintError(
        f"{who} are 8-bit pixels or numbers in [0, 1], and not {_dtype(values)} from {low:g} to {high:g}: scale them."
    )


def _dtype(values: Tensor) -> str:
    return str(values.dtype).removeprefix("torch.")


def _checked_pixels(pixels: Tensor | ArrayLike) -> Tensor:
    values = _tensor(pixels, "images")
    if values.ndim != 4 or not values.shape[1:].numel():
        raise ExitprintError(f"images have the shape (images, channels, height, width), and not {tuple(values.shape)}.")
    return eight_bit_values(values)


def _checked_labels(labels: Tensor | ArrayLike, images: int) -> Tensor:
    values = _tensor(labels, "labels")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ExitprintError(f"labels have the shape (images,), one number for each, and not {tuple(values.shape)}.")
    if len(values) != images:
        raise ExitprintError(f"there are {images} images and {len(values)} labels: give one for each.")
    numbers = values.long()
    if values.dtype == torch.bool or not torch.equal(numbers.to(values.dtype), values) or bool((numbers < 0).any()):
        raise ExitprintError("labels are class numbers, whole and from 0 up: number the classes.")
    return numbers


def _tensor(values: Tensor | ArrayLike, who: str) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu() if values.device.type != "cpu" or values.requires_grad else values
    with told(f"{who} are numbers, all of one shape: make one array of them.", (TypeError, ValueError)):
        array = np.asarray(values)
        if array.dtype.kind == "u" and array.itemsize > 2:
            array = array.astype(np.int64)
        return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))


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
        Number of classes; 0 where no label is known.
    mean, std
        Per-channel statistics of the training images, in [0, 1].
    flips
        Whether a mirrored image still shows its class.

    Raises
    ------
    ExitprintError
        If the parts differ in the shape of their images, or a label is no class.
    """

    name: str
    train: Images
    calibration: Images
    test: Images
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flips: bool

    def __post_init__(self) -> None:
        for part, images in (("calibration", self.calibration), ("test", self.test)):
            if images.pixels.shape[1:] != self.train.pixels.shape[1:]:
                raise ExitprintError(
                    f"the {part} images of {self.name} have the shape {tuple(images.pixels.shape[1:])} and the "
                    f"training images {tuple(self.train.pixels.shape[1:])}: bring them to one size."
                )
        for images in (self.train, self.calibration, self.test):
            if images.labelled and len(images) and int(images.labels.max()) >= self.classes:
                low, high = int(images.labels.min()), int(images.labels.max())
                raise ExitprintError(
                    f"the labels of {self.name} go from {low} to {high}, and {self.classes} classes are numbered from "
                    f"0 to {self.classes - 1}: number them so."
                )

    def check_labelled(self) -> None:
        """Refuse images without labels."""
        if not self.train.labelled:
            raise ExitprintError(NO_LABELS)

    def check_classes(self, classes: int) -> None:
        """Refuse labels that are not those of a network with so many classes; images without labels pass."""
        if self.train.labelled and classes != self.classes:
            raise ExitprintError(
                f"this network tells {classes} classes and {self.name} has {self.classes}: use the images that it was "
                "made for."
            )

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        channels, height, width = self.train.pixels.shape[1:]
        return channels, height, width


def split(images: Images, share: float | int, seed: int) -> tuple[Images, Images]:
    """A seeded split, stratified where labels are known: (the rest, `share` of the images as a fraction or a count)."""
    rest, part = split_numbers(len(images), images.labels.numpy() if images.labelled else None, share, seed)
    return images.part(torch.from_numpy(rest)), images.part(torch.from_numpy(part))


def split_numbers(
    images: int, labels: NDArray[Any] | None, share: float | int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `split`, of so many images with these labels: the numbers of both parts, ascending.

    A fraction is at least one image of each class.
    """
    from sklearn.model_selection import train_test_split

    classes = 1 if labels is None else len(np.unique(labels))
    if isinstance(share, float) and share * images < classes:
        share = classes
    with told(
        f"{images} images are too few to split off {share} with every class in both parts: use more images.", ValueError
    ):
        rest, part = train_test_split(np.arange(images), test_size=share, random_state=seed, stratify=labels)
    return np.sort(rest), np.sort(part)


def image_data(
    name: str, train: Images, test: Images, classes: int, flips: bool, seed: int = 0, calibration: float = 0.1
) -> ImageData:
    """Training and test images as an `ImageData`, with a share of the training images split off for calibration.

    The split depends on `seed` alone and is the same for every network that is trained on these images.

    Raises
    ------
    ExitprintError
        As `ImageData` and `split` do.
    """
    train, held_out = split(train, calibration, seed)
    mean, std = _statistics(train.pixels)
    return ImageData(name, train, held_out, test, classes, mean, std, flips)


def _statistics(pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel in [0, 1], exact, from how often each of the 256 levels occurs."""
    counts = torch.zeros(pixels.shape[1], LEVELS, dtype=torch.float64)
    with progress("looking at images", len(pixels)) as advance:
        for part in pixels.split(batch_size(pixels.shape)):
            for channel in range(len(counts)):
                counts[channel] += part[:, channel].flatten().bincount(minlength=LEVELS)
            advance(len(part))
    levels = torch.arange(LEVELS, dtype=torch.float64) / (LEVELS - 1)
    number = counts.sum(1)
    mean = counts @ levels / number
    variance = (counts * (levels - mean[:, None]) ** 2).sum(1) / (number - 1).clamp_min(1)
    return tuple(mean.tolist()), tuple(variance.sqrt().clamp_min(1e-3).tolist())
