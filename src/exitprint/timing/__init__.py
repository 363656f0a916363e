"""What the clock says: measuring, and numbers out of runtimes."""

from __future__ import annotations

from exitprint.timing.exits import ExitEstimate, estimate_exits
from exitprint.timing.inquiry import Inquiry, inquire
from exitprint.timing.measure import measure
from exitprint.timing.timings import Timings

__all__ = ["ExitEstimate", "Inquiry", "Timings", "estimate_exits", "inquire", "measure"]
