"""Training recipes: the paper's, and a faster one that is the default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field
from torch import nn
from torch.optim import SGD

from exitprint.data import NAMES
from exitprint.errors import ExitprintError
from exitprint.strict import Strict

FEW = 5000
"""Training images below which larger batches would leave too few steps."""
Preset = Literal["fast", "paper"]


class Schedule(Strict):
    """How long, in what batches and at what learning rate something is trained."""

    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    batch: int = Field(gt=0)
    milestones: tuple[int, ...] | None = None
    """Epochs at which the learning rate falls by ten; ``None`` for linear decay to zero, of a backbone after one
    warm-up."""

    def rate(self, progress: float) -> float:
        """Learning rate when `progress` epochs (a fraction too) are done."""
        if self.milestones is not None:
            return self.learning_rate * 0.1 ** sum(progress >= m for m in self.milestones)
        return self.learning_rate * max(self._decayed(progress), 1e-3)

    def _decayed(self, progress: float) -> float:
        return 1 - progress / self.epochs


class BackboneRecipe(Schedule):
    """How a backbone is trained: SGD with momentum and cross-entropy on the final classifier."""

    weight_decay: float = Field(ge=0)
    momentum: float = 0.9

    def _decayed(self, progress: float) -> float:
        warm_up = 0.2 * self.epochs
        return progress / warm_up if progress < warm_up else (self.epochs - progress) / (self.epochs - warm_up)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> SGD:
        """SGD with momentum over these parameters, Nesterov's where there are no milestones."""
        return SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.milestones is None,
        )


class HeadRecipe(Schedule):
    """How internal classifiers are trained on a frozen backbone: Adam and cross-entropy at each."""

    views: int = Field(default=1, ge=1)
    """Augmented versions of every image whose features are kept; 1 keeps the plain image only."""
    standardise: bool = False
    """Whether features are centred and scaled while weights for them are learned: the same classifiers, sooner."""


class Recipe(Strict):
    """Backbone first, then the internal classifiers."""

    backbone: BackboneRecipe
    heads: HeadRecipe


def recipe(preset: Preset, family: str, data: str, epochs: int | None = None, images: int | None = None) -> Recipe:
    """The recipe of a preset for an architecture family and a data set.

    ``paper`` is Dong et al., section 4.1 and appendix A: SGD 0.01, momentum 0.9, 50 epochs (100 on
    Tiny-ImageNet), a tenth of the learning rate at epochs 20 and 40 (40 and 70 on other data than CIFAR-10), weight
    decay 5·10⁻⁴ for VGG and 10⁻⁴ otherwise (the paper prints 10⁻¹, with which nothing trains); ICs with Adam 0.001
    for 25 epochs, a tenth at 15. Its batch size is not given; 128 is ours. For an MSDNet it is Huang et al. 2018: SGD
    0.1, 300 epochs, batches of 64, a tenth at epochs 150 and 225, weight decay 10⁻⁴.

    Parameters
    ----------
    preset
        ``fast`` or ``paper``.
    family
        ``resnet``, ``vgg``, ``mobilenet``, ``msdnet``, ``branchynet``, or ``exported`` for a wrapped module.
    data
        Name of the data set.
    epochs
        Epochs of the backbone, if other than the preset's; milestones move along.
    images
        Number of training images: of a data set of the user's own, fewer than 5,000 are trained on as digits are.

    Raises
    ------
    ExitprintError
        If the preset is unknown or the number of epochs is not positive.
    """
    if epochs is not None and epochs < 1:
        raise ExitprintError(f"the number of epochs must be positive, and not {epochs}.")
    if preset == "paper" and family == "branchynet":
        raise ExitprintError("BranchyNet's paper trains with Adam, which is not done here: use preset fast.")
    if preset == "paper":
        steps = (150, 225) if family == "msdnet" else (20, 40) if data == "cifar10" else (40, 70)
        usual = 300 if family == "msdnet" else 100 if data == "tiny-imagenet" else 50
        length = epochs or usual
        return Recipe(
            backbone=BackboneRecipe(
                epochs=length,
                learning_rate=0.1 if family == "msdnet" else 0.01,
                batch=64 if family == "msdnet" else 128,
                weight_decay=5e-4 if family == "vgg" else 1e-4,
                milestones=tuple(round(step * length / usual) for step in steps),
            ),
            heads=HeadRecipe(epochs=25, learning_rate=1e-3, batch=128, milestones=(15,), views=2),
        )
    if preset != "fast":
        raise ExitprintError(f"unknown preset {preset!r}: use fast or paper.")
    small = data == "digits" or (data not in NAMES and images is not None and images < FEW)
    return Recipe(
        backbone=BackboneRecipe(
            epochs=epochs or (15 if small else 12),
            learning_rate=0.05 if family in ("vgg", "branchynet") else 0.1,
            batch=64 if small else 128,
            weight_decay=5e-4,
        ),
        heads=HeadRecipe(epochs=10, learning_rate=5e-3, batch=128)
        if small
        else HeadRecipe(epochs=4, learning_rate=1e-2, batch=256, standardise=True),
    )
