"""What the kinds of fault are tried on: a network that need not be any good."""

from __future__ import annotations

from pathlib import Path

import pytest

from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, save_network


@pytest.fixture(scope="session")
def small() -> MultiExitNetwork:
    """A network for digits, not trained, of which images leave early and late; copy before you change it."""
    network = MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=4), seed=0)
    network.policy = ExitPolicy(0.12)
    return network


@pytest.fixture
def small_file(small: MultiExitNetwork, tmp_path: Path) -> Path:
    """The same as a file."""
    path = tmp_path / "small.safetensors"
    save_network(small, path)
    return path
