"""Labels of any kind as class numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exitprint.errors import ExitprintError


def class_numbers(
    labels: Mapping[str, NDArray[Any]], where: str, names: Sequence[str] | None = None
) -> tuple[dict[str, NDArray[np.int64]], int]:
    """Class numbers from 0 up for the labels of each part, and the number of classes.

    Text is numbered in its alphabetical order, as class folders usually are. Numbers stay as they are, but where they
    run from 1 up without a gap, when they are counted from 0.

    Raises `ExitprintError` if labels are missing, fractions, negative, or of classes that no training image has.

    Parameters
    ----------
    labels
        For each part, the training images first, numbers or text, shape (images,); or one-hot, (images, classes).
    where
        What the sentence calls the data set.
    names
        The classes' names, where the data set has numbers and names them.
    """
    plain = {part: _plain(values, part, where) for part, values in labels.items()}
    if len({values.dtype.kind for values in plain.values()}) > 1:
        raise ExitprintError(f"{where} has numbers for labels in one part and text in another: use one of them.")
    first, *others = plain.items()
    if first[1].dtype.kind == "U":
        return _of_text(dict([first, *others]), where)
    numbers = {part: values.astype(np.int64) for part, values in plain.items()}
    everything = np.unique(np.concatenate(list(numbers.values())))
    if len(everything) and everything[0] < 0:
        raise ExitprintError(
            f"{where} has the label {everything[0]}, and classes are numbered from 0 up: take out what is unlabelled, "
            "or choose other parts (--split)."
        )
    if names is None and len(everything) > 1 and everything[0] == 1 and everything[-1] == len(everything):
        return {part: values - 1 for part, values in numbers.items()}, len(everything)
    highest = int(everything[-1]) + 1 if len(everything) else 0
    if names is not None and highest > len(names):
        raise ExitprintError(f"{where} has the label {highest - 1} and names {len(names)} classes: get a whole copy.")
    return numbers, highest if names is None else len(names)


def _of_text(labels: Mapping[str, NDArray[Any]], where: str) -> tuple[dict[str, NDArray[np.int64]], int]:
    trained = next(iter(labels))
    classes = np.unique(labels[trained])
    for part, values in labels.items():
        unknown = np.setdiff1d(values, classes)
        if len(unknown):
            raise ExitprintError(
                f"the {part} part of {where} has the class {str(unknown[0])!r}, which the {trained} part has not: the "
                "labels do not fit each other; choose the parts (--split), or mend the names."
            )
    return {part: np.searchsorted(classes, values) for part, values in labels.items()}, len(classes)


def _plain(values: NDArray[Any], part: str, where: str) -> NDArray[Any]:
    """Labels as whole numbers or text, shape (images,)."""
    who = f"the labels of the {part} part of {where}"
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "iufb" and bool(((values == 0) | (values == 1)).all()):
        if not bool((values.sum(1) == 1).all()):
            raise ExitprintError(f"{who} name several classes, or none, for an image: one class each is needed.")
        values = values.argmax(1)
    if values.dtype.kind == "O":
        values = _from_objects(values, who)
    if values.dtype.kind in "SU":
        return values.astype(np.str_)
    if values.ndim != 1 or values.dtype.kind not in "iufb":
        raise ExitprintError(f"{who} are neither class numbers nor names, one for each image: name another column.")
    if values.dtype.kind == "f" and not bool((np.isfinite(values) & (values == np.round(values))).all()):
        raise ExitprintError(f"{who} are not whole numbers (fractions, or an image without one): mend them.")
    return values.astype(np.int64)


def _from_objects(values: NDArray[Any], who: str) -> NDArray[Any]:
    kinds = {type(value) for value in values.ravel()}
    if type(None) in kinds:
        missing = next(index for index, value in enumerate(values.ravel()) if value is None)
        raise ExitprintError(f"{who} lack one: image {missing} has none; take it out, or label it.")
    if kinds <= {str} or kinds <= {int, bool, float}:
        return np.array(values.tolist())
    raise ExitprintError(f"{who} are neither class numbers nor names, one for each image: name another column.")
