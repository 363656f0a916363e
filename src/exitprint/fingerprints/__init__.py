"""Craft, score, verify; the fingerprint's file."""

from __future__ import annotations

from exitprint.fingerprints.contrast import contrast_fingerprint
from exitprint.fingerprints.crafting import ContrastMethod, craft_contrast
from exitprint.fingerprints.fingerprint import Fingerprint, Reference, load_fingerprint, save_fingerprint
from exitprint.fingerprints.measurement import TNMeasurement, measure_t_n
from exitprint.fingerprints.paper import PaperMethod, craft_paper, paper_fingerprint
from exitprint.fingerprints.policies import default_policies
from exitprint.fingerprints.promises import Strength
from exitprint.fingerprints.strength import strength
from exitprint.fingerprints.verdict import Verdict
from exitprint.fingerprints.verify import verify

__all__ = [
    "ContrastMethod",
    "Fingerprint",
    "PaperMethod",
    "Reference",
    "Strength",
    "TNMeasurement",
    "Verdict",
    "contrast_fingerprint",
    "craft_contrast",
    "craft_paper",
    "default_policies",
    "load_fingerprint",
    "measure_t_n",
    "paper_fingerprint",
    "save_fingerprint",
    "strength",
    "verify",
]
