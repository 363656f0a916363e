"""Images in NumPy's files: `.npy` holds images alone, `.npz` images and labels, in one part or in several."""

from __future__ import annotations

import mmap
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exitprint.data.images import eight_bit_values
from exitprint.data.parts import MOST_IN_MEMORY, TESTING, TRAINING, Array, Wanted
from exitprint.errors import ExitprintError, told

IMAGE_KEYS = ("x", "image", "images", "data", "pixels", "imgs", "img", "samples")
LABEL_KEYS = ("y", "label", "labels", "targets", "target", "classes")
CHANNELS = (1, 3, 4)


def array_parts(path: Path, wanted: Wanted, where: str) -> dict[str, Array]:
    """The training and the test part of a `.npy` or `.npz` file.

    The keys of an `.npz` are ``x``, ``images``, … and ``y``, ``labels``, …, with the part in front or behind where
    there are several: ``x_train``, ``test_labels``. Raises `ExitprintError` if the file cannot be read, holds pickles,
    or it is not clear what its arrays are.
    """
    if path.suffix.lower() == ".npy":
        if wanted.image is not None or wanted.label is not None:
            raise ExitprintError(
                f"{str(path)!r} holds one array and no columns: leave out --image-column, --label-column."
            )
        wanted.parts(["train"], where)
        with path.open("rb") as file:
            values, release = _mapped(path, file)
        return {"train": _part(values, None, f"the images of {where}", release)}
    members = _members(path)
    found = _parts(members, wanted.image, wanted.label, where)
    parts = {}
    for part, called in wanted.parts(list(found), where).items():
        of_images, of_labels = found[part]
        values, release = _unpacked(path, of_images)
        labels = None if of_labels is None else _unpacked(path, of_labels)[0]
        parts[part] = _part(values, labels, called, release)
    return parts


def _members(path: Path) -> list[str]:
    unreadable = told(f"{str(path)!r} cannot be read as an .npz file: get a whole copy.", (OSError, zipfile.BadZipFile))
    with unreadable, zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _parts(members: list[str], image: str | None, label: str | None, where: str) -> dict[str, tuple[str, str | None]]:
    """For each part the names of the arrays of its images and of its labels."""
    for given in (image, label):
        if given is not None and given not in members:
            raise ExitprintError(f"{where} has no array {given!r} (it has {', '.join(members)}).")
    if image is not None:
        return {"train": (image, label)}
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    for name in members:
        part, role = _told_by(name)
        wanted = images if role in IMAGE_KEYS else labels if role in LABEL_KEYS else None
        if wanted is None:
            continue
        if part in wanted:
            raise ExitprintError(
                f"{where} has both {wanted[part]!r} and {name!r}: say which (--image-column, --label-column)."
            )
        wanted[part] = name
    if not images and len(members) == 1:
        images["train"] = members[0]
    if not images:
        raise ExitprintError(
            f"it is not clear which array of {where} holds images ({', '.join(members) or 'there is none'}): name it "
            "(--image-column, --label-column)."
        )
    if label is not None:
        labels = {"train": label}
    return {part: (name, labels.get(part)) for part, name in images.items()}


def _told_by(name: str) -> tuple[str, str]:
    """Part and role that the name of an array tells: x_train is (train, x)."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    part = next((word for word in words if word in (*TRAINING, *TESTING)), "train")
    return part, "_".join(word for word in words if word not in (*TRAINING, *TESTING))


def _unpacked(path: Path, member: str) -> tuple[NDArray[Any], Callable[[], None]]:
    """An array of an archive, mapped into memory from a file without a name where it is large."""
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryFile() as file:
        broken = f"{member!r} in {str(path)!r} cannot be unpacked: get a whole copy."
        with told(broken, (OSError, zipfile.BadZipFile, EOFError, zlib.error)), archive.open(f"{member}.npy") as packed:
            while block := packed.read(1 << 24):
                file.write(block)
        file.flush()
        file.seek(0)
        return _mapped(path, file)


def _mapped(path: Path, file: Any) -> tuple[NDArray[Any], Callable[[], None]]:
    """The array of an open `.npy` file, and what lets its pages go again; a small one is read."""
    with told(
        f"{str(path)!r} cannot be read as NumPy's file: get a whole copy.", (OSError, ValueError, SyntaxError, EOFError)
    ):
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, in_columns, dtype = read(file)
    if dtype.hasobject:
        raise ExitprintError(f"{str(path)!r} holds pickled objects, which could run code: save plain numbers.")
    number = int(np.prod(shape))
    start = file.tell()
    whole = start + number * dtype.itemsize
    if file.seek(0, 2) < whole:
        raise ExitprintError(f"{str(path)!r} is cut short: get a whole copy.")
    if not number:
        return np.empty(shape, dtype), lambda: None
    mapped = mmap.mmap(file.fileno(), whole, access=mmap.ACCESS_READ)
    values = np.frombuffer(mapped, dtype, number, start).reshape(shape, order="F" if in_columns else "C")
    if values.nbytes <= MOST_IN_MEMORY:
        return np.array(values), lambda: None
    return values, lambda: mapped.madvise(mmap.MADV_DONTNEED)


def _part(values: NDArray[Any], labels: NDArray[Any] | None, where: str, release: Callable[[], None]) -> Array:
    """An array in any usual layout and number format, as images."""
    shaped = _channels_last(values, where)
    if labels is not None and len(labels) != len(shaped):
        raise ExitprintError(f"{where} has {len(shaped)} images and {len(labels)} labels: give one for each.")
    if shaped.dtype != np.uint8:
        shaped = _eight_bit(shaped, where)
    if len(shaped) and not any(bool((shaped[i : i + 256] > 1).any()) for i in range(0, len(shaped), 256)):
        raise ExitprintError(
            f"{where} has no pixel above 1, as 8-bit pixels all black: were they numbers in [0, 1] that lost their "
            "fractions? Save those as they were."
        )
    release()
    return Array(shaped, where, labels, None, release)


def _channels_last(values: NDArray[Any], where: str) -> NDArray[Any]:
    if values.ndim == 3:
        return values[..., None]
    if values.ndim == 4 and values.shape[3] in CHANNELS and values.shape[1] not in CHANNELS:
        return values
    if values.ndim == 4 and values.shape[1] in CHANNELS and values.shape[3] not in CHANNELS:
        return values.transpose(0, 2, 3, 1)
    raise ExitprintError(
        f"{where} is an array of shape {values.shape}, and images have (images, height, width), with 1, 3 or 4 "
        "channels behind, or in front of the height."
    )


def _eight_bit(values: NDArray[Any], where: str) -> NDArray[np.uint8]:
    numbers = values.astype(np.int64) if values.dtype.kind == "u" and values.dtype != np.uint16 else values
    return eight_bit_values(torch.from_numpy(np.ascontiguousarray(numbers)), where).numpy()
