"""A declared population so small that it is made in seconds."""

from __future__ import annotations

import pytest
from declared import RECIPE, small

from exitprint_studies import Calibrated, Spec, Tampered


@pytest.fixture
def specs() -> list[Spec]:
    """Two trained networks, a chain of copies, and a policy."""
    heads = RECIPE.heads.model_dump()
    pruned = Tampered(parent=small(0), kind="prune", parameters={"rate": 0.2, "heads": heads}, seed=1)
    return [
        Calibrated(parent=pruned, rad=15),
        Tampered(parent=pruned, kind="quantise", parameters={"heads": heads}, seed=2),
        Tampered(parent=small(0), kind="remove-exits", parameters={"every": 2}),
        small(1),
    ]
