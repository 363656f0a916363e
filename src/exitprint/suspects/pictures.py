"""Images as files, for services that take those."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor

from exitprint.errors import ExitprintError


def encoded(
    x: Tensor,
    picture: str = "png",
    quality: int = 95,
    resize: tuple[int, int] | None = None,
    subsampling: int = 0,
) -> list[bytes]:
    """Each image as a file.

    PNG is written without compression, so that all files of one size are equally long, and reading one takes the
    same time as reading another. A JPEG's length depends on what it shows.

    Raises `ExitprintError` if images of so many channels have no such file.

    Parameters
    ----------
    x
        Images in [0, 1], float32, shape (batch, 1 or 3 or 4, height, width).
    picture
        ``png`` or ``jpeg``.
    quality
        Of JPEG, 1 to 100.
    resize
        Height and width to enlarge or shrink to; whole multiples repeat pixels, anything else is bilinear.
    subsampling
        Of JPEG's colours, as Pillow takes it: 0 for none, 2 for its own default.
    """
    channels = x.shape[1]
    if channels not in (1, 3, 4) or (channels == 4 and picture == "jpeg"):
        raise ExitprintError(f"images of {channels} channels cannot be sent as {picture.upper()} files.")
    pixels = (x * 255).round().clamp(0, 255).to(torch.uint8).cpu()
    files = []
    for each in pixels:
        image = Image.fromarray(each[0].numpy() if channels == 1 else each.permute(1, 2, 0).contiguous().numpy())
        if resize is not None and resize != (image.height, image.width):
            image = image.resize((resize[1], resize[0]), _resampling(image, resize))
        file = io.BytesIO()
        if picture == "png":
            image.save(file, "PNG", compress_level=0)
        else:
            image.save(file, "JPEG", quality=quality, subsampling=subsampling)
        files.append(file.getvalue())
    return files


def _resampling(image: Image.Image, resize: tuple[int, int]) -> Image.Resampling:
    whole = resize[0] % image.height == 0 and resize[1] % image.width == 0
    return Image.Resampling.NEAREST if whole else Image.Resampling.BILINEAR
