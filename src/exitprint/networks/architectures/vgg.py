"""VGG with batch normalisation for small images: one stage per convolution, one for the hidden linear layer."""

from __future__ import annotations

from torch import nn

from exitprint.errors import ExitprintError
from exitprint.networks.architectures.backbone import Backbone, convolution
from exitprint.networks.heads import FinalClassifier

CONVOLUTIONS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
CHANNELS = (1, 2, 4, 8, 8)


def build(depth: int, width: int, input_shape: tuple[int, int, int], classes: int) -> Backbone:
    """VGG by its usual number: its convolutions and one hidden linear layer, an internal classifier after each.

    VGG-16 has 13 convolutions, so 14 internal classifiers and the final one. A max-pooling that ends a group
    belongs to the group's last stage; groups whose map is one pixel already are not pooled.

    Raises `ExitprintError` if there is no VGG of this depth.
    """
    if depth not in CONVOLUTIONS:
        raise ExitprintError(f"VGG comes in depths {', '.join(map(str, CONVOLUTIONS))}, and not {depth}.")
    stages: list[nn.Module] = []
    channels, side = input_shape[0], input_shape[1]
    for convolutions, factor in zip(CONVOLUTIONS[depth], CHANNELS, strict=True):
        for _ in range(convolutions):
            stages.append(convolution(channels, width * factor))
            channels = width * factor
        if side > 1:
            stages[-1] = nn.Sequential(stages[-1], nn.MaxPool2d(2))
            side //= 2
    hidden = nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, channels), nn.ReLU(inplace=True))
    return Backbone([*stages, hidden, nn.Dropout(0.5)], FinalClassifier(channels, classes))
