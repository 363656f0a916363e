"""What can only be asked."""

from __future__ import annotations

from exitprint.suspects.in_process import CallableSuspect, CostModel, InProcess
from exitprint.suspects.suspect import Answer, Clock, Suspect

__all__ = ["Answer", "CallableSuspect", "Clock", "CostModel", "InProcess", "Suspect"]
