"""Networks in the layout of the Hugging Face hub: our file, a configuration to read, and a model card."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from huggingface_hub import HfApi, ModelCard, ModelCardData, ModelHubMixin, hf_hub_download

from exitprint.errors import ExitprintError, told
from exitprint.files import write_bytes
from exitprint.networks.cost import exit_costs
from exitprint.networks.describe import HEAD, rows, title
from exitprint.networks.file import NOT_SAVED, save_network

if TYPE_CHECKING:
    from exitprint.networks.network import MultiExitNetwork

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
OF_DOWNLOADS = ("revision", "cache_dir", "force_download", "local_files_only", "token")
"""What of the mixin's options says how a file is had from the hub."""


class Published(ModelHubMixin):
    """What a network has of `huggingface_hub.ModelHubMixin`; errors of the hub are told in one sentence."""

    def save_pretrained(self, save_directory: str | os.PathLike[str], **options: Any) -> str | None:
        """Write ``model.safetensors``, ``config.json`` and, where there is none yet, a model card ``README.md``.

        The first alone is enough to load the network; the others are for people and for the hub.

        Parameters
        ----------
        save_directory
            A folder, which is made where there is none.
        options
            As `ModelHubMixin.save_pretrained` takes them.

        Raises
        ------
        ExitprintError
            If the network cannot be saved, or the folder cannot be written.
        """
        folder = Path(save_directory)
        with told(f"cannot write a network to the folder {str(folder)!r}, so choose another: {{why}}", OSError):
            return super().save_pretrained(folder, **options)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any) -> Self:
        """A network from a folder that `save_pretrained` wrote, or from a repository of the hub.

        Parameters
        ----------
        pretrained_model_name_or_path
            A folder, or ``owner/repository``.
        options
            As `ModelHubMixin.from_pretrained` takes them: ``revision``, ``token``, ``cache_dir``,
            ``local_files_only``, …

        Raises
        ------
        ExitprintError
            If there is no such folder or repository, the hub cannot be reached, or the file is no network of ours.
        """
        name = str(pretrained_model_name_or_path)
        if Path(name).is_dir():
            return cls._from_pretrained(
                model_id=name, revision=None, cache_dir=None, force_download=False, local_files_only=True, token=None
            )
        with told(f"there is no folder {name!r}, and the hub does not give it either: {{why}}"):
            return super().from_pretrained(name, **options)

    def push_to_hub(self, repo_id: str, *, private: bool | None = True, **options: Any) -> str:
        """Put the network into a repository of the hub, made where there is none; a card that is there is kept.

        Parameters
        ----------
        repo_id
            ``owner/name``.
        private
            Whether a new repository is private: who fingerprints a network mostly wants to keep it.
        options
            As `ModelHubMixin.push_to_hub` takes them: ``token``, ``commit_message``, …

        Returns
        -------
        str
            Address of the commit.

        Raises
        ------
        ExitprintError
            If the network cannot be saved, or the hub refuses.
        """
        with told("the hub does not take it: {why}"):
            kept = HfApi(token=options.get("token")).file_exists(repo_id, CARD)
            options.setdefault("ignore_patterns", [CARD] if kept else None)
            return super().push_to_hub(repo_id, private=private, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        network = cast("MultiExitNetwork", self)
        save_network(network, save_directory / WEIGHTS)
        text = json.dumps(configuration(network), indent=2, ensure_ascii=False) + "\n"
        write_bytes(save_directory / CONFIG, text.encode())

    def generate_model_card(self, *args: Any, **options: Any) -> ModelCard:
        """What ``README.md`` holds, see `model_card`."""
        return ModelCard(model_card(cast("MultiExitNetwork", self)))


def weights_file(name: str, **options: Any) -> Path:
    """The network's file in a folder, or out of a repository of the hub, kept in its cache; of `OF_DOWNLOADS`."""
    if Path(name).is_dir():
        return Path(name) / WEIGHTS
    wanted = {option: value for option, value in options.items() if option in OF_DOWNLOADS}
    return Path(hf_hub_download(name, WEIGHTS, library_name="exitprint", **wanted))


def configuration(network: MultiExitNetwork) -> dict[str, Any]:
    """What ``config.json`` holds."""
    arch = network.architecture
    if arch is None:
        raise ExitprintError(NOT_SAVED)
    return {
        "library_name": "exitprint",
        "model_type": "multi-exit-network",
        "architecture": arch.summary(),
        "image_mean": network.mean.flatten().tolist(),
        "image_std": network.std.flatten().tolist(),
        "policy": network.policy.described(),
        "exit_costs": list(exit_costs(network)),
    }


def model_card(network: MultiExitNetwork) -> str:
    """What ``README.md`` holds: the hub's metadata, what the network is, how it is loaded, and its history."""
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
