"""What a thief does to a copy he holds: functions from network and images to another network."""

from __future__ import annotations

from exitprint.tampering.exits import add_exits, change_criterion, remove_exits, retrain_exits
from exitprint.tampering.further import adversarial_training, finetune, pgd
from exitprint.tampering.kinds import KINDS, checked_parameters, parameter_model, tamper, tamper_in_steps, uses_seed
from exitprint.tampering.weights import prune, quantise

__all__ = [
    "KINDS",
    "add_exits",
    "adversarial_training",
    "change_criterion",
    "checked_parameters",
    "finetune",
    "parameter_model",
    "pgd",
    "prune",
    "quantise",
    "remove_exits",
    "retrain_exits",
    "tamper",
    "tamper_in_steps",
    "uses_seed",
]
