"""What `verify`, `probe` and `steal` share, a suspect opened, and what the last two do, images to ask with."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from torch import Tensor

    from exitprint.data import ImageData
    from exitprint.suspects import Suspect
    from exitprint.timing.inquiry import Inquiry

ClockName = Literal["measured", "cost-model"]
MethodName = Literal["blocks", "kde", "mixture"]

SuspectName = Annotated[
    str,
    typer.Argument(
        metavar="SUSPECT", help="A network's .safetensors, an .onnx model, or http(s)://host/v2/models/NAME."
    ),
]
HOW_MANY = "Images to ask with, a seeded choice."
OR_ALL = "{}, or all there are"
Repeats = Annotated[int, typer.Option(help="How often each image is asked at most; the noise may need less.")]
Budget = Annotated[int | None, typer.Option(help="Most requests in all.")]
Method = Annotated[MethodName, typer.Option(help="How exits are found in runtimes.")]
Clock = Annotated[ClockName, typer.Option(help="Wall clock, or FLOPs.")]
Rate = Annotated[float | None, typer.Option(help="Most requests per second, at an address.")]
Amplification = Annotated[int, typer.Option(help="Ask the same image so many times in one request, at an address.")]
Journal = Annotated[Path | None, typer.Option(help="Keep every answer in this file.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the journal that is there, asking nothing twice.")]


def opened(suspect: str, clock: ClockName, amplification: int, rate: float | None, budget: int | None) -> Suspect:
    """The suspect, by what was given on the command line."""
    from exitprint.networks import load_network
    from exitprint.suspects import CostModel, open_suspect

    if rate is not None and not at_address(suspect):
        raise ExitprintError("only a suspect at an address is asked at a rate: leave out --rate.")
    if clock == "cost-model":
        if at_address(suspect) or suspect.endswith(".onnx"):
            raise ExitprintError("the cost-model clock needs a network's .safetensors: leave out --clock.")
        return CostModel(load_network(suspect))
    return open_suspect(suspect, amplification=amplification, rate=rate, budget=budget)


def at_address(suspect: str) -> bool:
    """Whether the suspect is behind an address."""
    return suspect.startswith(("http://", "https://"))


def subject(suspect: str, clock: str, amplification: int) -> str:
    """What the suspect is called in a journal: another file or way of asking has another name."""
    if at_address(suspect):
        return f"{suspect}, amplification {amplification}"
    try:
        return f"{suspect}, {clock} clock, sha256 {sha256(Path(suspect).read_bytes()).hexdigest()}"
    except OSError as error:
        raise ExitprintError(f"cannot read {suspect!r} ({error.strerror}): check the path.") from error


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
    return (
        f"{asked}: {estimate.count} exits, not clearly told apart (an input's exit is right with probability "
        f"{estimate.probabilities.mean():.2f}): more repeats would help."
    )
