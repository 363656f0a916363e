"""Pictures for data tests: small files of every kind that Pillow writes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def noise(seed: int = 0, width: int = 8, height: int = 8, mode: str = "RGB") -> Image.Image:
    """A picture of noise."""
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, *channels), np.uint8)
    return Image.fromarray(pixels, mode)


def png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a PNG."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def folder_of_classes(root: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 20, side: int = 8) -> Path:
    """One folder a class, so many PNGs of noise in each."""
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(each):
            noise(1000 * number + index, side, side).save(root / name / f"{index:03}.png")
    return root


def table(path: Path, labels: list, pictures: list[bytes] | None = None, columns: tuple[str, str] = ("image", "label")):
    """A parquet file with a picture of noise for each label."""
    pictures = pictures or [png(noise(index)) for index in range(len(labels))]
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"bytes": content, "path": None} for content in pictures]
    pq.write_table(pa.table({columns[0]: rows, columns[1]: labels}), path)
    return path
