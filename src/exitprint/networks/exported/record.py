"""The architecture record of a wrapped module, which answers as that of an architecture of ours does."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from exitprint.networks.architectures.backbone import Backbone
from exitprint.networks.exported.program import Part
from exitprint.networks.exported.stage import runnable


class Exported(BaseModel):
    """The architecture record of a wrapped module.

    Parameters
    ----------
    input_shape
        (channels, height, width) of one image.
    classes
        Number of classes.
    parts
        Its stages; the last gives the module's own logits.
    exits
        The stages, counted from 0, after which an internal classifier sits; ``None`` for after all but the last.
    integers
        Whether convolutions and linear layers run in 8-bit integers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Literal["exported"] = "exported"
    input_shape: tuple[int, int, int]
    classes: int = Field(ge=2, le=100_000)
    parts: tuple[Part, ...] = Field(min_length=1, max_length=10_000)
    exits: tuple[int, ...] | None = None
    integers: bool = False

    @property
    def title(self) -> str:
        """What it is, in a word."""
        return "wrapped"

    @property
    def sdn(self) -> tuple[int, ...]:
        """None of its internal classifiers stands in the place of one of its own."""
        return ()

    @property
    def layout(self) -> torch.memory_format:
        """As the weights came: another layout rounds differently in the last bit."""
        return torch.contiguous_format

    def stage_name(self, stage: int) -> str:
        """Where in the module a stage ends."""
        return self.parts[stage].name

    def backbone(self) -> Backbone:
        """The stages, with weights still to come; the last gives the final logits.

        Raises
        ------
        ExitprintError
            If the graph is not one that can be run.
        """
        return Backbone(list(runnable(self.parts, self.input_shape, self.classes)), nn.Identity())

    def summary(self) -> dict[str, Any]:
        """The record without its operators: where each stage ends, and how much is in it."""
        fields = self.model_dump(mode="json", exclude={"parts"})
        stages = [{"ends after": part.name, "operators": len(part.operations)} for part in self.parts]
        return {**fields, "stages": stages}
