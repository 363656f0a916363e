"""What a network's file says of its architecture, checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from pydantic import Field, ValidationError

from exitprint.errors import ExitprintError
from exitprint.networks.architectures import branchynet, mobilenet, msdnet, resnet, vgg
from exitprint.networks.architectures.backbone import Backbone, Structure

Family = Literal["resnet", "vgg", "mobilenet", "msdnet", "branchynet"]
BORN_MULTI_EXIT = ("msdnet", "branchynet")
"""Families with internal classifiers of their own, which are trained together with the rest."""
BUILDERS: dict[str, Callable[[int, int, tuple[int, int, int], int], Backbone]] = {
    "resnet": resnet.build,
    "vgg": vgg.build,
    "mobilenet": mobilenet.build,
    "msdnet": msdnet.build,
    "branchynet": branchynet.build,
}
NAMED: dict[str, tuple[Family, int, int]] = {
    **{f"resnet{depth}": ("resnet", depth, 16) for depth in (8, 14, 20, 32, 44, 56, 110)},
    **{f"vgg{depth}": ("vgg", depth, 64) for depth in vgg.CONVOLUTIONS},
    "mobilenet": ("mobilenet", 13, 32),
    "msdnet": ("msdnet", 5, 16),
    "branchynet": ("branchynet", branchynet.CONVOLUTIONS, 32),
}


class Architecture(Structure):
    """Everything needed to build a network's modules: numbers only, no code.

    Parameters
    ----------
    family
        ``resnet``, ``vgg``, ``mobilenet``, ``msdnet`` or ``branchynet``.
    depth
        Layers of a ResNet (6k + 2), weight layers of a VGG (8, 11, 13, 16, 19), blocks of a MobileNet (1 to 13), blocks
        of an MSDNet (2 or more), convolutions of a BranchyNet (5).
    width
        Channels of the first stage.
    input_shape, classes, exits, sdn, integers
        As in `Structure`.
    """

    family: Family
    depth: int = Field(ge=1, le=302)
    width: int = Field(ge=1, le=1024)

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return f"{self.family} {self.depth}, width {self.width}"

    @property
    def layout(self) -> torch.memory_format:
        """Channels last, in which convolving and pooling are faster on a CPU."""
        return torch.channels_last

    def stage_name(self, stage: int) -> str:
        """What a stage is called."""
        return f"stage {stage}"

    def backbone(self) -> Backbone:
        """Its modules, freshly initialised from torch's global generator.

        Raises
        ------
        ExitprintError
            If depth or input size make no such network.
        """
        channels, height, width = self.input_shape
        if height != width or not 4 <= height <= 512 or not 1 <= channels <= 64:
            raise ExitprintError(
                f"images must be square, 4 to 512 pixels wide, with 1 to 64 channels, and not {self.input_shape}."
            )
        return BUILDERS[self.family](self.depth, self.width, self.input_shape, self.classes)

    def summary(self) -> dict[str, Any]:
        """The record, as plain JSON."""
        return self.model_dump(mode="json")


def architecture(
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    depth: int | None = None,
    width: int | None = None,
) -> Architecture:
    """Architecture by its common name (``resnet56``, ``vgg16``, ``msdnet``, …), with depth and width if others.

    Raises
    ------
    ExitprintError
        If there is no such architecture, or the numbers make none.
    """
    found = NAMED.get(name) or next(((f, d, w) for n, (f, d, w) in NAMED.items() if f == name), None)
    if found is None:
        raise ExitprintError(f"unknown architecture {name!r}: use one of {', '.join(NAMED)}, or a family with --depth.")
    family, default_depth, default_width = found
    return checked_architecture(
        {
            "family": family,
            "depth": default_depth if depth is None else depth,
            "width": default_width if width is None else width,
            "input_shape": input_shape,
            "classes": classes,
        }
    )


def checked_architecture(fields: object) -> Architecture:
    """An architecture from untrusted fields, or one sentence on what is wrong with them."""
    try:
        return Architecture.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "architecture"
        raise ExitprintError(f"this architecture cannot be built: {where}: {first['msg'].lower()}.") from error
