"""Data sets by name, read with Hugging Face `datasets` from the hub or from a folder in the hub's layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exitprint.data.images import ImageData, Images, image_data, split
from exitprint.errors import ExitprintError

DATA_DIR_VARIABLE = "EXITPRINT_DATA_DIR"


@dataclass(frozen=True)
class Source:
    """Where a data set comes from and how its columns are called."""

    repository: str
    image: str
    label: str
    test_split: str
    side: int
    channels: int
    classes: int
    flips: bool


SOURCES = {
    "cifar10": Source("uoft-cs/cifar10", "img", "label", "test", 32, 3, 10, True),
    "cifar100": Source("uoft-cs/cifar100", "img", "fine_label", "test", 32, 3, 100, True),
    "tiny-imagenet": Source("zh-plus/tiny-imagenet", "image", "label", "valid", 64, 3, 200, True),
    "fashion-mnist": Source("zalando-datasets/fashion_mnist", "image", "label", "test", 28, 1, 10, True),
}
NAMES = ("digits", *SOURCES)


def load_data(
    name: str, data_dir: str | os.PathLike[str] | None = None, limit: int | None = None, seed: int = 0
) -> ImageData:
    """A data set by name.

    Parameters
    ----------
    name
        ``digits`` (comes with scikit-learn, nothing is downloaded), ``cifar10``, ``cifar100``, ``tiny-imagenet`` or
        ``fashion-mnist``.
    data_dir
        Folder with ``NAME/train*.parquet`` and ``NAME/test*.parquet`` (or ``valid*``) in the hub's layout; by
        default the environment variable ``EXITPRINT_DATA_DIR``, else the hub is asked.
    limit
        Use this many training images (a seeded, stratified choice) and at most as many test images.
    seed
        Seed of the calibration split and of the choice that `limit` makes.

    Raises
    ------
    ExitprintError
        If the name is unknown, a file or a column is missing, or the hub cannot be reached.
    """
    if limit is not None and limit < 1:
        raise ExitprintError(f"the number of images must be positive, and not {limit}.")
    if name == "digits":
        images = _digits()
        train, test = split(images, 500, seed=0)
        return image_data(name, _limited(train, limit, seed), _limited(test, limit, seed), 10, flips=False, seed=seed)
    if name not in SOURCES:
        raise ExitprintError(f"unknown data set {name!r}: use one of {', '.join(NAMES)}.")
    source = SOURCES[name]
    folder = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    train = _read(name, source, folder, "train", limit, seed)
    test = _read(name, source, folder, source.test_split, limit, seed)
    return image_data(name, train, test, source.classes, source.flips, seed=seed)


def _digits() -> Images:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return Images(torch.from_numpy(pixels)[:, None], torch.from_numpy(bunch.target).long())


def _limited(images: Images, limit: int | None, seed: int) -> Images:
    return images if limit is None or limit >= len(images) else split(images, limit, seed)[1]


def _read(
    name: str, source: Source, folder: str | os.PathLike[str] | None, part: str, limit: int | None, seed: int
) -> Images:
    import datasets

    datasets.disable_progress_bars()
    table = _from_folder(name, Path(folder), part) if folder else _from_hub(source, part)
    missing = [column for column in (source.image, source.label) if column not in table.column_names]
    if missing:
        raise ExitprintError(
            f"the {part} file of {name} has no column {missing[0]!r} (it has {', '.join(table.column_names)}): "
            f"use the layout of {source.repository} on the Hugging Face hub."
        )
    numbers = np.asarray(table[source.label])
    if numbers.dtype.kind not in "iu":
        raise ExitprintError(
            f"the column {source.label!r} of the {part} file of {name} holds other things than class numbers: "
            f"use the layout of {source.repository} on the Hugging Face hub."
        )
    labels = torch.tensor(numbers, dtype=torch.long)
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= source.classes:
        raise ExitprintError(
            f"the {part} file of {name} holds no images, or labels outside 0 to {source.classes - 1}: get a whole copy."
        )
    if limit is not None and limit < len(labels):
        chosen = split(Images(torch.arange(len(labels)), labels), limit, seed)[1].pixels
        table, labels = table.select(chosen.tolist()), labels[chosen]
    pixels = np.empty((len(labels), source.side, source.side, source.channels), np.uint8)
    for index, image in enumerate(_decoded(name, source, part, table)):
        if image.shape[:2] != (source.side, source.side):
            raise ExitprintError(
                f"image {index} of the {part} file of {name} is {image.shape[1]}×{image.shape[0]} pixels where "
                f"{source.side}×{source.side} is expected: get the original data set."
            )
        pixels[index] = image.reshape(source.side, source.side, source.channels)
    return Images(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), labels)


def _decoded(name: str, source: Source, part: str, table: Any) -> Iterator[np.ndarray]:
    import datasets

    decoded = 0
    try:
        images = table.select_columns([source.image]).cast_column(source.image, datasets.Image(mode=_mode(source)))
        for row in images:
            yield np.asarray(row[source.image].convert(_mode(source)))
            decoded += 1
    except Exception as error:
        raise ExitprintError(
            f"image {decoded} of the {part} file of {name} cannot be decoded: get a whole copy."
        ) from error


def _mode(source: Source) -> str:
    return "RGB" if source.channels == 3 else "L"


def _from_folder(name: str, folder: Path, part: str) -> Any:
    import datasets

    root = folder / name
    files = sorted(str(path) for path in root.rglob(f"{part}*.parquet"))
    if not files:
        raise ExitprintError(
            f"there is no {part}*.parquet under {str(root)!r}: point --data-dir at the folder that holds {name}/."
        )
    try:
        return datasets.Dataset.from_parquet(files, cache_dir=None, keep_in_memory=True)
    except Exception as error:
        raise ExitprintError(f"{files[0]!r} cannot be read as parquet: get a whole copy.") from error


def _from_hub(source: Source, part: str) -> Any:
    import datasets

    try:
        return datasets.load_dataset(source.repository, split=part)
    except Exception as error:
        raise ExitprintError(
            f"{source.repository} could not be had from the Hugging Face hub ({type(error).__name__}): "
            "check the network, or give a local copy with --data-dir."
        ) from error
