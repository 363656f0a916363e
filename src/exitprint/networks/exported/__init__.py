"""A user's own module as stages: captured by `torch.export`, cut, kept as a list of allow-listed operators."""

from __future__ import annotations

from exitprint.networks.exported.program import Exported
from exitprint.networks.exported.stage import ExportedStage, build

__all__ = ["Exported", "ExportedStage", "build"]
