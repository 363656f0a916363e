"""Log-odds from logits: those of the certainty, and with a gradient wherever a network is sure of itself."""

from __future__ import annotations

import pytest
import torch

from exitprint.data import eight_bit
from exitprint.fingerprints.goals import log_odds
from exitprint.fingerprints.optimise import AdamOnTanh
from exitprint.networks.policy import CERTAINTY

BY = ("confidence", "entropy", "margin")


@pytest.mark.parametrize("criterion", BY)
@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("scale", [1.0, 3.0, 8.0])
def test_they_are_those_of_the_certainty(criterion, classes, scale):
    logits = torch.randn(200, 3, classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * scale
    c = CERTAINTY[criterion](logits[:, :-1])
    there = (c > 1e-3) & (c < 1 - 1e-9)
    assert torch.allclose(log_odds(logits, criterion)[there], c.logit()[there], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("criterion", BY)
@pytest.mark.parametrize("gap", [5.0, 14.9, 15.1, 40.0, 200.0])
def test_a_sure_answer_has_a_gradient(criterion, gap):
    logits = torch.zeros(1, 2, 10)
    logits[0, :, 3] = gap
    logits.requires_grad_()
    value = log_odds(logits, criterion)
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert torch.isfinite(value).all() and value > 0
    assert gradient[0, 0, 3] > 0.5 and torch.isfinite(gradient).all()


def test_black_and_white_pixels_can_be_left_and_are_the_same_when_rounded():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    variable = AdamOnTanh(pixels.float() / 255, 0.01)
    assert torch.equal(eight_bit(variable.images()), pixels)
    away = torch.where(pixels < 128, -1e-3, 1e-3)
    for _ in range(150):
        variable.images()
        variable.step(away)
    assert (variable.images() - pixels.float() / 255).abs().min() > 0.02
