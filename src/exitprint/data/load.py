"""Data sets: by name, from a folder of images, from NumPy's or parquet files, or from the Hugging Face hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from exitprint.data.arrays import array_parts
from exitprint.data.folder import holds_images, image_folder
from exitprint.data.images import ImageData
from exitprint.data.named import NAMES, load_named
from exitprint.data.parts import Part, Wanted, data_of
from exitprint.data.picture import MODES, fit_of
from exitprint.data.tables import ON_THE_HUB, from_hub, parquet
from exitprint.errors import ExitprintError, check_there

ARRAYS = (".npy", ".npz")
PARQUET = ".parquet"


def load_data(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    split: str | None = None,
    resize: str | int | None = None,
    crop: str | int | None = None,
    channels: int | None = None,
) -> ImageData:
    """A data set, split into training, calibration and test images.

    Where it is in one part, three tenths of the images are kept back for testing, or eight where they have no labels.

    Parameters
    ----------
    name
        ``digits`` (comes with scikit-learn, nothing is downloaded), ``cifar10``, ``cifar100``, ``tiny-imagenet`` or
        ``fashion-mnist``; a folder of images, one folder a class, or flat and without labels; a ``.npz`` or ``.npy``
        file; a ``.parquet`` file, a pattern of them, or a folder of them in the hub's layout; or a data set on the
        Hugging Face hub, ``owner/name`` or ``owner/name:configuration``.
    data_dir
        For the five names: folder with ``NAME/train*.parquet`` and ``NAME/test*.parquet`` (or ``valid*``) in the hub's
        layout; by default the environment variable ``EXITPRINT_DATA_DIR``, else the hub is asked.
    limit
        Use this many training images (a seeded, stratified choice) and at most as many test images.
    seed
        Seed of the calibration split and of the choice that `limit` makes.
    image_column, label_column
        Columns of a table, or arrays of an ``.npz``, where they are not found by themselves.
    split
        The part to use, or two of them with a comma between, for training and for testing.
    resize
        224 for the shorter side, ``224x160`` for width and height.
    crop
        224 or ``224x160``: the middle that is kept, after resizing.
    channels
        1, 3 or 4; by default 1 where all images are grey, else 3, and what an array has.

    Raises
    ------
    ExitprintError
        If there is no such data set, an image cannot be decoded or differs in size, a file, a column or a label is
        missing or does not fit, or the hub cannot be reached.
    """
    if limit is not None and limit < 1:
        raise ExitprintError(f"the number of images must be positive, and not {limit}.")
    if channels is not None and channels not in MODES:
        raise ExitprintError(f"images have 1, 3 or 4 channels, and not {channels}.")
    wanted = Wanted(split, image_column, label_column, fit_of(resize, crop), channels, limit, seed)
    if name in NAMES:
        return load_named(name, data_dir, wanted)
    path = Path(name).expanduser()
    called = path.resolve().name if path.exists() else name
    parts: Mapping[str, Part]
    if path.is_dir():
        read = image_folder if holds_images(path) else parquet
        parts = read(path, wanted, called)
    elif path.suffix.lower() == PARQUET:
        parts = parquet(path, wanted, called)
    elif path.suffix.lower() in ARRAYS:
        check_there(path)
        parts = array_parts(path, wanted, called)
    elif path.exists():
        raise ExitprintError(f"{name!r} is no folder of images and no .npz, .npy or .parquet file: use one of them.")
    elif ON_THE_HUB.fullmatch(name) and not name.startswith("."):
        parts = from_hub(name, wanted)
    else:
        raise ExitprintError(
            f"unknown data set {name!r}: use one of {', '.join(NAMES)}, a folder of images, a .npz, .npy or .parquet "
            "file, or owner/name on the Hugging Face hub."
        )
    return data_of(called, parts, wanted)
