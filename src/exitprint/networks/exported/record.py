"""The architecture record of a wrapped module, which answers as that of an architecture of ours does."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from exitprint.networks.architectures.backbone import Backbone, Structure
from exitprint.networks.exported.program import Part
from exitprint.networks.exported.stage import runnable


class Exported(Structure):
    """The architecture record of a wrapped module.

    Parameters
    ----------
    parts
        Its stages; the last gives the module's own logits.
    heads
        The internal classifiers that the module had, by the stage they sit after.
    input_shape, classes, exits, sdn, integers
        As in `Structure`.
    """

    family: Literal["exported"] = "exported"
    parts: tuple[Part, ...] = Field(min_length=1, max_length=10_000)
    heads: dict[int, Part] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is, in a word."""
        return "wrapped"

    @property
    def layout(self) -> torch.memory_format:
        """The memory layout that the weights came in: another one rounds differently in the last bit."""
        return torch.contiguous_format

    def stage_name(self, stage: int) -> str:
        """Where in the module a stage ends."""
        return self.parts[stage].name

    def backbone(self) -> Backbone:
        """Stages and the module's own classifiers, with weights still to come; the last stage gives the final logits.

        Raises
        ------
        ExitprintError
            If the graph is not one that can be run.
        """
        stages, heads = runnable(self.parts, self.heads, self.input_shape, self.classes)
        return Backbone(list(stages), nn.Identity(), dict(heads))

    def summary(self) -> dict[str, Any]:
        """The record without its operators: where each stage ends, and how much is in it."""
        fields = self.model_dump(mode="json", exclude={"parts", "heads"})
        stages = [{"ends after": part.name, "operators": len(part.operations)} for part in self.parts]
        heads = {stage: {"ends after": p.name, "operators": len(p.operations)} for stage, p in self.heads.items()}
        return {**fields, "stages": stages, **({"own exits": heads} if heads else {})}
