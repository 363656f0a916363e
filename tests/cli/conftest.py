"""A fingerprint that several pages of commands ask suspects by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exitprint.data import ImageData
from exitprint.fingerprints import ContrastMethod, contrast_fingerprint, save_fingerprint
from exitprint.networks import MultiExitNetwork


@pytest.fixture(scope="session")
def kept_away_file(
    target: MultiExitNetwork,
    trained: Callable[[int], MultiExitNetwork],
    digits: ImageData,
    made_once: Callable[[str, Callable[[Path], None]], Path],
) -> Path:
    """A small change, kept away from two other networks: so one half is a sound threshold on digits too."""

    def craft(path: Path) -> None:
        method, known = ContrastMethod(margin_log_odds=0.05), [trained(3), trained(4)]
        made = contrast_fingerprint(target, digits.test, [target.policy], 100, 1, method, known)
        save_fingerprint(made, path)

    return made_once("kept-away.fingerprint.safetensors", craft)
