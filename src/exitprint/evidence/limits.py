"""What a verification may cost and promise where nothing else is said, and what it can come to."""

from __future__ import annotations

from typing import Literal

Decision = Literal["derived", "independent", "inconclusive"]

BUDGET = 2000
"""Most requests in all."""
ERROR_RATE = 1e-3
"""Bounds on the probabilities of a false claim and of a miss."""
