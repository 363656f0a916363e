"""A backbone: stages that run one after the other, and the classifier that ends them."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field
from torch import nn

from exitprint.strict import Strict


class Structure(Strict):
    """What a network's file says of its structure, whoever made it.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one image.
    classes
        Number of classes.
    exits
        The stages, counted from 0, after which an internal classifier sits; ``None`` for after those that have one of
        their own, and where none has for after all but the last.
    sdn
        The stages whose internal classifier is an SDN head although there is one of its own there: somebody put it in
        the place of that.
    integers
        Whether convolutions and linear layers run in 8-bit integers.
    """

    input_shape: tuple[int, int, int]
    classes: int = Field(ge=2, le=100_000)
    exits: tuple[int, ...] | None = None
    sdn: tuple[int, ...] = ()
    integers: bool = False


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
