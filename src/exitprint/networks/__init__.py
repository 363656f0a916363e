"""What is owned: stages with exit heads and an exit policy, and the file they live in."""

from __future__ import annotations

from exitprint.networks.architectures import Architecture, architecture
from exitprint.networks.cost import exit_costs, exit_flops
from exitprint.networks.file import save_network
from exitprint.networks.heads import ExitHead
from exitprint.networks.network import MultiExitNetwork, load_network
from exitprint.networks.policy import ExitPolicy, ExitRule, calibrate
from exitprint.networks.predict import Prediction

__all__ = [
    "Architecture",
    "ExitHead",
    "ExitPolicy",
    "ExitRule",
    "MultiExitNetwork",
    "Prediction",
    "architecture",
    "calibrate",
    "exit_costs",
    "exit_flops",
    "load_network",
    "save_network",
]
