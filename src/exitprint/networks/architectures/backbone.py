"""A backbone: stages that run one after the other, and the classifier that ends them."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn


@dataclass
class Backbone:
    """Stages in order and the final classifier, not yet a multi-exit network.

    Attributes
    ----------
    stages
        Every stage takes what the one before gives; after each an internal classifier may sit. The last stage
        feeds only the final classifier.
    classifier
        From the last stage's features to logits (batch, classes).
    classifiers
        An architecture born with several exits brings internal classifiers of its own, by the stage they sit after.
    """

    stages: list[nn.Module]
    classifier: nn.Module
    classifiers: dict[int, nn.Module] = field(default_factory=dict)


def convolution(inputs: int, outputs: int, stride: int = 1, kernel: int = 3, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU; padding keeps the size at stride 1."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
