"""The pages and pictures that people look at."""

from __future__ import annotations

from exitprint.reports.page import SuspectRow, demo_report, verification_report, write_report
from exitprint.reports.provenance import provenance

__all__ = ["SuspectRow", "demo_report", "provenance", "verification_report", "write_report"]
