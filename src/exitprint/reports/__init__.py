"""The pages and pictures that people look at."""

from __future__ import annotations

from exitprint.reports.page import SuspectRow, demo_report, verdict_fragment, verification_report, write_report
from exitprint.reports.provenance import provenance

__all__ = ["SuspectRow", "demo_report", "provenance", "verdict_fragment", "verification_report", "write_report"]
