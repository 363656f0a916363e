"""The pages and pictures that people look at."""

from __future__ import annotations

from exitprint.reports.page import SuspectRow, demo_report, provenance, verification_report, write_report

__all__ = ["SuspectRow", "demo_report", "provenance", "verification_report", "write_report"]
