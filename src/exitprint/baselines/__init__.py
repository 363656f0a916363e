"""The methods that the papers compare with."""

from __future__ import annotations

from exitprint.baselines.conferrable import (
    LabelFingerprint,
    conferrability,
    conferrable_fingerprint,
    craft_conferrable,
    load_labels,
    save_labels,
    share_of_labels,
)

__all__ = [
    "LabelFingerprint",
    "conferrability",
    "conferrable_fingerprint",
    "craft_conferrable",
    "load_labels",
    "save_labels",
    "share_of_labels",
]
