from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from exitprint.reports.histogram import exit_histogram
from exitprint.timing.exits import estimate_exits
from exitprint.timing.exits.simulated import Clock


@pytest.mark.parametrize(("number", "unit"), [(1, 1.0), (5, 1e-3), (28, 1e-6)])
def test_a_picture_for_any_number_of_exits_and_any_unit(number, unit):
    seconds, _ = Clock(number, 12).draw(600, 1, np.random.default_rng(0))
    times = seconds[:, 0] * unit
    drawn = exit_histogram(times, estimate_exits(times))
    picture = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB")).astype(int)
    assert picture.shape[1] > 800
    orange = (picture[..., 0] > picture[..., 2] + 40).any()
    assert orange == (number > 1)
    assert exit_histogram(times, estimate_exits(times)) == drawn


def test_one_time_for_all_can_be_drawn():
    times = np.full(50, 0.25)
    assert exit_histogram(times, estimate_exits(times), "constant")[:4] == b"\x89PNG"
