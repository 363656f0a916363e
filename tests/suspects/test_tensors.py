"""Images in the layout a suspect declares; labels and probabilities out of whatever it answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exitprint.errors import ExitprintError
from exitprint.suspects import Answer
from exitprint.suspects.inputs import ImageInput
from exitprint.suspects.outputs import read_outputs, together

X = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(-1, 3, 5, 7), (2, 3, 5, 7), (-1, -1, -1, -1), (-1, 3, -1, -1)])
def test_channels_first_is_sent_as_it_is(shape: tuple[int, ...]) -> None:
    assert np.array_equal(ImageInput("x", "FP32", shape).encode(X), X.numpy())


@pytest.mark.parametrize("shape", [(-1, 5, 7, 3), (-1, -1, -1, 3)])
def test_channels_last_is_sent_where_the_suspect_wants_it(shape: tuple[int, ...]) -> None:
    sent = ImageInput("x", "FP32", shape).encode(X)
    assert np.array_equal(sent.transpose(0, 3, 1, 2), X.numpy()) and sent.flags.c_contiguous


def test_a_suspect_without_batches_gets_one_image() -> None:
    assert np.array_equal(ImageInput("x", "FP32", (3, 5, 7)).encode(X[:1]), X[0].numpy())


def test_eight_bit_pixels_are_rounded_not_cut() -> None:
    x = torch.tensor([0.0, 1 / 255, 1.6 / 255, 1.0]).view(1, 1, 2, 2)
    sent = ImageInput("x", "UINT8", (-1, 1, 2, 2)).encode(x)
    assert sent.dtype == np.uint8 and sent.ravel().tolist() == [0, 1, 2, 255]


@pytest.mark.parametrize(
    ("datatype", "shape", "word"),
    [
        ("BOOL", (-1, 3, 5, 7), "BOOL"),
        ("INT8", (-1, 3, 5, 7), "--scale"),
        ("FP32", (-1, 104), "shape"),
        ("FP32", (-1, 3, 6, 7), "shape"),
        ("FP32", (1, 1, 3, 5, 7), "no image"),
    ],
)
def test_what_takes_no_such_images_is_refused(datatype: str, shape: tuple[int, ...], word: str) -> None:
    with pytest.raises(ExitprintError, match=word):
        ImageInput("x", datatype, shape).encode(X)


logits = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(2, 5)), elements=st.floats(-20, 20, width=32))


@given(logits)
def test_logits_and_their_probabilities_read_the_same(rows: np.ndarray) -> None:
    p = np.exp(rows - rows.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    _, from_logits = read_outputs([rows + np.float32(100)], len(rows))
    labels, from_probabilities = read_outputs([p], len(rows))
    assert from_logits is not None and from_probabilities is not None and labels is not None
    assert np.allclose(from_logits, from_probabilities, atol=1e-4)
    assert np.array_equal(labels, p.argmax(1))


def test_labels_alone_will_do() -> None:
    labels, probabilities = read_outputs([np.array([[3], [1]], np.int32)], 2)
    assert probabilities is None and labels is not None and labels.tolist() == [3, 1]


def test_an_answer_that_says_nothing_is_still_an_answer() -> None:
    assert read_outputs([np.zeros((2, 4, 4), np.float32)], 2) == (None, None)


@pytest.mark.parametrize(
    ("output", "word"),
    [
        (np.array([[0.5, np.nan]], np.float32), "NaN"),
        (np.array([[0.5, np.inf]], np.float32), "NaN"),
        (np.full((3, 2), 0.5, np.float32), "3 images"),
    ],
)
def test_nonsense_is_refused(output: np.ndarray, word: str) -> None:
    with pytest.raises(ExitprintError, match=word):
        read_outputs([output], 1)


def test_answers_with_other_classes_cannot_be_joined() -> None:
    answers = [
        Answer(np.zeros(1), "measured", np.zeros(1, np.int64), np.full((1, n), 1 / n, np.float32)) for n in (2, 3)
    ]
    with pytest.raises(ExitprintError, match="classes"):
        together(answers)
