"""What the clock says: measuring, and numbers out of runtimes."""

from __future__ import annotations

from exitprint.timing.measure import measure
from exitprint.timing.timings import Timings

__all__ = ["Timings", "measure"]
