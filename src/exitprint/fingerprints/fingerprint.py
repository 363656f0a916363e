"""The fingerprint: crafted images with what is expected of them, in one `.safetensors` file."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from exitprint.data import Pixels, unit_range
from exitprint.display import html_table
from exitprint.errors import ExitprintError, told
from exitprint.files import load_tensors, save_tensors
from exitprint.fingerprints.promises import Strength
from exitprint.suspects.through import Through

Kind = Literal["paper", "contrast"]
Recipe = Literal["same", "other"]
FILE_KIND = "fingerprint"
VALUE_RANGE = [0.0, 1.0]
TENSORS = {
    "samples": torch.uint8,
    "originals": torch.uint8,
    "late": torch.bool,
    "reached": torch.bool,
    "steps": torch.int64,
    "chosen": torch.int64,
    "answers": torch.int64,
}
LARGEST_CHANGE = 0.8
"""The largest mean change of a contrast that may claim anything, as a share of the median distance of an image to its
nearest neighbour."""
MOST_NAME = 200


@dataclass(frozen=True)
class Reference:
    """A network known to be independent, and what the finished samples came to on it.

    Attributes
    ----------
    name
        What the owner calls it.
    share
        For each policy of the fingerprint the share of pairs in which the late sample takes the reference longer than
        the early one, ties counting half, by the cost model; for the paper's kind the share of pairs in which a sample
        takes longer than another sample's original. First as sent, then for the same policies behind each way through
        a front door.
    recipe
        Whether it was trained as the owner's network was (``same``: another seed only) or otherwise (``other``).
    """

    name: str
    share: tuple[float, ...]
    recipe: Recipe

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= MOST_NAME or self.recipe not in get_args(Recipe):
            raise ExitprintError(f"a reference has a name of at most {MOST_NAME} characters, and a recipe.")
        if not self.share or not all(0 <= share <= 1 for share in self.share):
            raise ExitprintError("a reference has a share of pairs from 0 to 1 for each policy.")


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
    pool
        Number of images that the originals were chosen from.
    answers
        The label that the owner's network gives each original, int64, shape (samples,); with ways through a front door
        (samples, 1 + ways), as sent and behind each.
    references
        Networks known to be independent that it was crafted against, with what it came to on each.
    through
        The ways through a service's front door behind which its samples do what they are for as well; see `Through`.
    record
        How it was made: data set, seed, thresholds, parameters of the method; plain JSON.
    strength
        What it came to on simulated copies, where that was measured: the owner's word, on which no verdict rests.
    """

    kind: Kind
    samples: Tensor
    originals: Tensor
    late: Tensor
    reached: Tensor
    steps: Tensor
    chosen: Tensor
    pool: int
    answers: Tensor
    references: tuple[Reference, ...] = ()
    through: tuple[Through, ...] = ()
    record: dict[str, Any] = field(default_factory=dict)
    strength: Strength | None = None

    def __post_init__(self) -> None:
        n = len(self.samples)
        if self.samples.shape != self.originals.shape or self.samples.ndim != 4 or self.samples.numel() == 0:
            raise ExitprintError("a fingerprint needs samples and their originals, of one shape, as 8-bit pixels.")
        if any(getattr(self, part).dtype != dtype for part, dtype in TENSORS.items()):
            raise ExitprintError("a fingerprint needs 8-bit pixels, and whole numbers or flags for each sample.")
        answers_fit = self.answers.shape in ((n,), (n, 1 + len(self.through)))
        if not answers_fit or any(part.shape != (n,) for part in (self.late, self.reached, self.steps, self.chosen)):
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
        return l2_changes(self.x, self.benign)

    @property
    def change(self) -> float:
        """The mean change, as a share of the median distance of an original to its nearest neighbour."""
        return float(self.l2.mean() / between_neighbours(self.benign))

    def check(self, largest_change: float = LARGEST_CHANGE) -> None:
        """Refuse what no crafting gives, as far as it can be seen in the fingerprint itself.

        Parameters
        ----------
        largest_change
            The largest change that is allowed, as a share of the distance between images; infinity where the
            fingerprint is to be measured with and nothing is claimed by it.

        Raises
        ------
        ExitprintError
            If an image occurs twice or was not changed, a half is missing, images were chosen from fewer than there
            are, or the change is as large as the distance between images.
        """
        late = int(self.late.sum())
        if self.kind == "contrast" and not 0 < late < len(self):
            raise ExitprintError("this contrast fingerprint has one half only: craft it again with both.")
        if self.kind == "paper" and late < len(self):
            raise ExitprintError("all samples of a fingerprint of the paper's kind are late: craft it again.")
        if len(self) > self.pool or not 0 <= int(self.chosen.min()) <= int(self.chosen.max()) < self.pool:
            raise ExitprintError("this fingerprint's images were chosen from fewer than there are: craft it again.")
        if int(self.answers.min()) < 0 or int(self.steps.min()) < 0:
            raise ExitprintError("this fingerprint has labels or numbers of steps below zero: craft it again.")
        different = [len(distinct(pixels)) for pixels in (self.originals, self.samples)]
        if min(*different, len(set(self.chosen.tolist()))) < len(self):
            raise ExitprintError("an image occurs twice in this fingerprint: craft it again from images that differ.")
        if self.kind == "paper":
            return
        if len(distinct(torch.cat([self.originals, self.samples]))) < 2 * len(self):
            raise ExitprintError("a sample of this contrast fingerprint was not changed at all: craft it again.")
        self.check_change(largest_change)

    def check_change(self, largest_change: float = LARGEST_CHANGE) -> None:
        """Refuse a change that any network would follow.

        Parameters
        ----------
        largest_change
            The largest mean change, as a share of the median distance of an original to its nearest neighbour.

        Raises
        ------
        ExitprintError
            If it is larger.
        """
        if self.change > largest_change:
            raise ExitprintError(
                f"this fingerprint changes its images by {self.change:.0%} of the distance between an image and its "
                "nearest neighbour, and any network would follow that: craft it again with a smaller change."
            )


def distinct(pixels: Pixels) -> Tensor:
    """Indices of the images (images, channels, height, width) without those that occurred before, ascending."""
    first: dict[bytes, int] = {}
    for index, image in enumerate(pixels):
        first.setdefault(image.numpy().tobytes(), index)
    return torch.tensor(list(first.values()))


def l2_changes(x: Tensor, originals: Tensor) -> Tensor:
    """‖x′ − x‖₂ of each image, shape (images,), from changed images and originals with pixels in [0, 1]."""
    return (x - originals).flatten(1).norm(dim=1)


def between_neighbours(x: Tensor) -> Tensor:
    """Median L2 distance of an image to its nearest neighbour, from images (images, channels, height, width)."""
    distances = torch.cdist(x.flatten(1), x.flatten(1)).fill_diagonal_(torch.inf)
    return distances.amin(1).median().clamp(min=1e-9)


def save_fingerprint(
    fingerprint: Fingerprint, path: str | os.PathLike[str], largest_change: float = LARGEST_CHANGE
) -> None:
    """Write a fingerprint to one `.safetensors` file, whole or not at all; `largest_change` as in `Fingerprint.check`.

    Raises
    ------
    ExitprintError
        If it could not be loaded again; see `Fingerprint.check`.
    """
    fingerprint.check(largest_change)
    header = {
        "fingerprint": fingerprint.kind,
        "value_range": VALUE_RANGE,
        "pool": fingerprint.pool,
        "references": [asdict(reference) for reference in fingerprint.references],
        "through": [way.text for way in fingerprint.through],
        "record": fingerprint.record,
        "strength": fingerprint.strength.model_dump(mode="json") if fingerprint.strength else None,
    }
    save_tensors(path, FILE_KIND, header, {part: getattr(fingerprint, part) for part in TENSORS})


def load_fingerprint(path: str | os.PathLike[str], largest_change: float = LARGEST_CHANGE) -> Fingerprint:
    """Read a fingerprint; no code from the file is run, and what can be computed is not believed.

    Parameters
    ----------
    path
        The file.
    largest_change
        As in `Fingerprint.check`.

    Raises
    ------
    ExitprintError
        If the file is missing, damaged, of another kind or of an earlier version, made for another range of pixel
        values, or holds what no crafting gives.
    """
    header, tensors = load_tensors(path, FILE_KIND)
    if header.get("value_range") != VALUE_RANGE:
        raise ExitprintError(
            f"the fingerprint {str(path)!r} is for pixel values in {header.get('value_range')}, and networks here take "
            "[0, 1]: craft it again."
        )
    if "t_f_share" in header:
        raise ExitprintError(f"the fingerprint {str(path)!r} is of an earlier version of exitprint: craft it again.")
    kind, pool, record = header.get("fingerprint"), header.get("pool"), header.get("record")
    with told(f"the fingerprint {str(path)!r} is incomplete: get a whole copy.", (KeyError, TypeError, ValueError)):
        if kind not in get_args(Kind) or type(pool) is not int or not isinstance(record, dict):
            raise KeyError("fingerprint")
        references = tuple(
            Reference(each["name"], tuple(float(share) for share in each["share"]), each["recipe"])
            for each in header["references"]
        )
        through = tuple(Through(text) for text in header.get("through", []))
        parts = {part: tensors[part] for part in TENSORS}
        strength = Strength.read(header["strength"]) if header.get("strength") is not None else None
        made = Fingerprint(
            cast(Kind, kind),
            **parts,
            pool=pool,
            references=references,
            through=through,
            record=record,
            strength=strength,
        )
    made.check(largest_change)
    return made
