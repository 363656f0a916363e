"""What a front door does to images: as a service does it, to the same images again, and with a gradient."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from exitprint.data import unit_range
from exitprint.errors import ExitprintError
from exitprint.suspects.through import Through, ways

WAYS = st.sampled_from(["jpeg:75", "jpeg:30", "resize:0.5", "resize:24", "jpeg:90,resize:24", "resize:0.25,jpeg:60"])


def coloured(channels: int, side: int = 16, seed: int = 0) -> torch.Tensor:
    """Two smooth images of 8 bits, in [0, 1]."""
    coarse = torch.rand(2, channels, 4, 4, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.interpolate(coarse, side, mode="bilinear") * 255).round() / 255


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_pillow_makes_of_it(channels):
    x = coloured(channels)
    file = io.BytesIO()
    pixels = (x[1] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(file, "JPEG", quality=60)
    decoded = torch.from_numpy(np.array(Image.open(file))).view(16, 16, channels).permute(2, 0, 1)
    assert torch.allclose(Through("jpeg:60")(x)[1], unit_range(decoded), atol=1e-6)


def test_half_size_and_back_is_what_pillow_makes_of_it_within_a_rounding():
    x = coloured(1)
    picture = Image.fromarray((x[0, 0] * 255).round().to(torch.uint8).numpy())
    back = picture.resize((8, 8), Image.Resampling.BILINEAR).resize((16, 16), Image.Resampling.BILINEAR)
    seen = Through("resize:0.5")(x)[0, 0]
    assert (seen * 255 - torch.from_numpy(np.array(back, dtype=np.float32))).abs().max() <= 1.01
    assert torch.equal(Through("resize:8")(x), Through("resize:0.5")(x))


@settings(max_examples=30)
@given(WAYS, st.sampled_from([1, 3]), st.integers(0, 5))
def test_what_comes_out_is_an_image_of_8_bits_of_the_same_size(text, channels, seed):
    x = coloured(channels, seed=seed)
    seen = Through(text)(x)
    assert seen.shape == x.shape and seen.min() >= 0 and seen.max() <= 1
    assert torch.allclose(seen * 255, (seen * 255).round(), atol=1e-3)
    assert 0 < (seen - x).abs().max() < 0.5
    assert torch.equal(torch.cat([Through(text)(part) for part in x.split(1)]), seen)


def test_steps_are_taken_in_their_order():
    x = coloured(3)
    assert torch.equal(Through("jpeg:40,resize:0.5")(x), Through("resize:0.5")(Through("jpeg:40")(x)))


def test_the_gradient_passes_jpeg_as_if_nothing_had_happened_and_resizing_by_its_own():
    weight = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))

    def gradient(text: str) -> torch.Tensor:
        x = coloured(1).requires_grad_()
        (found,) = torch.autograd.grad((Through(text)(x) * weight).sum(), x)
        return found

    assert torch.allclose(gradient("jpeg:75"), weight)
    smoothed = gradient("resize:0.5")
    assert smoothed.norm() < 0.6 * weight.norm() and torch.allclose(smoothed.sum(), weight.sum(), rtol=0.05)


@pytest.mark.parametrize(
    "text", ["", "jpeg", "jpeg:0", "jpeg:101", "jpeg:7.5", "resize:0", "png:3", "resize:-1", "jpeg:75,", "x" * 200]
)
def test_what_is_no_way_is_refused(text):
    with pytest.raises(ExitprintError):
        Through(text)


def test_what_an_image_cannot_pass_is_refused():
    with pytest.raises(ExitprintError, match="JPEG"):
        Through("jpeg:75")(torch.zeros(1, 4, 8, 8))
    for text in ("resize:0.01", "resize:5000"):
        with pytest.raises(ExitprintError, match="leaves no image"):
            Through(text)(torch.zeros(1, 1, 8, 8))


def test_ways_are_taken_once_each():
    assert ways(["jpeg:75", "resize:0.5", "jpeg:75"]) == (Through("jpeg:75"), Through("resize:0.5"))
