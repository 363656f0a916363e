"""MobileNet (Howard et al. 2017) for small images: one stage for the stem and one per separable block."""

from __future__ import annotations

from torch import nn

from exitprint.errors import ExitprintError
from exitprint.networks.architectures.backbone import Backbone, convolution
from exitprint.networks.heads import FinalClassifier

# (channels as a multiple of the stem's, stride) of the 13 depthwise separable blocks
BLOCKS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *((16, 1),) * 5, (32, 2), (32, 1))
SMALLEST_SIDE = 2


def build(depth: int, width: int, input_shape: tuple[int, int, int], classes: int) -> Backbone:
    """MobileNet's stem and its first `depth` blocks, an internal classifier after each, and the final classifier.

    A block keeps its stride while the feature map is larger than 2×2.

    Raises `ExitprintError` if `depth` is not 1 to 13.
    """
    if not 1 <= depth <= len(BLOCKS):
        raise ExitprintError(f"MobileNet has 1 to {len(BLOCKS)} blocks, and not {depth}.")
    stages: list[nn.Module] = [convolution(input_shape[0], width)]
    channels, side = width, input_shape[1]
    for factor, stride in BLOCKS[:depth]:
        if side <= SMALLEST_SIDE:
            stride = 1
        depthwise = convolution(channels, channels, stride, groups=channels)
        stages.append(nn.Sequential(depthwise, convolution(channels, width * factor, kernel=1)))
        channels, side = width * factor, -(-side // stride)
    return Backbone([*stages, nn.Identity()], FinalClassifier(channels, classes))
