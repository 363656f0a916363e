"""A multi-exit network as a scikit-learn classifier."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from exitprint.data import Images, batch_size, image_data, unit_range
from exitprint.networks import MultiExitNetwork, Prediction, architecture
from exitprint.networks.policy import Criterion
from exitprint.training.recipe import recipe
from exitprint.training.train import train_network


class MultiExitClassifier(ClassifierMixin, BaseEstimator):
    """Train a multi-exit network with `fit`, ask it with `predict`; inputs leave early.

    Parameters
    ----------
    arch
        ``resnet20``, ``vgg16``, ``msdnet``, …
    depth, width
        If others than the architecture's usual ones.
    epochs
        Of the backbone, if others than the recipe's.
    rad
        Relative accuracy drop, in per cent, that the thresholds are calibrated for.
    criterion
        When an input is certain enough; by default the architecture's own.
    flips
        Whether a mirrored image still shows its class.
    random_state
        Of everything random: a seed, a `numpy.random.RandomState`, or None for NumPy's own.

    Attributes
    ----------
    network_
        The trained `MultiExitNetwork`: what is saved, fingerprinted and served.
    classes_
        The labels, in the order of `predict_proba`.
    n_features_in_
        Channels of the images.
    """

    def __init__(
        self,
        arch: str = "resnet20",
        depth: int | None = None,
        width: int | None = None,
        epochs: int | None = None,
        rad: float = 5,
        criterion: Criterion | None = None,
        flips: bool = False,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.arch = arch
        self.depth = depth
        self.width = width
        self.epochs = epochs
        self.rad = rad
        self.criterion = criterion
        self.flips = flips
        self.random_state = random_state

    def fit(self, X: ArrayLike | Tensor, y: ArrayLike | Tensor) -> MultiExitClassifier:
        """Train on images, a tenth of which is kept back to calibrate the thresholds.

        Parameters
        ----------
        X
            Images, shape (images, channels, height, width): 8-bit pixels, or numbers in [0, 1], which are rounded to
            them.
        y
            Labels of any kind, shape (images,).

        Raises
        ------
        ValueError
            By scikit-learn's own checks: NaN, another number of labels than images, labels that are no classes.
        ExitprintError
            If these are no images, or too few of a class.
        """
        pixels, y = validate_data(self, _array(X), _array(y), allow_nd=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("a classifier needs images of more than one class; the data contains only one class.")
        seed = _seed(self.random_state)
        given = Images(pixels, labels)
        data = image_data("own", given, given[:0], len(self.classes_), self.flips, seed)
        made = architecture(self.arch, data.input_shape, data.classes, self.depth, self.width)
        how = recipe("fast", made.family, data.name, self.epochs, len(given))
        self.network_: MultiExitNetwork = train_network(made, data, how, seed, self.rad, criterion=self.criterion)
        return self

    def predict(self, X: ArrayLike | Tensor) -> NDArray[Any]:
        """Label of each image, as early as it is certain."""
        answers = self._answers(X)
        labels: NDArray[Any] = self.classes_[answers.labels.numpy()]
        return labels

    def predict_proba(self, X: ArrayLike | Tensor) -> NDArray[np.float32]:
        """Probabilities at the exit taken, shape (images, classes)."""
        return self._answers(X).probabilities.numpy()

    def exits(self, X: ArrayLike | Tensor) -> NDArray[np.int64]:
        """Where each image leaves, shape (images,)."""
        return self._answers(X).exits.numpy()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    def _answers(self, X: ArrayLike | Tensor) -> Prediction:
        check_is_fitted(self, "network_")
        images = Images(validate_data(self, _array(X), reset=False, allow_nd=True))
        self.network_.check_images(images.pixels[:1])
        batches = images.pixels.split(batch_size(self.network_.input_shape))
        parts = [self.network_.predict(unit_range(part)) for part in batches]
        return Prediction(
            torch.cat([part.labels for part in parts]),
            torch.cat([part.probabilities for part in parts]),
            torch.cat([part.exits for part in parts]),
        )


def _array(values: ArrayLike | Tensor) -> ArrayLike:
    """What scikit-learn can check."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _seed(random_state: int | np.random.RandomState | None) -> int:
    """A seed as it is, or one drawn as scikit-learn draws them."""
    generator = check_random_state(random_state)
    return int(random_state) if isinstance(random_state, Integral) else int(generator.randint(np.iinfo(np.int32).max))
