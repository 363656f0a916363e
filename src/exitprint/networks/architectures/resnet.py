"""ResNet for small images (He et al. 2016), with zero-padding shortcuts: one stage per residual block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exitprint.errors import ExitprintError
from exitprint.networks.architectures.backbone import Backbone, convolution
from exitprint.networks.heads import FinalClassifier


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a parameter-free shortcut (option A of He et al.)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, stride)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.padding = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, channels, side, side) after this block."""
        return torch.relu_(self.norm(self.second(self.first(x))).add_(self.shortcut(x)))

    def shortcut(self, x: Tensor) -> Tensor:
        """What is added to the block's own features."""
        if self.padding or self.stride > 1:
            return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding))
        return x


def build(depth: int, width: int, input_shape: tuple[int, int, int], classes: int) -> Backbone:
    """ResNet of 6k + 2 layers: 3k blocks, an internal classifier after each, and the final classifier.

    Raises `ExitprintError` if `depth` is not 6k + 2 or `width` is odd.
    """
    if depth < 8 or depth % 6 != 2:
        raise ExitprintError(f"a ResNet has 6k + 2 layers (8, 14, 20, 32, 56, …), and not {depth}.")
    if width % 2:
        raise ExitprintError(f"a ResNet with zero-padding shortcuts needs an even width, and not {width}.")
    blocks: list[nn.Module] = []
    channels = width
    for group in range(3):
        for position in range((depth - 2) // 6):
            outputs = width * 2**group
            blocks.append(ResidualBlock(channels, outputs, 2 if group and not position else 1))
            channels = outputs
    stem = convolution(input_shape[0], width)
    return Backbone(
        [nn.Sequential(stem, blocks[0]), *blocks[1:], nn.Identity()],
        FinalClassifier(channels, classes),
    )
