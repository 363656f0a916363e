"""What `probe` and `steal` share: images to ask with, how often they are asked, and what the times say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exitprint.cli.grouped import grouped
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from torch import Tensor

    from exitprint.cli.suspect_options import AskingOptions
    from exitprint.data import ImageData
    from exitprint.timing.inquiry import Inquiry

MethodName = Literal["blocks", "kde", "mixture"]

Resume = Annotated[bool, typer.Option("--resume", help="Go on with the journal that is there, asking nothing twice.")]


@dataclass(frozen=True)
class InquiryOptions:
    """How a suspect is asked with images; see `exitprint.timing.inquire`."""

    queries: Annotated[
        int | None,
        typer.Option(help="Images to ask with, a seeded choice. Default: probe 500, steal 2,000, or all there are."),
    ] = None
    repeats: Annotated[int, typer.Option(help="How often each image is asked at most; the noise may need less.")] = 16
    budget: Annotated[int | None, typer.Option(help="Most requests in all.")] = None
    method: Annotated[MethodName, typer.Option(help="How exits are found in runtimes.")] = "blocks"
    journal: Annotated[Path | None, typer.Option(help="Keep every answer in this file.")] = None
    resume: Resume = False

    def inquire(self, suspect: str, asking_of: AskingOptions, x: Tensor, seed: int) -> Inquiry:
        """Ask the suspect that was named."""
        from exitprint.timing.inquiry import inquire

        how = {name: value for name, value in vars(self).items() if name != "queries"}
        with asking_of.open(suspect, self.budget) as opened:
            return inquire(opened, x, seed=seed, subject=asking_of.subject(suspect), **how)


takes_inquiry = grouped("asked", InquiryOptions)
"""Give a command the options of `InquiryOptions` in place of its parameter `asked`."""


def unlabelled(data: ImageData, queries: int | None, usual: int, seed: int) -> Tensor:
    """A seeded choice of the training images, 8-bit, without their labels: (queries, channels, height, width).

    As many as are asked for; where nothing is, `usual`, or all where there are fewer.
    """
    import torch

    trained, there = len(data.train), len(data.train) + len(data.calibration)
    if queries is None:
        queries = min(usual, there)
    if queries > there:
        raise ExitprintError(
            f"there are {there} images to ask with, and not {queries}: ask with fewer (--queries), or use more."
        )
    order = torch.randperm(there, generator=torch.Generator().manual_seed(seed))[:queries].sort().values
    return torch.cat(
        [data.train.pixels[order[order < trained]], data.calibration.pixels[order[order >= trained] - trained]]
    )


def summary(inquiry: Inquiry) -> str:
    """One sentence on what the times say."""
    from exitprint.timing.inquiry import SURE, SURE_OF_COUNT

    estimate = inquiry.estimate
    images, repeats = inquiry.seconds.shape
    asked = f"{images} images asked {repeats} time{'s' if repeats > 1 else ''} each"
    if inquiry.end == "no difference":
        return f"{asked}: the suspect takes the same time for every image, so its time says nothing about exits."
    if not estimate.depends_on_input:
        return (
            f"{asked}: no exits can be told apart in this noise; ask more often (--repeats, --budget), "
            "or at an address with a larger --amplification."
        )
    if inquiry.end == "clear":
        return f"{asked}: {estimate.count} exits, told apart (probability of their number {estimate.certainty:.3f})."
    right = float(estimate.probabilities.mean())
    if estimate.certainty < SURE_OF_COUNT:
        return (
            f"{asked}: {estimate.count} exits, though their number is not certain (probability "
            f"{estimate.certainty:.2f}; with it, an input's exit is right with probability {right:.2f}): more repeats "
            "would help."
        )
    return (
        f"{asked}: {estimate.count} exits, not all told apart (an input's exit is right with probability {right:.2f}, "
        f"where {SURE:g} is wanted): more repeats would help."
    )
