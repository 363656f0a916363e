"""Where the images of `study same-maker`'s fingerprints left well trained networks, as recorded for simulations.

Each list counts images by exit. A simulated suspect draws its images' exits from these, with replacement. All are of
the third party's ResNets on the original pixels; RAD=0, 5 and 15, the first seed's fingerprint.
"""

from __future__ import annotations

from typing import NamedTuple


class Record(NamedTuple):
    """How many images left a network at each exit: samples and originals of the late and of the early half."""

    late: list[int]
    early: list[int]
    late_original: list[int]
    early_original: list[int]


NEAREST = Record(
    [2, 9, 4, 15, 13, 16, 56, 38, 47],
    [1, 0, 6, 80, 27, 33, 36, 7, 10],
    [21, 16, 15, 84, 9, 22, 25, 4, 4],
    [1, 0, 0, 11, 16, 16, 64, 34, 58],
)
"""ResNet-32 on ResNet-44's 400 samples (margin 0.5, no reference, RAD=5): the nearest at that margin, 0.74."""
AT_LARGE_MARGIN = Record(
    [2, 2, 2, 2, 2, 4, 30, 14, 42],
    [0, 2, 4, 32, 17, 15, 17, 6, 7],
    [21, 16, 17, 34, 3, 4, 5, 0, 0],
    [0, 0, 0, 1, 7, 4, 26, 20, 42],
)
"""ResNet-32 on ResNet-44's 200 samples (margin 1.5, no reference, RAD=5): the nearest of all, 0.81."""
AT_DEFAULT = Record(
    [0, 1, 0, 0, 0, 1, 7, 20, 71],
    [0, 0, 0, 1, 1, 4, 30, 18, 46],
    [0, 1, 0, 5, 8, 14, 55, 8, 9],
    [0, 0, 0, 0, 0, 0, 3, 11, 86],
)
"""ResNet-32 on ResNet-44's 200 samples (margin 1, no reference, RAD=0): the nearest at default settings, 0.65."""
TIED = Record(
    [0, 0, 0, 0, 0, 0, 0, 0, 100],
    [0, 0, 0, 0, 0, 0, 0, 0, 100],
    [0, 0, 0, 0, 0, 0, 0, 7, 93],
    [0, 0, 0, 0, 0, 0, 0, 0, 100],
)
"""ResNet-20 on the same, RAD=0: nearly every image runs through, and ties make one half."""
WITH_REFERENCE = Record(
    [0, 1, 0, 1, 0, 0, 24, 12, 62],
    [0, 0, 0, 0, 0, 0, 14, 17, 69],
    [0, 2, 0, 6, 10, 15, 48, 11, 8],
    [0, 0, 0, 0, 0, 0, 2, 9, 89],
)
"""ResNet-32 on ResNet-44's 200 samples (margin 1.5, ResNet-20 as reference, RAD=0): the nearest there, 0.45."""
WORST_COPY = Record(
    [5, 4, 3, 5, 2, 15, 15, 27, 24],
    [15, 81, 2, 2, 0, 0, 0, 0, 0],
    [64, 33, 3, 0, 0, 0, 0, 0, 0],
    [7, 11, 5, 13, 11, 12, 25, 11, 5],
)
"""ResNet-44, fine-tuned with new exits, on its 200 samples (margin 1, no reference, RAD=15): the least copy, 0.94."""
TIED_COPY = Record(
    [0, 0, 0, 0, 0, 0, 0, 0, 100],
    [0, 0, 0, 2, 3, 2, 6, 15, 72],
    [0, 0, 0, 2, 0, 2, 42, 27, 27],
    [0, 0, 0, 0, 0, 0, 0, 4, 96],
)
"""ResNet-20 in 8 bits on its 200 samples (margin 1, no reference, RAD=0): a copy among ties, 0.64."""
