"""The fingerprint: crafted images with what is expected of them, in one `.safetensors` file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from exitprint.data import unit_range
from exitprint.display import html_table
from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors
from exitprint.fingerprints.score import NATURAL

Kind = Literal["paper", "contrast"]
FILE_KIND = "fingerprint"
VALUE_RANGE = [0.0, 1.0]


@dataclass(frozen=True)
class Fingerprint:
    """Crafted images.

    Attributes
    ----------
    kind
        ``paper`` (every sample passes every exit; Dong et al.) or ``contrast`` (one half late, one half early).
    samples
        Crafted images as 8-bit pixels, uint8, shape (samples, channels, height, width).
    originals
        The benign images they were crafted from, same shape.
    late
        Whether a sample is expected to leave late, bool, shape (samples,); all of a paper fingerprint's are.
    reached
        Whether crafting reached its goal for the sample, checked after rounding, bool, shape (samples,).
    steps
        Optimisation steps spent on each sample, int64, shape (samples,).
    chosen
        Index of each original among the images it was chosen from, int64, shape (samples,).
    t_f
        T_f as an absolute number, as the paper sets it for each architecture and data set; NaN (the default) to take
        `t_f_share` of the suspect's own benign T_N instead.
    t_f_share
        T_f as a share of T_N of benign images on the same suspect. A constant overhead or another speed scales both
        alike, so the share holds for every clock.
    auc_threshold
        What the AUC of a contrast is compared with: one half by nature; more where its change may show on independent
        networks too.
    record
        How it was made: data set, seed, thresholds, parameters of the method; plain JSON.
    """

    kind: Kind
    samples: Tensor
    originals: Tensor
    late: Tensor
    reached: Tensor
    steps: Tensor
    chosen: Tensor
    t_f: float = float("nan")
    t_f_share: float = 0.1
    auc_threshold: float = NATURAL
    record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.samples)
        if self.samples.shape != self.originals.shape or self.samples.dtype != torch.uint8 or n == 0:
            raise ExitprintError("a fingerprint needs samples and their originals, of one shape, as 8-bit pixels.")
        if not NATURAL <= self.auc_threshold < 1:
            raise ExitprintError(
                f"the threshold of an AUC lies between {NATURAL} and 1, and not at {self.auc_threshold}."
            )
        if any(part.shape != (n,) for part in (self.late, self.reached, self.steps, self.chosen)):
            raise ExitprintError("a fingerprint needs one entry per sample in each of its parts.")

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        images = "×".join(map(str, self.input_shape))
        return (
            f"Fingerprint ({self.kind}): {len(self)} samples of {images}, {int(self.late.sum())} late, "
            f"{int(self.reached.sum())} reached their goal, L2 {float(self.l2.mean()):.2f}"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("samples", f"{len(self)} ({int(self.late.sum())} late), {'×'.join(map(str, self.input_shape))}"),
            ("reached their goal", int(self.reached.sum())),
            ("L2", f"{float(self.l2.mean()):.2f}"),
            ("steps", f"{float(self.steps.double().mean()):.0f}"),
        ]
        return html_table(f"Fingerprint ({self.kind})", rows)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one sample."""
        channels, height, width = self.samples.shape[1:]
        return channels, height, width

    @property
    def x(self) -> Tensor:
        """Samples as float32 in [0, 1]."""
        return unit_range(self.samples)

    @property
    def benign(self) -> Tensor:
        """Originals as float32 in [0, 1]."""
        return unit_range(self.originals)

    @property
    def l2(self) -> Tensor:
        """‖x − x′‖₂ of each sample, pixels in [0, 1], shape (samples,)."""
        return (self.x - self.benign).flatten(1).norm(dim=1)


def save_fingerprint(fingerprint: Fingerprint, path: str | os.PathLike[str]) -> None:
    """Write a fingerprint to one `.safetensors` file, whole or not at all."""
    header = {
        "fingerprint": fingerprint.kind,
        "value_range": VALUE_RANGE,
        "t_f": None if fingerprint.t_f != fingerprint.t_f else fingerprint.t_f,
        "t_f_share": fingerprint.t_f_share,
        "auc_threshold": fingerprint.auc_threshold,
        "record": fingerprint.record,
    }
    parts = ("samples", "originals", "late", "reached", "steps", "chosen")
    save_tensors(path, FILE_KIND, header, {part: getattr(fingerprint, part) for part in parts})


def load_fingerprint(path: str | os.PathLike[str]) -> Fingerprint:
    """Read a fingerprint; no code from the file is run.

    Raises
    ------
    ExitprintError
        If the file is missing, damaged, of another kind, or made for another range of pixel values.
    """
    header, tensors = load_tensors(path, FILE_KIND)
    if header.get("value_range") != VALUE_RANGE:
        raise ExitprintError(
            f"the fingerprint {str(path)!r} is for pixel values in {header.get('value_range')}, and networks here take "
            "[0, 1]: craft it again."
        )
    kind, t_f, record = header.get("fingerprint"), header.get("t_f"), header.get("record")
    try:
        if kind not in get_args(Kind) or not isinstance(record, dict):
            raise KeyError("fingerprint")
        return Fingerprint(
            kind=cast(Kind, kind),
            samples=tensors["samples"],
            originals=tensors["originals"],
            late=tensors["late"].bool(),
            reached=tensors["reached"].bool(),
            steps=tensors["steps"].long(),
            chosen=tensors["chosen"].long(),
            t_f=float("nan") if t_f is None else float(t_f),
            t_f_share=float(header["t_f_share"]),
            auc_threshold=float(header.get("auc_threshold", NATURAL)),
            record=record,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ExitprintError(f"the fingerprint {str(path)!r} is incomplete: get a whole copy.") from error
