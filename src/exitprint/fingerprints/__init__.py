"""Craft, score, verify; the fingerprint's file."""

from __future__ import annotations

from exitprint.fingerprints.contrast import Method, contrast_fingerprint, craft_contrast
from exitprint.fingerprints.fingerprint import Fingerprint, Reference, load_fingerprint, save_fingerprint
from exitprint.fingerprints.paper import craft_paper, paper_fingerprint
from exitprint.fingerprints.power import samples_needed
from exitprint.fingerprints.sequential import verify_sequentially
from exitprint.fingerprints.verdict import Verdict
from exitprint.fingerprints.verify import verify

__all__ = [
    "Fingerprint",
    "Method",
    "Reference",
    "Verdict",
    "contrast_fingerprint",
    "craft_contrast",
    "craft_paper",
    "load_fingerprint",
    "paper_fingerprint",
    "samples_needed",
    "save_fingerprint",
    "verify",
    "verify_sequentially",
]
