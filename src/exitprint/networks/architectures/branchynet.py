"""BranchyNet (Teerapittayanon et al. 2016): the B-AlexNet for small images, an AlexNet with two side branches."""

from __future__ import annotations

from torch import nn

from exitprint.errors import ExitprintError
from exitprint.networks.architectures.backbone import Backbone, convolution
from exitprint.networks.heads import FinalClassifier

CONVOLUTIONS = 5


def build(depth: int, width: int, input_shape: tuple[int, int, int], classes: int) -> Backbone:
    """Five convolutions and two hidden linear layers, a branch after each of the first two convolutions.

    The paper's AlexNet normalises responses locally; this one has batch normalisation in their place, as its later
    implementations do. Groups whose map is one pixel already are not pooled.

    Raises `ExitprintError` if `depth` is not 5.
    """
    if depth != CONVOLUTIONS:
        raise ExitprintError(f"BranchyNet's AlexNet has {CONVOLUTIONS} convolutions, and not {depth}.")
    side = input_shape[1]
    stages: list[nn.Module] = []
    channels = [input_shape[0], width, 2 * width, 3 * width, 3 * width, 2 * width]
    sides = []
    for layer in range(CONVOLUTIONS):
        made: nn.Module = convolution(channels[layer], channels[layer + 1], kernel=5 if layer < 2 else 3)
        if layer in (0, 1, 4) and side > 1:
            made = nn.Sequential(made, nn.MaxPool2d(3, 2, 1))
            side = -(-side // 2)
        stages.append(made)
        sides.append(side)
    hidden = nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels[-1] * side * side, 8 * width),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(8 * width, 4 * width),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
    )
    branches = {
        0: _branch(channels[1], sides[0], classes, convolutions=2),
        1: _branch(channels[2], sides[1], classes, convolutions=1),
    }
    return Backbone([*stages, hidden], FinalClassifier(4 * width, classes), branches)


def _branch(channels: int, side: int, classes: int, convolutions: int) -> nn.Module:
    """A side branch: 3×3 convolutions, pooling, and one linear layer."""
    pooled = -(-side // 2)
    return nn.Sequential(
        *(convolution(channels, channels) for _ in range(convolutions)),
        nn.MaxPool2d(3, 2, 1),
        nn.Flatten(),
        nn.Linear(channels * pooled * pooled, classes),
    )
