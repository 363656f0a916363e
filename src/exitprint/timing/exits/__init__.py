"""Exits out of runtimes: how many there are, where they part, and at which of them each input left."""

from __future__ import annotations

from exitprint.timing.exits.estimate import METHODS, ExitEstimate, Method, estimate_exits
from exitprint.timing.exits.repeats import condense

__all__ = ["METHODS", "ExitEstimate", "Method", "condense", "estimate_exits"]
