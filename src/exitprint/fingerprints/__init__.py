"""Craft, score, verify; the fingerprint's file."""

from __future__ import annotations

from exitprint.fingerprints.fingerprint import Fingerprint, load_fingerprint, save_fingerprint
from exitprint.fingerprints.verdict import Verdict

__all__ = ["Fingerprint", "Verdict", "load_fingerprint", "save_fingerprint"]
