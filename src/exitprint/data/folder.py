"""A folder of images: one folder a class, or flat and without labels; in one part, or in train/ and test/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from exitprint.data.parts import TESTING, TRAINING, Encoded, Wanted
from exitprint.data.tables import encoded, quiet_datasets
from exitprint.errors import ExitprintError, told

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".ppm",
    ".pgm",
    ".pbm",
    ".jp2",
    ".avif",
)
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def image_folder(root: Path, wanted: Wanted, where: str) -> dict[str, Encoded]:
    """The training and the test part of a folder of images.

    Folders that are called as parts are (train, test, valid, …) are parts. Inside a part, images lie in one folder a
    class, or together, when there are no labels. A folder with a ``metadata.csv`` is read as `datasets` reads it:
    columns are those of that file. Raises `ExitprintError` if there are no images, or some lie beside the class
    folders.
    """
    if any((folder / name).is_file() for folder in (root, *_folders(root)) for name in METADATA):
        return _with_metadata(root, wanted, where)
    folders = _folders(root)
    are_parts = (
        bool(folders) and not _images(root) and all(each.name.lower() in (*TRAINING, *TESTING) for each in folders)
    )
    parts = {each.name.lower(): each for each in folders} if are_parts else {"train": root}
    return {part: _part(parts[part], called) for part, called in wanted.parts(list(parts), where).items()}


def holds_images(root: Path) -> bool:
    """Whether there are images in a folder, or in one below it."""
    return any(path.suffix.lower() in SUFFIXES for path in root.rglob("*"))


def _part(folder: Path, where: str) -> Encoded:
    classes = _folders(folder)
    if len(classes) <= 1:
        paths, labels = sorted(path for each in (folder, *classes) for path in _images(each, deep=each != folder)), None
    else:
        loose = _images(folder)
        if loose:
            raise ExitprintError(
                f"{str(loose[0])!r} lies beside folders of classes, such as {classes[0].name!r}: put every image into "
                "the folder of its class, or all of them together."
            )
        paths, labels = [], []
        for each in classes:
            own = _images(each, deep=True)
            if not own:
                raise ExitprintError(f"the folder {str(each)!r} of a class holds no images: fill it, or take it away.")
            paths += own
            labels += [each.name] * len(own)
    if not paths:
        raise ExitprintError(f"there are no images in {str(folder)!r}: check the path.")
    return _encoded(paths, None if labels is None else np.array(labels), where)


def _encoded(paths: list[Path], labels: Any, where: str) -> Encoded:
    import datasets

    rows = datasets.Dataset.from_dict({"image": [str(path) for path in paths]})
    return Encoded(rows, "image", where, labels, None, from_files=True)


def _with_metadata(root: Path, wanted: Wanted, where: str) -> dict[str, Encoded]:
    with told(f"{str(root)!r} cannot be read by its metadata file ({{why}}): mend the file."):
        tables = quiet_datasets().load_dataset("imagefolder", data_dir=str(root), drop_labels=True)
    named = wanted.parts(list(tables), where)
    return {part: encoded(tables[part], called, wanted, from_files=True) for part, called in named.items()}


def _visible(path: Path) -> bool:
    return not path.name.startswith((".", "__"))


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and _visible(path))


def _images(folder: Path, deep: bool = False) -> list[Path]:
    paths = folder.rglob("*") if deep else folder.iterdir()
    return sorted(path for path in paths if path.suffix.lower() in SUFFIXES and _visible(path) and path.is_file())
