"""A multi-exit network as scikit-learn takes it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from exitprint.errors import ExitprintError
from exitprint.training import MultiExitClassifier

NAMES = np.array([f"digit {i}" for i in range(10)])


@pytest.fixture(scope="module")
def fitted(digits):
    made = MultiExitClassifier("resnet8", width=8, epochs=6, random_state=1)
    return made.fit(digits.train.pixels[:800], NAMES[digits.train.labels[:800]])


def test_fit_predict_score(fitted, digits):
    x, y = digits.test.x, NAMES[digits.test.labels]
    assert fitted.score(x, y) > 0.85
    assert set(fitted.predict(x[:50])) <= set(NAMES) and list(fitted.classes_) == sorted(NAMES)
    p = fitted.predict_proba(x[:7])
    assert p.shape == (7, 10) and np.allclose(p.sum(1), 1, atol=1e-5)
    assert (fitted.classes_[p.argmax(1)] == fitted.predict(x[:7])).all()
    exits = fitted.exits(x[:50])
    assert exits.min() >= 0 and exits.max() < fitted.network_.num_exits


def test_it_is_an_estimator(digits):
    small = MultiExitClassifier("resnet8", width=4, epochs=1)
    assert clone(small).get_params() == small.get_params()
    scores = cross_val_score(small, digits.train.x[:300].numpy(), digits.train.labels[:300].numpy(), cv=2)
    assert len(scores) == 2 and np.isfinite(scores).all()
    with pytest.raises(NotFittedError):
        small.predict(digits.test.x[:2])


@pytest.mark.parametrize(
    ("X", "said"),
    [
        (np.zeros((3, 64)), r"the shape \(images"),
        (np.full((3, 1, 8, 8), 7.0), "from 7 to 7"),
        (np.zeros((3, 1, 8, 8)), "too few"),
    ],
)
def test_what_is_no_set_of_images_is_refused(X, said):
    with pytest.raises(ExitprintError, match=said):
        MultiExitClassifier("resnet8", width=4, epochs=1).fit(X, [0, 1, 2])
