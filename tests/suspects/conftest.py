"""A scripted server for every test that wants one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted import Model, hosted


@pytest.fixture
def model() -> Iterator[Model]:
    """A scripted model, served."""
    with hosted(Model()) as served:
        yield served
