"""Prove, by its inference time alone, that a deployed multi-exit neural network is a copy of yours."""

from __future__ import annotations

from exitprint.data import ImageData, Images, image_data, load_data
from exitprint.errors import ExitprintError
from exitprint.fingerprints import (
    Fingerprint,
    Verdict,
    contrast_fingerprint,
    load_fingerprint,
    paper_fingerprint,
    save_fingerprint,
    verify,
    verify_sequentially,
    with_references,
)
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, exit_costs, load_network, save_network
from exitprint.stealing import steal
from exitprint.suspects import Answer, CallableSuspect, CostModel, InProcess, Suspect, open_suspect
from exitprint.timing import exits, inquire
from exitprint.training import MultiExitClassifier, calibrated_policy, recipe, train_network

__all__ = [
    "Answer",
    "CallableSuspect",
    "CostModel",
    "ExitPolicy",
    "ExitprintError",
    "Fingerprint",
    "ImageData",
    "Images",
    "InProcess",
    "MultiExitClassifier",
    "MultiExitNetwork",
    "Suspect",
    "Verdict",
    "architecture",
    "calibrated_policy",
    "contrast_fingerprint",
    "exit_costs",
    "exits",
    "image_data",
    "inquire",
    "load_data",
    "load_fingerprint",
    "load_network",
    "open_suspect",
    "paper_fingerprint",
    "recipe",
    "save_fingerprint",
    "save_network",
    "steal",
    "train_network",
    "verify",
    "verify_sequentially",
    "with_references",
]
