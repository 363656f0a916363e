"""Tables of images as Hugging Face `datasets` reads them, from parquet files and from the hub: their columns."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from exitprint.data.parts import Encoded, Wanted
from exitprint.data.shards import shards
from exitprint.errors import ExitprintError, told

ON_THE_HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(:(?P<configuration>[\w.+-]+))?")
IMAGE_COLUMNS = ("image", "img", "picture", "photo", "png", "jpg", "jpeg", "webp", "pixel_values", "x")
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "y", "cls", "class_label")


def quiet_datasets() -> Any:
    """Hugging Face `datasets`, which neither draws bars nor logs what ends in a sentence of ours."""
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    return datasets


def parquet(path: Path, wanted: Wanted, where: str) -> dict[str, Encoded]:
    """The training and the test part of parquet files: one, several (a pattern), or a folder in the hub's layout."""
    if path.is_dir():
        files = shards(path)
    elif path.is_file():
        files = {"train": [path]}
    else:
        files = {"train": [Path(found) for found in sorted(glob.glob(str(path)))]}
    if not any(files.values()):
        raise ExitprintError(f"there is no parquet file {str(path)!r}: check the path.")
    named = wanted.parts(list(files), where)
    return {part: encoded(from_parquet(files[part]), called, wanted) for part, called in named.items()}


def from_parquet(files: Sequence[Path]) -> Any:
    """The rows of parquet files, as `datasets` reads them."""
    datasets = quiet_datasets()
    with told(f"{str(files[0])!r} cannot be read as parquet: get a whole copy."):
        return datasets.Dataset.from_parquet([_escaped(path) for path in files])


def _escaped(path: Path) -> str:
    """A path that `datasets` takes literally, whatever is in it."""
    return re.sub(r"([\[*?])", r"[\1]", str(path))


def from_hub(name: str, wanted: Wanted) -> dict[str, Encoded]:
    """The training and the test part of a data set on the Hugging Face hub, ``owner/name`` or ``owner/name:config``."""
    datasets = quiet_datasets()
    match = ON_THE_HUB.fullmatch(name)
    assert match is not None
    repository, configuration = match["repository"], match["configuration"]
    try:
        found = datasets.get_dataset_split_names(repository, configuration)
        named = wanted.parts([str(part) for part in found], name)
        tables = {part: datasets.load_dataset(repository, configuration, split=part) for part in named}
    except ExitprintError:
        raise
    except Exception as error:
        raise ExitprintError(_why_not_had(name, error)) from error
    return {part: encoded(table, named[part], wanted) for part, table in tables.items()}


def _why_not_had(name: str, error: Exception) -> str:
    if isinstance(error, ValueError) and "onfig name is missing" in str(error):
        known = re.findall(r"\[(.*?)\]", str(error))
        choices = known[0].replace("'", "") if known else "see its page"
        return f"{name} has several configurations ({choices}): name one, {name}:CONFIGURATION."
    return (
        f"{name} is no file or folder here and could not be had from the Hugging Face hub ({type(error).__name__}): "
        "check the name and the network, or give a local copy."
    )


def encoded(rows: Any, where: str, wanted: Wanted, from_files: bool = False) -> Encoded:
    """A table with the columns of images and labels found, or as they were given.

    Raises `ExitprintError` if a column is not there, or it is not clear which it is.
    """
    import datasets

    features = rows.features
    for given in (wanted.image, wanted.label):
        if given is not None and given not in features:
            raise ExitprintError(f"{where} has no column {given!r} (it has {', '.join(features)}).")
    pictures = wanted.image or _image_column(features, where)
    known = wanted.label or _label_column(features, where, pictures)
    labels = names = None
    if known is not None:
        kind = features[known]
        names = kind.names if isinstance(kind, datasets.ClassLabel) else None
        values = rows[known][:]
        labels = np.empty(len(values), object)
        labels[:] = values
    return Encoded(rows, pictures, where, labels, names, from_files)


def _image_column(features: Any, where: str) -> str:
    import datasets

    kinds = {name: kind for name, kind in features.items() if _holds_pictures(kind)}
    exact = [name for name, kind in kinds.items() if isinstance(kind, datasets.Image)]
    found = exact or list(kinds)
    if len(found) > 1:
        found = [name for name in IMAGE_COLUMNS if name in found] or found
    if not found:
        raise ExitprintError(
            f"{where} has no column of images (it has {', '.join(features)}): name it (--image-column), or use a file "
            "whose column holds encoded pictures."
        )
    if len(found) > 1 and found[0] not in IMAGE_COLUMNS:
        raise ExitprintError(
            f"{where} has several columns of images ({', '.join(found)}): choose one (--image-column)."
        )
    return found[0]


def _holds_pictures(kind: Any) -> bool:
    import datasets

    if isinstance(kind, dict):
        return "bytes" in kind
    return isinstance(kind, datasets.Image) or (isinstance(kind, datasets.Value) and "binary" in kind.dtype)


def _label_column(features: Any, where: str, image: str) -> str | None:
    import datasets

    found = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    found = found or [name for name in features if name.lower() in LABEL_COLUMNS and name != image]
    preferred = [name for name in LABEL_COLUMNS if name in found]
    if len(found) > 1 and not preferred:
        raise ExitprintError(
            f"{where} has several columns of labels ({', '.join(found)}): choose one (--label-column)."
        )
    return (preferred or found or [None])[0]
