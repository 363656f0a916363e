"""Where a killed training goes on: one file beside the result, found again by what the training depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors

KIND = "training checkpoint"


def digest(depends_on: Mapping[str, Any]) -> str:
    """Hash of everything a result depends on."""
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Checkpoint:
    """State of an unfinished training.

    Attributes
    ----------
    path
        Its file; gone when training is done.
    key
        Hash of what the training depends on: the state of another training is not taken up.
    """

    path: Path
    key: str

    def write(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Keep the state after `epoch` epochs."""
        save_tensors(self.path, KIND, {"key": self.key, "epoch": epoch}, tensors)

    def read(self) -> tuple[int, dict[str, Tensor]] | None:
        """(finished epochs, tensors), or None where nothing usable was left."""
        try:
            header, tensors = load_tensors(self.path, KIND)
        except ExitprintError:
            return None
        return (int(header["epoch"]), tensors) if header.get("key") == self.key else None

    def keep(self, network: nn.Module, optimiser: torch.optim.SGD, epochs: int) -> None:
        """Keep weights, statistics and momenta after so many epochs."""
        momenta = {f"momentum.{i}": optimiser.state[p]["momentum_buffer"] for i, p in enumerate(_trained(optimiser))}
        self.write(epochs, {**{f"network.{k}": v for k, v in network.state_dict().items()}, **momenta})

    def resume(self, network: nn.Module, optimiser: torch.optim.SGD) -> int:
        """Take up what was kept, in place, and return how many epochs that are: 0 where nothing usable was left."""
        kept = self.read()
        if kept is None:
            return 0
        epochs, tensors = kept
        weights = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        network.load_state_dict(weights)
        for index, parameter in enumerate(_trained(optimiser)):
            optimiser.state[parameter]["momentum_buffer"] = tensors[f"momentum.{index}"].to(parameter.device)
        return epochs

    def remove(self) -> None:
        """Training is done."""
        self.path.unlink(missing_ok=True)


def _trained(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
