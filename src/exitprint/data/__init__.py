"""Images and labels as tensors, by name."""

from __future__ import annotations

from exitprint.data.augment import augment
from exitprint.data.images import ImageData, Images, eight_bit, image_data, split, unit_range
from exitprint.data.named import NAMES, load_data

__all__ = [
    "NAMES",
    "ImageData",
    "Images",
    "augment",
    "eight_bit",
    "image_data",
    "load_data",
    "split",
    "unit_range",
]
