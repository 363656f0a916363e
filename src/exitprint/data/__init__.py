"""Images and labels as tensors, from wherever they lie."""

from __future__ import annotations

from exitprint.data.augment import augment
from exitprint.data.images import ImageData, Images, eight_bit, image_data, split, unit_range
from exitprint.data.load import load_data
from exitprint.data.named import NAMES
from exitprint.data.pixels import LazyPixels, Pixels, batch_size

__all__ = [
    "NAMES",
    "ImageData",
    "Images",
    "LazyPixels",
    "Pixels",
    "augment",
    "batch_size",
    "eight_bit",
    "image_data",
    "load_data",
    "split",
    "unit_range",
]
