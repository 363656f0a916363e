"""A multi-exit network as a scikit-learn classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from exitprint.data import Images, batch_size, image_data
from exitprint.data.images import eight_bit
from exitprint.errors import ExitprintError
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
        Of everything random.

    Attributes
    ----------
    network_
        The trained `MultiExitNetwork`: what is saved, fingerprinted and served.
    classes_
        The labels, in the order of `predict_proba`.
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
        random_state: int = 0,
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
        ExitprintError
            If these are no images, or too few of a class.
        """
        images = _images(X)
        self.classes_, labels = np.unique(np.asarray(y), return_inverse=True)
        if len(labels) != len(images):
            raise ExitprintError(f"there are {len(images)} images and {len(labels)} labels: give one for each.")
        given = Images(eight_bit(images), torch.from_numpy(labels.astype(np.int64)))
        data = image_data("own", given, given[:0], len(self.classes_), self.flips, self.random_state)
        made = architecture(self.arch, data.input_shape, data.classes, self.depth, self.width)
        how = recipe("fast", made.family, data.name, self.epochs, len(given))
        self.network_: MultiExitNetwork = train_network(
            made, data, how, self.random_state, self.rad, criterion=self.criterion
        )
        self.n_features_in_ = int(np.prod(data.input_shape))
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

    def _answers(self, X: ArrayLike | Tensor) -> Prediction:
        check_is_fitted(self, "network_")
        parts = [self.network_.predict(part) for part in _images(X).split(batch_size(self.network_.input_shape))]
        return Prediction(
            torch.cat([part.labels for part in parts]),
            torch.cat([part.probabilities for part in parts]),
            torch.cat([part.exits for part in parts]),
        )


def _images(X: ArrayLike | Tensor) -> Tensor:
    """Images as float32 in [0, 1]."""
    x = X if isinstance(X, Tensor) else torch.from_numpy(np.ascontiguousarray(np.asarray(X)))
    if x.dtype == torch.uint8:
        x = x.float() / 255
    x = x.float()
    if x.ndim != 4 or not len(x) or x.min() < 0 or x.max() > 1:
        raise ExitprintError(
            f"images are 8-bit or in [0, 1], of shape (images, channels, height, width), and not {tuple(x.shape)}"
            f"{'' if x.ndim != 4 or not len(x) else f' from {float(x.min()):g} to {float(x.max()):g}'}."
        )
    return x
