"""MSDNet (Huang et al. 2018) for small images: dense connections at several scales, a classifier after each block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.networks.architectures.backbone import Backbone, convolution

FACTORS = (1, 2, 4)
"""Channels of the three scales, as multiples of the finest one's (Huang et al. 2018, on CIFAR)."""
BASE, STEP = 4, 2
"""Layers before the first exit, and between two exits (the same)."""


class MSDLayer(nn.Module):
    """One layer of MSDNet: at every scale new features of this scale and of the finer one, beside those there were.

    Parameters
    ----------
    channels
        Channels that come in at each scale, the finest first.
    growth
        New channels of each scale that goes out, the finest first; as many or fewer scales than come in, and what is
        fewer are the finest.
    """

    def __init__(self, channels: list[int], growth: list[int]) -> None:
        super().__init__()
        dropped = len(channels) - len(growth)
        self.same, self.finer = nn.ModuleList(), nn.ModuleList()
        for place, new in enumerate(growth):
            scale = place + dropped
            share = new // 2 if scale else 0
            self.same.append(_bottleneck(channels[scale], new - share))
            self.finer.append(_bottleneck(channels[scale - 1], share, stride=2) if scale else nn.Identity())
        self.dropped = dropped
        self.channels = [channels[place + dropped] + new for place, new in enumerate(growth)]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Features of each scale, the finest first."""
        given = []
        for place, (same, finer) in enumerate(zip(self.same, self.finer, strict=True)):
            scale = place + self.dropped
            new = [finer(features[scale - 1])] if scale else []
            given.append(torch.cat([features[scale], *new, same(features[scale])], 1))
        return given


class Transition(nn.Module):
    """1×1 convolutions that halve the channels of every scale, where the finest scale was dropped."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.channels = [c // 2 for c in channels]
        self.reduce = nn.ModuleList(
            convolution(c, half, kernel=1) for c, half in zip(channels, self.channels, strict=True)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Features of each scale, the finest first."""
        return [reduce(x) for reduce, x in zip(self.reduce, features, strict=True)]


class MSDStage(nn.Module):
    """Layers up to the next classifier; takes and gives the scales as a tuple, the coarsest first: the exit sees it."""

    def __init__(self, layers: list[nn.Module], first: nn.ModuleList | None = None) -> None:
        super().__init__()
        self.first = first
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Features of every scale, the coarsest first, of an image or of such features."""
        if self.first is not None:
            assert isinstance(x, Tensor)
            features = [self.first[0](x)]
            for layer in self.first[1:]:
                features.append(layer(features[-1]))
        else:
            features = list(x)[::-1]
        for layer in self.layers:
            features = layer(features)
        return tuple(reversed(features))


class MSDClassifier(nn.Module):
    """A classifier on the coarsest scale: two strided 3×3 convolutions, average pooling, one linear layer."""

    def __init__(self, channels: int, inner: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(convolution(channels, inner, stride=2), convolution(inner, inner, stride=2))
        self.linear = nn.Linear(inner, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of the coarsest features."""
        return self.linear(self.convolutions(features).mean((2, 3)))


def build(depth: int, width: int, input_shape: tuple[int, int, int], classes: int) -> Backbone:
    """`depth` blocks, a classifier after each: four layers in the first block and two in every other.

    As in the paper's networks for CIFAR: three scales (two for images below 16×16), growth 6 at width 16, twice and
    four times that at the coarser scales, bottlenecks, and network reduction: the layers are split into as many parts
    as there are scales, and after each part the finest scale is dropped and the channels are halved.

    Raises `ExitprintError` if the network has fewer than 2 blocks, is narrower than 4, or images are smaller than 8×8.
    """
    if depth < 2 or width < 4 or input_shape[1] < 8:
        raise ExitprintError(
            f"MSDNet has at least 2 blocks, a width of at least 4 and images of 8×8, not {depth} blocks, width {width} "
            f"and {input_shape[1]} pixels."
        )
    scales = 3 if input_shape[1] >= 16 else 2
    growth = [max(2, round(6 * width / 16)) * factor for factor in FACTORS[:scales]]
    channels = [width * factor for factor in FACTORS[:scales]]
    total = BASE + STEP * (depth - 1)
    interval = -(-total // scales)
    first = nn.ModuleList(
        convolution(input_shape[0] if not s else channels[s - 1], channels[s], 2 if s else 1) for s in range(scales)
    )
    stages: list[nn.Module] = []
    classifiers: list[nn.Module] = []
    done = 0
    for block in range(depth):
        layers: list[nn.Module] = []
        for _ in range(STEP if block else BASE):
            kept = scales - done // interval
            layer = MSDLayer(channels, growth[scales - kept :])
            layers.append(layer)
            if layer.dropped:
                layers.append(Transition(layer.channels))
            channels = layers[-1].channels  # type: ignore[assignment]
            done += 1
        stages.append(MSDStage(layers, None if block else first))
        classifiers.append(MSDClassifier(channels[-1], 8 * width, classes))
    return Backbone(stages, classifiers[-1], dict(enumerate(classifiers[:-1])))


def _bottleneck(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 1×1 convolution that narrows, then the 3×3 one."""
    narrow = min(inputs, 4 * outputs)
    return nn.Sequential(convolution(inputs, narrow, kernel=1), convolution(narrow, outputs, stride))
