"""What can only be asked."""

from __future__ import annotations

from exitprint.suspects.http import KServeSuspect
from exitprint.suspects.in_process import CostModel, InProcess
from exitprint.suspects.onnx import OnnxSuspect
from exitprint.suspects.options import SuspectOptions
from exitprint.suspects.own import CallableSuspect, TryAgain
from exitprint.suspects.resolve import open_suspect
from exitprint.suspects.suspect import Answer, BudgetSpent, Clock, Metered, Suspect, WithFloor
from exitprint.suspects.through import Through

__all__ = [
    "Answer",
    "BudgetSpent",
    "CallableSuspect",
    "Clock",
    "CostModel",
    "InProcess",
    "KServeSuspect",
    "Metered",
    "OnnxSuspect",
    "Suspect",
    "SuspectOptions",
    "Through",
    "TryAgain",
    "WithFloor",
    "open_suspect",
]
