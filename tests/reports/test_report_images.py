from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exitprint.reports.images import examples, png_uri


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2]))))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_very_pixels(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, channels), dtype=np.uint8)
    assert np.array_equal(pixels(png_uri(image)).reshape(image.shape), image)


def test_the_difference_is_amplified_around_grey(made: Callable[..., Any]) -> None:
    fingerprint, _ = made(shape=(3, 8, 8))
    shown, factor = examples(fingerprint, 10)
    assert factor == 127 // 9
    for example in shown:
        before, after = pixels(example.original).astype(int), pixels(example.sample).astype(int)
        assert np.array_equal(pixels(example.difference).astype(int) - 128, factor * (after - before))


def test_examples_span_all_changes_and_both_halves(made: Callable[..., Any]) -> None:
    fingerprint, _ = made("contrast", 40)
    shown, _ = examples(fingerprint, 10)
    l2 = [example.l2 for example in shown]
    assert [example.late for example in shown] == [True] * 5 + [False] * 5
    assert l2[:5] == sorted(l2[:5]) and l2[5:] == sorted(l2[5:])
    assert min(l2) == pytest.approx(float(fingerprint.l2.min())) and max(l2) == pytest.approx(
        float(fingerprint.l2.max())
    )


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 8, 8)), (3, (4, 6, 6)), (24, (2, 8, 8))])
def test_few_images_and_odd_channels_are_shown_too(made: Callable[..., Any], count: int, shape: Any) -> None:
    shown, _ = examples(made(count=count, shape=shape)[0], 10)
    assert len(shown) == min(count, 10)
    assert pixels(shown[0].sample).shape == shape[1:]
