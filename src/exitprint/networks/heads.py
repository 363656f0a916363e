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

    def pool(self, features: Tensor) -> Tensor:
        """What the head needs of `features` and does not learn, shape (batch, pooled features).

        Max-pooled and average-pooled features side by side, or the features themselves where nothing is pooled.
        """
        if self.kernel == 1:
            return features.flatten(1)
        pooled = torch.max_pool2d(features, self.kernel), F.avg_pool2d(features, self.kernel)
        return torch.cat([part.flatten(1) for part in pooled], 1)

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
            highest = torch.max_pool2d(features, self.kernel)
            features = torch.lerp(F.avg_pool2d(features, self.kernel), highest, self.mix)
        return self.linear(features.flatten(1))

    def of_one(self, features: Tensor) -> Tensor:
        """Logits (classes,) of a single input: `forward` in fewer and cheaper calls, which are most of its time."""
        mix, linear = self._parameters.get("mix"), self._modules["linear"]
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
