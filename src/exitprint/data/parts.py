"""The parts of a data set before anything is decoded, and how they become training, calibration and test images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from exitprint.data.images import ImageData, Images, image_data, split_numbers
from exitprint.data.labels import class_numbers
from exitprint.data.picture import Fit, Undecodable, is_grey, pixels_of
from exitprint.data.pixels import LazyPixels, Pixels, batch_size
from exitprint.errors import ExitprintError, told
from exitprint.progress import progress

TRAINING = ("train", "training")
TESTING = ("test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation")
MOST_IN_MEMORY = 1_500_000_000
"""Bytes of 8-bit pixels that are decoded once and kept; a larger set is decoded as it is needed."""
TESTED, TESTED_UNLABELLED = 0.3, 0.8
"""The share of a set in one part that is kept back for testing. Nothing is trained on images without labels."""

Numbers = NDArray[np.int64]


class Part(Protocol):
    """One part of a data set, such as its training images, whose pixels are not read yet."""

    labels: NDArray[Any] | None
    """Of any kind, or None where they are not known."""
    class_names: Sequence[str] | None
    """Names of the classes where labels are numbers and the source names them."""

    def __len__(self) -> int: ...

    def channels(self, numbers: Iterable[int]) -> int:
        """Channels that these images have."""

    def image(self, number: int, channels: int, fit: Fit) -> NDArray[np.uint8]:
        """An image as 8-bit pixels (height, width, channels)."""

    def name(self, number: int) -> str:
        """What a sentence calls an image."""


@dataclass
class Encoded:
    """Pictures in files, or in the rows of a table, as a column of Hugging Face `datasets` holds them undecoded.

    Attributes
    ----------
    rows
        A `datasets.Dataset`.
    column
        That of the images.
    where
        What a sentence calls this part.
    labels, class_names
        As in `Part`.
    from_files
        Whether a row may name a file instead of holding its bytes. Tables from others may not.
    """

    rows: Any
    column: str
    where: str
    labels: NDArray[Any] | None = None
    class_names: Sequence[str] | None = None
    from_files: bool = False

    def __post_init__(self) -> None:
        import datasets

        with told(f"the column {self.column!r} of {self.where} holds no images: name another (--image-column)."):
            self.rows = self.rows.select_columns([self.column]).cast_column(self.column, datasets.Image(decode=False))

    def __len__(self) -> int:
        return len(self.rows)

    def channels(self, numbers: Iterable[int]) -> int:
        """1 where all pictures are grey, else 3."""
        return 1 if all(self._told(is_grey, number) for number in numbers) else 3

    def image(self, number: int, channels: int, fit: Fit) -> NDArray[np.uint8]:
        """A picture as 8-bit pixels (height, width, channels)."""
        pixels: NDArray[np.uint8] = self._told(pixels_of, number, channels, fit)
        return pixels

    def name(self, number: int) -> str:
        """Its file, or its place in the table."""
        row = self.rows[int(number)][self.column]
        path = (row or {}).get("path")
        return repr(path) if self.from_files and path else f"image {number} of {self.where}"

    def _told(self, read: Any, number: int, *more: Any) -> Any:
        row = self.rows[int(number)][self.column] or {}
        content, path = row.get("bytes"), row.get("path")
        try:
            if content is not None:
                return read(content, *more)
            if self.from_files and path:
                return read(Path(path), *more)
            raise Undecodable("cannot be decoded: get a whole copy, or take it out")
        except Undecodable as why:
            raise ExitprintError(f"{self.name(number)} {why}.") from why


@dataclass
class Array:
    """Images in an array of 8-bit pixels (images, height, width, channels)."""

    values: NDArray[np.uint8]
    where: str
    labels: NDArray[Any] | None = None
    class_names: Sequence[str] | None = None
    release: Any = field(default=lambda: None)
    """Called after images were read, so that a file in memory does not stay there."""

    def __len__(self) -> int:
        return len(self.values)

    def channels(self, numbers: Iterable[int]) -> int:
        """Of the array."""
        return int(self.values.shape[3])

    def image(self, number: int, channels: int, fit: Fit) -> NDArray[np.uint8]:
        """An image of the array."""
        values = np.array(self.values[number])
        self.release()
        if fit == Fit() and channels == values.shape[2]:
            return values
        try:
            picture = fit(Image.fromarray(values[..., 0] if values.shape[2] == 1 else values))
        except Undecodable as why:
            raise ExitprintError(f"{self.name(number)} {why}.") from why
        return np.asarray(picture).reshape(picture.height, picture.width, -1)

    def name(self, number: int) -> str:
        """Its place in the array."""
        return f"image {number} of {self.where}"


@dataclass(frozen=True)
class Wanted:
    """What of a data set is wanted, and how.

    Attributes
    ----------
    split, image, label
        The parts, and the columns of images and labels, as in `load_data`.
    fit, channels
        How images are brought to a network's size; by default the channels that they have.
    limit, seed
        As in `load_data`.
    """

    split: str | None
    image: str | None
    label: str | None
    fit: Fit
    channels: int | None
    limit: int | None
    seed: int

    def parts(self, found: Sequence[str], where: str) -> dict[str, str]:
        """The training and the test part among those found, and what a sentence calls each.

        The former alone where there is one part. Raises `ExitprintError` if a part is not there, or it is not clear
        which to take.
        """
        return {part: f"the {part} part of {where}" for part in self._parts(found, where)}

    def _parts(self, found: Sequence[str], where: str) -> list[str]:
        if self.split is not None:
            names = [name.strip() for name in self.split.split(",")]
            missing = [name for name in names if name not in found]
            if missing or len(names) > 2 or len(set(names)) < len(names):
                raise ExitprintError(
                    f"--split names one part, or two (training,test), of {where}, which has {', '.join(found)}; "
                    f"{self.split!r} does not."
                )
            return names
        if len(found) == 1:
            return list(found)
        train = next((name for name in TRAINING if name in found), None)
        test = [name for name in TESTING if name in found][:1]
        if train is None:
            raise ExitprintError(
                f"{where} has the parts {', '.join(found)}: say which are for training and for testing (--split "
                f"{found[0]},{found[1]})."
            )
        return [train, *test]


def data_of(
    name: str, parts: Mapping[str, Part], wanted: Wanted, flips: bool = False, classes: int | None = None
) -> ImageData:
    """Training and test parts, read, as an `ImageData`.

    Raises `ExitprintError` if an image cannot be decoded or has another size than the first, or labels do not fit.

    Parameters
    ----------
    name
        What the data set is called, in histories too.
    parts
        The training part first, then the test part, if there is one; a share of a single part is kept back for testing.
    wanted
        How they are read.
    flips
        Whether a mirrored image still shows its class.
    classes
        How many there are, where that is known; by default what the labels say.
    """
    labels, found = _labels(parts, name)
    chosen = _chosen(parts, labels, wanted, name)
    channels, fit = wanted.channels, wanted.fit
    if channels is None:
        channels = max(parts[part].channels(numbers) for part, numbers in chosen.values())
    shape = _shape(next(iter(parts.values())), int(chosen["train"][1][0]), channels, fit)
    in_memory = sum(len(numbers) for _, numbers in chosen.values()) * int(np.prod(shape)) <= MOST_IN_MEMORY
    images = {
        use: Images(
            _pixels(parts[part], numbers, shape, fit, in_memory),
            None if labels is None else labels[part][numbers],
        )
        for use, (part, numbers) in chosen.items()
    }
    data = image_data(name, images["train"], images["test"], found if classes is None else classes, flips, wanted.seed)
    if not in_memory:
        _decode_once(data.calibration)
        _decode_once(data.test)
    return data


def _labels(parts: Mapping[str, Part], where: str) -> tuple[dict[str, Numbers] | None, int]:
    known = {part: each.labels for part, each in parts.items() if each.labels is not None}
    if not known:
        return None, 0
    if len(known) < len(parts):
        without = next(part for part in parts if part not in known)
        raise ExitprintError(
            f"the {without} part of {where} has no labels, and the {next(iter(known))} part has: label both, or choose "
            "one part (--split)."
        )
    return class_numbers(known, where, next(iter(parts.values())).class_names)


def _chosen(
    parts: Mapping[str, Part], labels: Mapping[str, Numbers] | None, wanted: Wanted, where: str
) -> dict[str, tuple[str, Numbers]]:
    """For training and for testing: the part, and the numbers of the images in it."""
    for part, each in parts.items():
        if not len(each):
            raise ExitprintError(f"the {part} part of {where} holds no images: get a whole copy.")
    (train, *others) = parts
    known = None if labels is None else labels[train]
    if others:
        uses = {"train": (train, np.arange(len(parts[train]))), "test": (others[0], np.arange(len(parts[others[0]])))}
    else:
        share = TESTED_UNLABELLED if known is None else TESTED
        rest, tested = split_numbers(len(parts[train]), known, share, seed=0)
        uses = {"train": (train, rest), "test": (train, tested)}
    for use, (part, numbers) in uses.items():
        if wanted.limit is not None and wanted.limit < len(numbers):
            known = None if labels is None else labels[part][numbers]
            uses[use] = part, numbers[split_numbers(len(numbers), known, wanted.limit, wanted.seed)[1]]
    return uses


def _shape(part: Part, number: int, channels: int, fit: Fit) -> tuple[int, int, int]:
    height, width, own = part.image(number, channels, fit).shape
    if own != channels:
        raise ExitprintError(f"{part.name(number)} has {own} channels and not {channels}: leave out --channels.")
    return own, height, width


def _pixels(part: Part, numbers: Numbers, shape: tuple[int, int, int], fit: Fit, in_memory: bool) -> Pixels:
    """The images of these numbers, decoded now or when they are asked for."""

    def read(wanted: Numbers) -> NDArray[np.uint8]:
        pixels = np.empty((len(wanted), *shape), np.uint8)
        for row, number in enumerate(wanted):
            image = part.image(int(number), shape[0], fit)
            if image.shape != (*shape[1:], shape[0]):
                raise ExitprintError(
                    f"{part.name(int(number))} is {image.shape[1]}×{image.shape[0]} pixels where {shape[2]}×{shape[1]} "
                    "is expected: bring all images to one size (--resize, --crop)."
                )
            pixels[row] = image.transpose(2, 0, 1)
        return pixels

    lazy = LazyPixels(read, torch.from_numpy(numbers), shape)
    if not in_memory:
        return lazy
    kept = torch.empty(lazy.shape, dtype=torch.uint8)
    done = 0
    with progress("reading images", len(numbers)) as advance:
        for batch in lazy.split(batch_size(shape)):
            kept[done : done + len(batch)] = batch
            done += len(batch)
            advance(len(batch))
    return kept


def _decode_once(images: Images) -> None:
    """Find an image that cannot be decoded before long work, and not in the middle of it."""
    with progress("checking images", len(images)) as advance:
        for batch in images.pixels.split(batch_size(images.pixels.shape)):
            advance(len(batch))
