"""The exit head of a shallow-deep network: feature reduction, then one linear layer (Kaya et al. 2019)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exitprint.errors import ExitprintError

POOLED_SIDE = 4
"""Side to which a head pools its features; 4 is Kaya and Dumitras's (2019)."""


class ExitHead(nn.Module):
    """Internal classifier of an SDN: a learned mix of max and average pooling, then one linear layer.

    Feature maps (batch, channels, side, side) are pooled to about 4×4, token sequences (batch, tokens, features) over
    all tokens; smaller maps and vectors (batch, features) go to the linear layer as they are.

    Parameters
    ----------
    shape
        Shape of one input's features: (channels, height, width), (tokens, features) or (features,).
    classes
        Number of classes.

    Raises
    ------
    ExitprintError
        If features have another number of dimensions.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        if not 1 <= len(shape) <= 3:
            raise ExitprintError(f"an exit sees vectors, token sequences or feature maps, and not features of {shape}.")
        if len(shape) == 3:
            self.kernel = max(1, round(min(shape[1:]) / POOLED_SIDE))
        else:
            self.kernel = shape[0] if len(shape) == 2 else 1
        self.mix = nn.Parameter(torch.tensor(0.5)) if self.kernel > 1 else None
        sides = [side // self.kernel for side in shape[1:]] if len(shape) == 3 else []
        self.linear = nn.Linear((shape[1] if len(shape) == 2 else shape[0]) * math.prod(sides), classes)

    def pool(self, features: Tensor) -> Tensor:
        """What the head computes without its weights, shape (batch, pooled features).

        Max-pooled and average-pooled features side by side, or the features themselves where nothing is pooled.
        """
        if self.kernel == 1:
            return features.flatten(1)
        return torch.cat([part.flatten(1) for part in self._pooled(features)], 1)

    def _pooled(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features pooled by their maximum and by their average."""
        if features.ndim == 3:
            return features.amax(1), features.mean(1)
        return torch.max_pool2d(features, self.kernel), F.avg_pool2d(features, self.kernel)

    def _pooled_one(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """`_pooled` of one input, flat; the maximum by rows, then columns: max pooling would note places as well."""
        kernel = self.kernel
        if features.ndim == 4 and features.is_contiguous():
            _, channels, height, width = features.shape
            if not (height % kernel or width % kernel):
                highest = features.view(channels * height // kernel, kernel, width).amax(1).view(-1, kernel).amax(1)
                return highest, F.avg_pool2d(features, kernel).view(-1)
        highest, average = self._pooled(features)
        return highest.flatten(), average.flatten()

    def pooled_weight(self) -> Tensor:
        """The linear layer's weight for what `pool` gives, with the mix multiplied in: (classes, pooled features)."""
        weight = self.linear.weight
        return weight if self.mix is None else torch.cat([self.mix * weight, (1 - self.mix) * weight], 1)

    def classify(self, pooled: Tensor) -> Tensor:
        """Logits (batch, classes), float32, from what `pool` gave, multiplied in its number format."""
        return (pooled @ self.pooled_weight().to(pooled.dtype).t()).float() + self.linear.bias

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of the features before this exit."""
        if self.mix is not None:
            highest, average = self._pooled(features)
            features = torch.lerp(average, highest, self.mix)
        return self.linear(features.flatten(1))

    def of_one(self, features: Tensor) -> Tensor:
        """Logits (classes,) of a single input: `forward` in fewer and cheaper calls, which are most of its time."""
        mix, linear = self._parameters.get("mix"), self._modules["linear"]
        if type(linear) is not nn.Linear or linear._forward_pre_hooks or linear._forward_hooks:
            return self(features)[0]
        if mix is not None:
            highest, average = self._pooled_one(features)
            features = torch.lerp(average, highest, mix)
        weights: dict[str, Any] = linear._parameters
        return torch.addmv(weights["bias"], weights["weight"], features.flatten())


class FinalClassifier(nn.Module):
    """The backbone's own last layer: global average pooling of a feature map, then one linear layer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of the last features."""
        return self.linear(features.mean((2, 3)) if features.ndim == 4 else features)
