"""A multi-exit network of which only a function is known, from images to every exit's logits: enough to craft."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError, in_short
from exitprint.networks.exported.answer import STACKED, leaves, nothing_in
from exitprint.networks.network import MultiExitNetwork
from exitprint.networks.policy import ExitPolicy
from exitprint.networks.walk import Place

TRIED = 7
"""So many images are asked at once to see which dimension of an answer is the batch."""
NO_STAGES = (
    "of this network only a function from images to logits is known, which is enough to craft: serving, tampering, "
    "timing and ONNX need stages, as MultiExitNetwork.wrap cuts them out of a module that can be captured."
)


class Unstaged(MultiExitNetwork):
    """A network behind a function or module that cannot be captured.

    Parameters
    ----------
    function
        From images in [0, 1], float32, shape (batch, channels, height, width), to every exit's logits, in any form that
        `MultiExitNetwork.wrap` takes; differentiable.
    example
        A few such images.

    Raises
    ------
    ExitprintError
        If it does not give logits of several exits, they are not the same each time or depend on other images in the
        batch, or they have no gradient.
    """

    def __init__(self, function: Callable[[Tensor], Any], example: Tensor) -> None:
        nn.Module.__init__(self)
        self.function = function
        channels, height, width = example.shape[1:]
        self.input_shape = (channels, height, width)
        self.architecture, self.history = None, [{"step": "function given"}]
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))
        self.eval()
        images = example[torch.arange(TRIED) % len(example)].clone().to(self.mean)
        self._take = _taken(self._asked(images), len(images))
        self._exits, self._classes = self._checked(images)
        self._policy = ExitPolicy(2.0)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every exit, shape (batch, exits, classes)."""
        return self._take(self._asked(x))

    @property
    def num_exits(self) -> int:
        """Number of exits, the final one included."""
        return self._exits

    def _none(self) -> NoReturn:
        """There are none."""
        raise ExitprintError(NO_STAGES)

    stages = heads = exit_stages = property(_none)

    def walk(self, x: Tensor) -> Iterator[Place]:
        """Refused, since there are no stages to walk."""
        raise ExitprintError(NO_STAGES)

    def __repr__(self) -> str:
        return f"Unstaged({self.num_exits} exits, {self.classes} classes, images {self.input_shape})"

    def _asked(self, x: Tensor) -> Any:
        try:
            return self.function(self.normalised(x))
        except ExitprintError:
            raise
        except Exception as error:  # the user's function raises what it likes
            why = f"{type(error).__name__}: {in_short(error)}"
            raise ExitprintError(f"the function cannot answer images of shape {tuple(x.shape)}: {why}") from error

    def _checked(self, images: Tensor) -> tuple[int, int]:
        x = images.requires_grad_()
        logits = self(x)
        if logits.dtype != torch.float32 or not bool(logits.isfinite().all()):
            raise ExitprintError(f"the function answers {str(logits.dtype)[6:]} that is not finite float32 throughout.")
        weighed = (logits * torch.linspace(1, 2, logits.numel()).view_as(logits)).sum()
        gradient = torch.autograd.grad(weighed, x, allow_unused=True)[0] if logits.requires_grad else None
        if gradient is None or not bool(gradient.abs().sum() > 0):
            raise ExitprintError(
                "the logits of this function have no gradient for the images, and crafting needs one: leave out "
                "torch.no_grad, .detach() and what is not differentiable."
            )
        with torch.no_grad():
            if not torch.equal(self(images), self(images)):
                raise ExitprintError("this function answers the same images otherwise each time: it draws at random.")
            if not torch.allclose(self(images[:2]), logits[:2], rtol=1e-3, atol=1e-4):
                raise ExitprintError("what this function answers for an image depends on the others in the batch.")
            if bool((logits == logits[:1]).all(0).all(1).any()) and not torch.equal(
                images, images[:1].expand_as(images)
            ):
                raise ExitprintError(
                    "an exit of this function does not depend on the image, so it is none: leave it out."
                )
        return logits.shape[1], logits.shape[2]


def _taken(answer: Any, images: int) -> Callable[[Any], Tensor]:
    """How every exit's logits, (batch, exits, classes), are taken out of an answer like this one."""
    found = leaves(answer)
    flat = [number for number, (_, tensor) in enumerate(found) if tensor.ndim == 2 and len(tensor) == images]
    by_classes: dict[int, list[int]] = {}
    for number in flat:
        by_classes.setdefault(found[number][1].shape[1], []).append(number)
    groups = sorted(by_classes.values(), key=lambda group: (any("logits" in found[n][0] for n in group), len(group)))
    stacks = [n for n, (_, t) in enumerate(found) if t.ndim == STACKED and images in t.shape[:2]]
    if groups and len(groups[-1]) > 1:
        chosen = groups[-1]
        return lambda given: torch.stack([leaves(given)[number][1] for number in chosen], 1)
    if stacks:
        stack = stacks[0]
        batch_first = found[stack][1].shape[0] == images
        return lambda given: leaves(given)[stack][1] if batch_first else leaves(given)[stack][1].transpose(0, 1)
    if groups:
        raise ExitprintError(
            "this function answers one exit's logits: a fingerprint tells networks with several apart."
        )
    raise ExitprintError(nothing_in(answer))


def as_network(given: MultiExitNetwork | Callable[[Tensor], Any], example: Tensor) -> MultiExitNetwork:
    """A network as it is; a function or another module as one that can be crafted for.

    The example is images in [0, 1], shape (batch, channels, height, width).
    """
    if isinstance(given, MultiExitNetwork):
        return given
    if not callable(given):
        raise ExitprintError(
            f"a network, a module or a function of images is needed, and not a {type(given).__name__}."
        )
    return Unstaged(given, example)
