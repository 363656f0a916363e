"""One picture out of a file: whatever its mode, as 8-bit pixels of the size that is wanted."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from exitprint.errors import ExitprintError

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode for so many channels."""
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
SIXTEEN_BIT_FORMATS = ("PNG", "PPM")
"""Where mode I, of 32 bits, holds 16."""
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
PLAIN = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "RGBX")
LARGEST = 65535
BACKGROUND = "white"


class Undecodable(Exception):  # noqa: N818
    """Why a picture cannot be read; whoever knows its name makes a sentence of it."""


@dataclass(frozen=True)
class Fit:
    """How pictures are brought to a network's size.

    Attributes
    ----------
    resize
        The shorter side, or (width, height); bilinear with antialiasing. None leaves the size as it is.
    crop
        (width, height) of the part in the middle that is kept, after resizing. None keeps all.
    """

    resize: int | tuple[int, int] | None = None
    crop: tuple[int, int] | None = None

    def __call__(self, picture: Image.Image) -> Image.Image:
        """The picture, resized and cropped.

        Raises `Undecodable` if it is smaller than the crop.
        """
        if self.resize is not None:
            picture = picture.resize(self._size(picture), Image.Resampling.BILINEAR)
        if self.crop is not None:
            if picture.width < self.crop[0] or picture.height < self.crop[1]:
                raise Undecodable(
                    f"is {picture.width}×{picture.height} pixels, smaller than the crop of "
                    f"{self.crop[0]}×{self.crop[1]}: resize first (--resize)"
                )
            left, top = (picture.width - self.crop[0]) // 2, (picture.height - self.crop[1]) // 2
            picture = picture.crop((left, top, left + self.crop[0], top + self.crop[1]))
        return picture

    def _size(self, picture: Image.Image) -> tuple[int, int]:
        if isinstance(self.resize, tuple):
            return self.resize
        assert self.resize is not None
        scale = self.resize / min(picture.width, picture.height)
        return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def fit_of(resize: str | int | None, crop: str | int | None) -> Fit:
    """A `Fit` from what a user wrote: 224 or 224x160 (width × height).

    Raises `ExitprintError` if that is no size.
    """
    width, height = _side("--resize", resize)
    cropped = _side("--crop", crop)
    return Fit(
        None if width is None else width if height is None else (width, height),
        None if cropped[0] is None else (cropped[0], cropped[1] or cropped[0]),
    )


def _side(option: str, text: str | int | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    sides = str(text).lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() and 0 < int(side) <= LARGEST for side in sides):
        raise ExitprintError(f"{option} is a number of pixels, such as 224, or WIDTHxHEIGHT, and not {str(text)!r}.")
    return int(sides[0]), int(sides[1]) if len(sides) == 2 else None


def is_grey(source: bytes | Path) -> bool:
    """Whether a picture has no colours, by its mode.

    Raises `Undecodable` if it is no picture.
    """
    with _opened(source) as picture:
        return picture.mode in GREY


def pixels_of(source: bytes | Path, channels: int, fit: Fit) -> NDArray[np.uint8]:
    """A picture, its bytes or its file, as 8-bit pixels, (height, width, channels), brought to the wanted size.

    It is turned as its EXIF orientation says; 16-bit pixels are scaled; palettes, CMYK and other colours become RGB;
    what is transparent is laid on white, but where `channels` is 4 (1 is grey, 3 are colours). Raises `Undecodable` if
    it is no whole picture, or its pixels could mean several things.
    """
    with _opened(source) as picture:
        try:
            picture.load()
            upright = ImageOps.exif_transpose(picture) if picture.getexif() else picture
            plain = _plain(upright, picture.format, channels)
        except Undecodable:
            raise
        except Exception as error:
            raise Undecodable("cannot be decoded: get a whole copy, or take it out") from error
        pixels = np.asarray(fit(plain))
    return pixels.reshape(*pixels.shape[:2], channels)


def _opened(source: bytes | Path) -> Image.Image:
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    except Exception as error:
        raise Undecodable("cannot be decoded: get a whole copy, or take it out") from error


def _plain(picture: Image.Image, form: str | None, channels: int) -> Image.Image:
    """A picture, from a file of this format, in the mode of these channels."""
    if picture.mode == "I" and form not in SIXTEEN_BIT_FORMATS:
        raise Undecodable("has pixels of 32 bits, whose range is not known: save it with 8 or 16 bits")
    if picture.mode in SIXTEEN_BIT or picture.mode == "I":
        values = np.asarray(picture).astype(np.int64)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert(MODES[channels])
    if picture.mode in TRANSPARENT or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        if channels != 4:
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, BACKGROUND), picture)
    elif picture.mode not in PLAIN:
        raise Undecodable(f"has pixels of Pillow's mode {picture.mode}, whose range is not known: save it as 8-bit RGB")
    return picture.convert(MODES[channels])
