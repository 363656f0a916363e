"""A user's own module as a multi-exit network: cut, filled with its weights, and compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.networks.exported import Exported
from exitprint.networks.exported.capture import capture, no_fast_path
from exitprint.networks.exported.cut import Pieces, cut_at, tensors_of
from exitprint.networks.exported.places import Wanted, wanted_exits
from exitprint.networks.exported.reading import Capture

if TYPE_CHECKING:
    from exitprint.networks.network import MultiExitNetwork

Exits = Sequence[str] | int | Literal["auto"]


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
    odd = {t.dtype for t in [*module.parameters(), *module.buffers()] if t.is_floating_point()} - {torch.float32}
    if odd:
        raise ExitprintError(f"this module computes in {str(odd.pop()).removeprefix('torch.')}: call .float() first.")
    captured = capture(module, normalised if len(images) > 1 else normalised.expand(2, -1, -1, -1), method, settings)
    wanted = wanted_exits(captured, exits)
    made = cut_at(captured, wanted)
    network = kind.build(_record_of(captured, wanted, made, images), seed, mean=mean, std=std).eval()
    for stage, part in zip(network.stages, made.stages, strict=True):
        stage.get_submodule("own").load_state_dict(tensors_of(captured, part))
    for exit, stage_before in enumerate(network.exit_stages):
        if stage_before in made.heads:
            weights = tensors_of(captured, made.heads[stage_before])
            network.heads[exit].get_submodule("own").load_state_dict(weights)
    own = [number for number, exit in enumerate(wanted) if exit.own]
    record: dict[str, Any] = {"step": "wrapped", "module": type(module).__qualname__}
    if len(own) > 1:
        record["exits of its own"] = own
    if captured.taken:
        record["of its answer"] = captured.taken
    network.history = [record]
    if isinstance(module, kind) and module.num_exits == network.num_exits:
        network.policy, network.history = module.policy, [*module.history, record]
    _check_equal(network, captured, own, images)
    return network


def _record_of(captured: Capture, wanted: Sequence[Wanted], made: Pieces, images: Tensor) -> Exported:
    channels, height, width = images.shape[1:]
    new = any(not exit.own for exit in wanted)
    return Exported(
        input_shape=(channels, height, width),
        classes=captured.answers[-1].classes,
        parts=tuple(made.stages),
        heads=made.heads,
        exits=tuple(range(len(made.stages) - 1)) if new and made.heads else None,
    )


@torch.no_grad()
def _check_equal(network: MultiExitNetwork, captured: Capture, own: Sequence[int], images: Tensor) -> None:
    """Refuse a captured graph that does not answer as the module at each of its exits, for one image and for several.

    The module runs without the fused kernels of `nn.TransformerEncoder`, which round differently from its layers.
    """
    for x in (images[:1], images.repeat(3, 1, 1, 1)[:3]):
        with no_fast_path():
            answer = captured.call(network.normalised(x))
        logits = network(x)
        for exit, said in zip(own, captured.answers, strict=True):
            theirs, ours = said.take.of(answer), logits[:, exit]
            same = torch.allclose(theirs, ours.softmax(1)) if said.take.softmax else torch.equal(theirs, ours)
            if not same:
                apart = f"{(theirs - ours).abs().max():.1e}"
                raise ExitprintError(
                    f"the stages of this module do not answer as it does (by up to {apart}): it draws at random, or "
                    "does something else than when it was captured."
                )
