"""A network's file: weights, architecture, policy and history in one `.safetensors`; loading runs no code from it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors
from exitprint.networks.architectures.architecture import Architecture
from exitprint.networks.exported import Exported
from exitprint.networks.policy import Answer, Criterion
from exitprint.strict import Strict

if TYPE_CHECKING:
    from exitprint.networks.network import MultiExitNetwork

KIND = "network"
NOT_SAVED = (
    "a file holds no code, and this network consists of modules of your own: save what MultiExitNetwork.wrap(network, "
    "example=images) makes of it, with its policy."
)


class _Policy(Strict):
    criterion: Criterion
    thresholds: list[float] = Field(min_length=1, max_length=10_000)
    answer: Answer = "exit"
    temperature: float = 1.0


class Header(Strict):
    """What a network's file says beside its weights.

    Attributes
    ----------
    architecture
        What the modules are built from.
    policy
        When inputs leave.
    history
        What was done to the network.
    """

    kind: str
    architecture: Annotated[Architecture | Exported, Field(discriminator="family")]
    policy: _Policy
    history: list[dict[str, Any]] = Field(default_factory=list)


def save_network(network: MultiExitNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network to one `.safetensors` file, whole or not at all.

    Raises
    ------
    ExitprintError
        If the network has no architecture record, or the file cannot be written.
    """
    if network.architecture is None:
        raise ExitprintError(NOT_SAVED)
    header = {
        "architecture": network.architecture.model_dump(mode="json"),
        "policy": network.policy.described(),
        "history": network.history,
    }
    save_tensors(path, KIND, header, network.state_dict())


def read(path: str | os.PathLike[str]) -> tuple[Header, dict[str, Tensor]]:
    """What a file holds that `save_network` wrote: its header, and tensors not compared with the architecture yet.

    Raises `ExitprintError` if the file is missing, damaged or of another kind.
    """
    fields, tensors = load_tensors(path, KIND)
    try:
        return Header.model_validate(fields), tensors
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ExitprintError(
            f"the header of {str(path)!r} makes no network (its {where} is wrong): get a whole copy."
        ) from error
