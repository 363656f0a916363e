"""Where a killed training goes on: one file beside the result, found again by what the training depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

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

    def remove(self) -> None:
        """Training is done."""
        self.path.unlink(missing_ok=True)
