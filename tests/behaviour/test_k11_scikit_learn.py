"""`MultiExitClassifier` takes and refuses what scikit-learn's own classifiers do."""

from __future__ import annotations

import pickle
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, SkipTestWarning
from sklearn.utils import estimator_checks as checks

from exitprint.errors import ExitprintError
from exitprint.training import MultiExitClassifier

SMALL = partial(MultiExitClassifier, "resnet8", width=4, epochs=1)
X = np.random.default_rng(0).random((24, 1, 8, 8))
Y = np.arange(24) % 2


@pytest.fixture(scope="module")
def fitted():
    return SMALL().fit(X, Y)


def with_nan(values):
    values = values.astype(float).copy()
    values.flat[5] = np.nan
    return values


REFUSED = {
    "NaN in an image": (with_nan(X), Y, "Input X contains NaN"),
    "infinity in an image": (np.where(X > 0.99, np.inf, X), Y, "Input X contains infinity"),
    "NaN for a label": (X, with_nan(Y), "Input y contains NaN"),
    "None for a label": (X, np.array([None, "a"] * 12, object), "."),
    "fractions for labels": (X, Y + 0.5 * X[:, 0, 0, 0], "Unknown label type: continuous"),
    "one-hot labels": (X, np.eye(2)[Y], "1d array"),
    "another number of labels": (X, Y[:-1], r"inconsistent numbers of samples: \[24, 23\]"),
    "no images": (X[:0], Y[:0], "0 sample"),
    "one class": (X, 0 * Y, "one class"),
    "no labels": (X, None, "requires y to be passed"),
    "text": (np.full(X.shape, "a"), Y, "."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_scikit_learn_refuses_is_refused_as_it_does(name):
    x, y, said = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=said):
        SMALL().fit(x, y)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (with_nan(X), "NaN"),
        (np.repeat(X, 3, 1), "3 features, but MultiExitClassifier is expecting 1"),
        (X[:, 0, 0, 0], "1D array"),
    ],
)
def test_nor_is_it_answered(fitted, x, said):
    with pytest.raises(ValueError, match=said):
        fitted.predict(x)


def test_images_of_another_size_are_not_answered(fitted):
    with pytest.raises(ExitprintError, match=r"takes images of shape \(1, 8, 8\)"):
        fitted.predict(X[:, :, :4])


LABELS = {
    "int32": Y.astype(np.int32),
    "text": np.array(["no", "yes"])[Y],
    "objects": np.array(["no", "yes"], object)[Y],
    "truth values": Y > 0,
    "from 1": Y + 1,
    "far apart": Y * 500 - 7,
    "a list": Y.tolist(),
    "a tensor": torch.from_numpy(Y),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_any_kind(fitted, name):
    made = SMALL().fit(X, LABELS[name])
    classes = np.unique(np.asarray(LABELS[name]))
    assert (made.classes_ == classes).all()
    assert (made.predict(X) == classes[fitted.predict(X)]).all()
    assert np.array_equal(made.predict_proba(X), fitted.predict_proba(X))


def test_a_column_of_labels_is_taken_with_scikit_learns_warning(fitted):
    with pytest.warns(DataConversionWarning, match="column-vector"):
        made = SMALL().fit(X, Y[:, None])
    assert np.array_equal(made.predict_proba(X), fitted.predict_proba(X))


FORMATS = {
    "8 bits": np.round(X * 255).astype(np.uint8),
    "int64": np.round(X * 255).astype(np.int64),
    "single precision": X.astype(np.float32),
    "a tensor": torch.from_numpy(X),
    "a tensor of 8 bits": torch.from_numpy(np.round(X * 255).astype(np.uint8)),
    "column by column": np.asfortranarray(X),
    "a list": X.tolist(),
}


@pytest.mark.parametrize("name", FORMATS)
def test_fit_and_predict_round_alike(fitted, name):
    """The same images in another number format train the same network and get the same answers."""
    assert np.array_equal(SMALL().fit(FORMATS[name], Y).predict_proba(X), fitted.predict_proba(X))
    assert np.array_equal(fitted.predict_proba(FORMATS[name]), fitted.predict_proba(X))
    assert np.array_equal(fitted.exits(FORMATS[name]), fitted.exits(X))


SEEDS = {
    "an int": (0, 0),
    "np.int64": (np.int64(7), 7),
    "a RandomState": (np.random.RandomState(3), np.random.RandomState(3)),
}


@pytest.mark.parametrize("name", SEEDS)
def test_random_state_is_what_scikit_learn_takes(name):
    one, other = (SMALL(random_state=seed).fit(X, Y).predict_proba(X) for seed in SEEDS[name])
    assert np.array_equal(one, other)


def test_random_state_none_is_numpys_own():
    np.random.seed(5)
    one, other = (SMALL(random_state=None).fit(X, Y).predict_proba(X) for _ in range(2))
    np.random.seed(5)
    assert not np.array_equal(one, other)
    assert np.array_equal(one, SMALL(random_state=None).fit(X, Y).predict_proba(X))


@pytest.mark.parametrize("seed", [-1, "seed", 0.5])
def test_what_is_no_random_state(seed):
    with pytest.raises(ValueError, match=r"seed|Seed"):
        SMALL(random_state=seed).fit(X, Y)


@pytest.mark.parametrize(
    "check",
    [
        checks.check_estimator_cloneable,
        checks.check_estimator_tags_renamed,
        checks.check_valid_tag_types,
        checks.check_estimator_repr,
        checks.check_no_attributes_set_in_init,
        checks.check_mixin_order,
        checks.check_parameters_default_constructible,
        checks.check_get_params_invariance,
        checks.check_set_params,
        checks.check_do_not_raise_errors_in_init_or_set_params,
    ],
    ids=lambda check: check.__name__,
)
def test_scikit_learns_checks_that_need_no_rows(check):
    check("MultiExitClassifier", SMALL())


def test_check_estimator():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        checks.check_estimator(SMALL())


def test_fitted_attributes_and_what_stays(fitted):
    before = {name: np.array(value, object) if name == "classes_" else value for name, value in vars(fitted).items()}
    fitted.predict(X)
    assert set(vars(fitted)) == set(before) and fitted.n_features_in_ == 1
    assert set(vars(clone(fitted))) == set(fitted.get_params())
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert np.array_equal(fitted.predict_proba(X)[3:7], fitted.predict_proba(X[3:7]))
