"""Weights that somebody else saved, read without running code from them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from exitprint.errors import ExitprintError

CONTAINERS = ("state_dict", "model_state_dict", "model")
PREFIXES = ("module.", "_orig_mod.", "model.")


def load_weights(module: nn.Module, path: str | os.PathLike[str]) -> None:
    """Put the weights of a file into a module of the user's.

    A `.safetensors` file, or one of `torch.save` read with ``weights_only=True``; the weights may lie under
    ``state_dict``, and their names may begin with ``module.`` (`DataParallel`), ``_orig_mod.`` (`torch.compile`) or
    ``model.``.

    Raises
    ------
    ExitprintError
        If the file is missing or damaged, holds something else than weights, or they do not fit the module.
    """
    source = Path(path)
    if not source.is_file():
        raise ExitprintError(f"there is no file {str(source)!r}: check the path.")
    tensors = _tensors(source)
    wanted = module.state_dict()
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in tensors) and not all(name.startswith(prefix) for name in wanted):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    counted = [name for name in wanted if name.endswith("num_batches_tracked")]
    missing = sorted(set(wanted) - set(tensors) - set(counted))
    unknown = sorted(set(tensors) - set(wanted))
    if missing or unknown:
        what = f"{missing[0]!r} is missing" if missing else f"{unknown[0]!r} is not one of its weights"
        raise ExitprintError(
            f"the weights in {str(source)!r} do not fit this module ({what}; {len(missing)} missing, {len(unknown)} "
            "too many): check that the factory builds the network that they were saved from."
        )
    wrong = next((name for name, tensor in tensors.items() if tensor.shape != wanted[name].shape), None)
    if wrong is not None:
        raise ExitprintError(
            f"the weights in {str(source)!r} do not fit this module: {wrong!r} is {tuple(tensors[wrong].shape)} and "
            f"should be {tuple(wanted[wrong].shape)}."
        )
    module.load_state_dict(tensors, strict=False)


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ExitprintError(
            f"{str(path)!r} holds more than weights, which could run code when opened, so it is not read: save "
            "module.state_dict() alone, or a .safetensors file."
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ExitprintError(f"{str(path)!r} is not a readable file of weights: get a whole copy.") from error
    for name in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ExitprintError(f"{str(path)!r} holds no dictionary of weights: save module.state_dict().")
    return {str(name): tensor for name, tensor in content.items()}
