"""Augmentation as batched tensor code: the whole batch at once, on whatever device it is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def random_crop(pixels: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Shift each image by up to `padding` pixels each way, black coming in; shape (batch, channels, side, side)."""
    batch, _, height, width = pixels.shape
    padded = F.pad(pixels, (padding,) * 4)
    shift = torch.randint(0, 2 * padding + 1, (2, batch, 1), generator=generator).to(pixels.device)
    rows = shift[0] + torch.arange(height, device=pixels.device)
    columns = shift[1] + torch.arange(width, device=pixels.device)
    index = torch.arange(batch, device=pixels.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def random_flip(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half."""
    flip = torch.rand(len(pixels), 1, 1, 1, generator=generator).to(pixels.device) < 0.5
    return torch.where(flip, pixels.flip(3), pixels)


def augment(pixels: Tensor, flips: bool, generator: torch.Generator) -> Tensor:
    """Random crop by an eighth of the side and, where `flips`, a random mirror image."""
    cropped = random_crop(pixels, max(1, pixels.shape[-1] // 8), generator)
    return random_flip(cropped, generator) if flips else cropped
