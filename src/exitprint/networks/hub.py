"""Networks in the layout of the Hugging Face hub: our file, a configuration to read, and a model card."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.networks.cost import exit_costs
from exitprint.networks.describe import HEAD, rows, title
from exitprint.networks.file import load_network, save_network

if TYPE_CHECKING:
    from exitprint.networks.network import MultiExitNetwork

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def save_pretrained(network: MultiExitNetwork, folder: str | os.PathLike[str]) -> None:
    """Write ``model.safetensors``, ``config.json`` and, where there is none yet, a model card ``README.md``.

    The first alone is enough to load the network; the others are for people and for the hub.

    Raises
    ------
    ExitprintError
        If the network cannot be saved, or the folder cannot be written.
    """
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExitprintError(f"cannot make the folder {str(place)!r} ({error.strerror}): choose another.") from error
    save_network(network, place / WEIGHTS)
    write_bytes(place / CONFIG, (json.dumps(configuration(network), indent=2, ensure_ascii=False) + "\n").encode())
    if not (place / CARD).exists():
        write_bytes(place / CARD, model_card(network).encode())


def from_pretrained(name: str | os.PathLike[str], revision: str | None = None, **options: Any) -> MultiExitNetwork:
    """A network from a folder that `save_pretrained` wrote, or from a repository of the hub.

    Parameters
    ----------
    name
        A folder, or ``owner/repository``.
    revision
        Branch, tag or commit of the repository.
    options
        What `huggingface_hub.hf_hub_download` takes besides: ``token``, ``cache_dir``, ``local_files_only``, …

    Raises
    ------
    ExitprintError
        If there is no such folder or repository, the hub cannot be reached, or the file is no network of ours.
    """
    place = Path(name)
    if place.is_dir():
        return load_network(place / WEIGHTS)
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(str(name), WEIGHTS, revision=revision, library_name="exitprint", **options)
    except Exception as error:  # of the hub, of its cache and of the network below it: all mean the same to a user
        what = " ".join(str(error).split())[:200]
        raise ExitprintError(
            f"there is no folder {str(name)!r}, and the hub does not give it either: {what}"
        ) from error
    return load_network(path)


def push_to_hub(
    network: MultiExitNetwork,
    repository: str,
    *,
    private: bool = True,
    token: str | None = None,
    message: str = "Upload a multi-exit network",
) -> str:
    """Put a network into a repository of the hub, made where there is none, and return its address.

    Parameters
    ----------
    network
        It is saved with its architecture, policy and history.
    repository
        ``owner/name``.
    private
        Whether a new repository is private: who fingerprints a network mostly wants to keep it.
    token
        By default the one that ``hf auth login`` kept.
    message
        Of the commit.

    Raises
    ------
    ExitprintError
        If the network cannot be saved, or the hub refuses.
    """
    from tempfile import TemporaryDirectory

    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="exitprint")
    with TemporaryDirectory() as folder:
        save_pretrained(network, folder)
        try:
            made = api.create_repo(repository, private=private, exist_ok=True)
            kept = [CARD] if api.file_exists(made.repo_id, CARD) else None
            api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message=message, ignore_patterns=kept)
        except Exception as error:
            raise ExitprintError(f"the hub does not take it: {' '.join(str(error).split())[:200]}") from error
    return str(made)


def configuration(network: MultiExitNetwork) -> dict[str, Any]:
    """What ``config.json`` holds."""
    arch = network.architecture
    if arch is None:
        raise ExitprintError("this network was not built from an architecture of ours, so it cannot be saved as one.")
    return {
        "library_name": "exitprint",
        "model_type": "multi-exit-network",
        "architecture": arch.summary(),
        "image_mean": network.mean.flatten().tolist(),
        "image_std": network.std.flatten().tolist(),
        "policy": {
            "criterion": network.policy.criterion,
            "thresholds": list(network.policy.thresholds),
            "answer": network.policy.answer,
        },
        "exit_costs": list(exit_costs(network)),
    }


def model_card(network: MultiExitNetwork) -> str:
    """What ``README.md`` holds: the hub's metadata, what the network is, how it is loaded, and its history."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        library_name="exitprint", pipeline_tag="image-classification", tags=["early-exit", "multi-exit", "exitprint"]
    )
    table = "\n".join("| " + " | ".join(row) + " |" for row in [HEAD, ("---",) * len(HEAD), *rows(network)])
    steps = "\n".join(f"- `{json.dumps(record, ensure_ascii=False)}`" for record in network.history) or "- unknown"
    return f"""---
{data.to_yaml()}
---

# A multi-exit network

{title(network)}.

{table}

Cost is the share of the FLOPs of the last exit, T_c the threshold at which an input leaves there.

```python
from exitprint import MultiExitNetwork

network = MultiExitNetwork.from_pretrained("owner/name")
prediction = network.predict(images)  # in [0, 1], shape (batch, channels, height, width)
```

## What was done to it

{steps}
"""
