"""A network's file: weights, architecture, policy and history in one `.safetensors`; loading runs no code from it."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors
from exitprint.networks.architectures.architecture import Architecture
from exitprint.networks.exported import Exported
from exitprint.networks.network import MultiExitNetwork
from exitprint.networks.policy import Answer, Criterion, ExitPolicy

KIND = "network"


class _Policy(BaseModel):
    model_config = ConfigDict(extra="forbid")
    criterion: Criterion
    thresholds: list[float] = Field(min_length=1, max_length=10_000)
    answer: Answer = "exit"


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: str
    architecture: Annotated[Architecture | Exported, Field(discriminator="family")]
    policy: _Policy
    history: list[dict[str, Any]] = []


def save_network(network: MultiExitNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network to one `.safetensors` file, whole or not at all.

    Raises
    ------
    ExitprintError
        If the network has no architecture record, or the file cannot be written.
    """
    if network.architecture is None:
        raise ExitprintError("this network was not built from an architecture of ours, so it cannot be saved as one.")
    header = {
        "architecture": network.architecture.model_dump(mode="json"),
        "policy": _Policy(**asdict(network.policy)).model_dump(exclude_defaults=True),
        "history": network.history,
    }
    save_tensors(path, KIND, header, network.state_dict())


def load_network(path: str | os.PathLike[str]) -> MultiExitNetwork:
    """Read a network, in evaluation mode, from a file that `save_network` wrote.

    Raises
    ------
    ExitprintError
        If the file is missing, damaged, of another kind, or its tensors do not fit its architecture.
    """
    fields, tensors = load_tensors(path, KIND)
    try:
        header = _Header.model_validate(fields)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ExitprintError(
            f"the header of {str(path)!r} makes no network (its {where} is wrong): get a whole copy."
        ) from error
    with torch.device("meta"):
        network = MultiExitNetwork.build(header.architecture)
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
    if expected != {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}:
        raise ExitprintError(
            f"the weights in {str(path)!r} do not fit the architecture in its header: get a whole copy."
        )
    aligned = {name: tensor.clone() for name, tensor in tensors.items()}  # products of unaligned ones round differently
    network.load_state_dict(aligned, assign=True)
    network.policy = ExitPolicy(**header.policy.model_dump())
    network.history = header.history
    return network.to(memory_format=network.layout).eval().requires_grad_(True)  # type: ignore[call-overload]
