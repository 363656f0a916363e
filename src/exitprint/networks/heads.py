"""The exit head of a shallow-deep network: feature reduction, then one linear layer (Kaya et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOLED_SIDE = 4


class ExitHead(nn.Module):
    """Internal classifier of an SDN: a learned mix of max and average pooling, then one linear layer.

    Feature maps (batch, channels, side, side) are pooled to about 4×4; smaller maps and vectors
    (batch, features) go to the linear layer as they are.

    Parameters
    ----------
    shape
        Shape of one input's features: (channels, height, width) or (features,).
    classes
        Number of classes.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.kernel = max(1, round(shape[-1] / POOLED_SIDE)) if len(shape) == 3 else 1
        self.mix = nn.Parameter(torch.tensor(0.5)) if self.kernel > 1 else None
        features = shape[0] if len(shape) == 1 else shape[0] * (shape[1] // self.kernel) * (shape[2] // self.kernel)
        self.linear = nn.Linear(features, classes)

    def pool(self, features: Tensor) -> tuple[Tensor, ...]:
        """What the head needs of `features` and does not learn: (max-pooled, average-pooled), or (features,)."""
        if self.kernel == 1:
            return (features,)
        return torch.max_pool2d(features, self.kernel), F.avg_pool2d(features, self.kernel)

    def classify(self, pooled: tuple[Tensor, ...]) -> Tensor:
        """Logits (batch, classes) from what `pool` gave."""
        reduced = pooled[0] if self.mix is None else torch.lerp(pooled[1], pooled[0], self.mix)
        return self.linear(reduced.flatten(1))

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of the features before this exit."""
        return self.classify(self.pool(features))

    def of_one(self, features: Tensor) -> Tensor:
        """Logits (classes,) of a single input: `forward` in fewer and cheaper calls, which are most of its time."""
        mix, linear = self.mix, self.linear
        if not isinstance(linear, nn.Linear):
            return self(features)[0]
        if mix is not None:
            highest = torch.max_pool2d(features, self.kernel)
            features = torch.lerp(F.avg_pool2d(features, self.kernel), highest, mix)
        return torch.addmv(linear.bias, linear.weight, features.flatten())


class FinalClassifier(nn.Module):
    """The backbone's own last layer: global average pooling of a feature map, then one linear layer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (batch, classes) of the last features."""
        return self.linear(features.mean((2, 3)) if features.ndim == 4 else features)
