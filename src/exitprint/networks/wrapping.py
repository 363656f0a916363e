"""A user's own module as a multi-exit network: cut, filled with its weights, and compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.networks.exported.capture import no_fast_path
from exitprint.networks.exported.wrap import Exits, Wrapped, wrapped

if TYPE_CHECKING:
    from exitprint.networks.network import MultiExitNetwork


def wrapped_network(
    kind: type[MultiExitNetwork],
    module: nn.Module,
    exits: Exits,
    example: Tensor,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    method: str,
    settings: Mapping[str, Any] | None,
    seed: int,
) -> MultiExitNetwork:
    """A network of this class; see `MultiExitNetwork.wrap`."""
    images = (example if example.ndim == 4 else example[None]).float().cpu()
    if images.ndim != 4 or not len(images):
        raise ExitprintError(f"the example must be an image or a batch of them, and not {tuple(example.shape)}.")
    scale = [torch.tensor(v or [d] * images.shape[1]) for v, d in ((mean, 0.0), (std, 1.0))]
    if any(len(v) != images.shape[1] for v in scale) or not (scale[1] > 0).all():
        raise ExitprintError(
            f"mean and std are one number for each of the {images.shape[1]} channels, std above 0, and not {mean} "
            f"and {std}."
        )
    normalised = (images - scale[0].view(1, -1, 1, 1)) / scale[1].view(1, -1, 1, 1)
    made = wrapped(module, exits, images, normalised, method, settings)
    network = kind.build(made.architecture, seed, mean=mean, std=std).eval()
    for stage, weights in zip(network.stages, made.weights, strict=True):
        stage.get_submodule("own").load_state_dict(weights)
    for exit, stage_before in enumerate(network.exit_stages):
        if stage_before in made.head_weights:
            network.heads[exit].get_submodule("own").load_state_dict(made.head_weights[stage_before])
    record: dict[str, Any] = {"step": "wrapped", "module": type(module).__qualname__}
    if len(made.answers) > 1:
        record["exits of its own"] = [exit for exit, _ in made.answers]
    if made.taken:
        record["of its answer"] = made.taken
    network.history = [record]
    if isinstance(module, kind) and module.num_exits == network.num_exits:
        network.policy, network.history = module.policy, [*module.history, record]
    _check_equal(network, made, images)
    return network


@torch.no_grad()
def _check_equal(network: MultiExitNetwork, made: Wrapped, images: Tensor) -> None:
    """Refuse a captured graph that does not answer as the module at each of its exits, for one image and for several.

    The module runs without the fused kernels of `nn.TransformerEncoder`, which round differently from its layers.
    """
    for x in (images[:1], images.repeat(3, 1, 1, 1)[:3]):
        with no_fast_path():
            answer = made.call(network.normalised(x))
        logits = network(x)
        for exit, take in made.answers:
            theirs, ours = take.of(answer), logits[:, exit]
            same = torch.allclose(theirs, ours.softmax(1)) if take.softmax else torch.equal(theirs, ours)
            if not same:
                apart = f"{(theirs - ours).abs().max():.1e}"
                raise ExitprintError(
                    f"the stages of this module do not answer as it does (by up to {apart}): it draws at random, or "
                    "does something else than when it was captured."
                )
