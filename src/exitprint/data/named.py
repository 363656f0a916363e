"""Data sets by name, from the Hugging Face hub or from a folder in the hub's layout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from exitprint.data.images import ImageData, split_numbers
from exitprint.data.parts import Array, Encoded, Wanted, data_of
from exitprint.data.picture import Fit
from exitprint.data.shards import shards
from exitprint.data.tables import encoded, from_parquet, quiet_datasets
from exitprint.errors import ExitprintError

DATA_DIR_VARIABLE = "EXITPRINT_DATA_DIR"
DIGITS = "digits"
DIGITS_TESTED = 500


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
NAMES = (DIGITS, *SOURCES)


def load_named(name: str, data_dir: str | os.PathLike[str] | None, wanted: Wanted) -> ImageData:
    """One of `NAMES`; `data_dir` as in `load_data`."""
    if name == DIGITS:
        if (wanted.split, wanted.image, wanted.label) != (None, None, None):
            raise ExitprintError(
                "digits has neither columns nor parts to choose: leave out the options that name them."
            )
        return data_of(name, _digits(), wanted)
    source = SOURCES[name]
    folder = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    tables = _from_folder(name, Path(folder) / name, wanted) if folder else _from_hub(source, wanted.split)
    parts = {part: _part(table, f"the {part} part of {name}", source, wanted) for part, table in tables.items()}
    read = replace(wanted, channels=wanted.channels or source.channels)
    data = data_of(name, parts, read, source.flips, None if wanted.label else source.classes)
    if wanted.fit == Fit() and data.input_shape[1:] != (source.side, source.side):
        raise ExitprintError(
            f"the images of {name} are {data.input_shape[2]}×{data.input_shape[1]} pixels where {source.side}×"
            f"{source.side} is expected: get the original data set."
        )
    return data


def _digits() -> Mapping[str, Array]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    train, test = split_numbers(len(pixels), bunch.target, DIGITS_TESTED, seed=0)
    names = [str(name) for name in bunch.target_names]
    return {
        part: Array(pixels[numbers], f"the {part} part of digits", bunch.target[numbers], names)
        for part, numbers in (("train", train), ("test", test))
    }


def _part(rows: Any, where: str, source: Source, wanted: Wanted) -> Encoded:
    image, label = wanted.image or source.image, wanted.label or source.label
    for column in (image, label):
        if column not in rows.column_names:
            raise ExitprintError(
                f"{where} has no column {column!r} (it has {', '.join(rows.column_names)}): use the layout of "
                f"{source.repository} on the Hugging Face hub."
            )
    part = encoded(rows, where, replace(wanted, image=image, label=label))
    assert part.labels is not None
    if wanted.label is None:
        if not all(isinstance(value, int) for value in part.labels):
            raise ExitprintError(
                f"the column {source.label!r} of {where} holds other things than class numbers: use the layout of "
                f"{source.repository} on the Hugging Face hub."
            )
        part.class_names = [str(number) for number in range(source.classes)]
    return part


def _from_folder(name: str, root: Path, wanted: Wanted) -> dict[str, Any]:
    found = shards(root) if root.is_dir() else {}
    if not found:
        raise ExitprintError(
            f"there is no train*.parquet under {str(root)!r}: point --data-dir at the folder that holds {name}/."
        )
    named = wanted.parts(list(found), name)
    if wanted.split is None and len(named) < 2:
        raise ExitprintError(f"there is no test*.parquet or valid*.parquet under {str(root)!r}: get a whole copy.")
    return {part: from_parquet(found[part]) for part in named}


def _from_hub(source: Source, split: str | None) -> dict[str, Any]:
    datasets = quiet_datasets()
    wanted = split.split(",") if split else ["train", source.test_split]
    try:
        return {part: datasets.load_dataset(source.repository, split=part) for part in wanted}
    except Exception as error:
        raise ExitprintError(
            f"{source.repository} could not be had from the Hugging Face hub ({type(error).__name__}): "
            "check the network, or give a local copy with --data-dir."
        ) from error
