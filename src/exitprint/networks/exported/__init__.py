"""A user's own module as stages: captured by `torch.export`, cut, kept as a list of allow-listed operators."""

from __future__ import annotations

from exitprint.networks.exported.record import Exported
from exitprint.networks.exported.stage import ExportedStage

__all__ = ["Exported", "ExportedStage"]
