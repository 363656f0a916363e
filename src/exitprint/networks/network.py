"""The multi-exit network: stages in order, exit heads at some of them, and the policy by which inputs leave."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError
from exitprint.networks.architectures import Architecture
from exitprint.networks.describe import html, text
from exitprint.networks.exported import Exported
from exitprint.networks.file import read
from exitprint.networks.heads import ExitHead
from exitprint.networks.hub import Published, weights_file
from exitprint.networks.integer import IntegerLayer, to_integers
from exitprint.networks.policy import ExitPolicy
from exitprint.networks.predict import Prediction, classes_of_heads, predict_batch, predict_one
from exitprint.networks.walk import Features, Place, stage_shapes, walk
from exitprint.networks.wrapping import Exits, wrapped_network


class MultiExitNetwork(Published, nn.Module):
    """A network that can answer after several of its stages.

    Convolutions are kept channels_last, in which convolving and pooling are faster on a CPU; those of a wrapped module
    stay as they are, because another layout rounds differently in the last bit.

    Parameters
    ----------
    stages
        Modules run one after the other. What one gives the next takes: a tensor, or a tuple of tensors with the batch
        first, of which an exit sees the first.
    heads
        For each exit, in order, the stage (counted from 0) it sits after and the module from that stage's features
        to logits (batch, classes). The last must sit after the last stage.
    policy
        When an input leaves.
    input_shape
        (channels, height, width) of one image; pixel values in [0, 1].
    mean, std
        Per-channel normalisation that the network applies to its input.
    architecture
        What it was built from; needed to save it, and to nothing else.
    history
        Records of what was done to it (training, tampering), oldest first.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        stages: Sequence[nn.Module],
        heads: Sequence[tuple[int, nn.Module]],
        policy: ExitPolicy,
        input_shape: tuple[int, int, int],
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        architecture: Architecture | Exported | None = None,
        history: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__()
        if not isinstance(policy, ExitPolicy):
            raise ExitprintError(f"a network leaves by an ExitPolicy, such as ExitPolicy(0.9), and not by {policy!r}.")
        modules = [*stages, *(head for _, head in heads)]
        odd = next((module for module in modules if not isinstance(module, nn.Module)), None)
        if odd is not None:
            raise ExitprintError(f"stages and heads are torch.nn.Modules, and {odd!r} is none.")
        positions = [stage for stage, _ in heads]
        if not positions or positions != sorted(set(positions)) or positions[-1] != len(stages) - 1:
            raise ExitprintError("exits must be in order, one per stage at most, and the last after the last stage.")
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ModuleList(head for _, head in heads)
        self.exit_stages = tuple(positions)
        self.input_shape = _checked_shape(input_shape)
        channels = self.input_shape[0]
        self.architecture = architecture
        self.history = [dict(record) for record in history]
        for name, given, default in (("mean", mean, 0.0), ("std", std, 1.0)):
            numbers = [default] * channels if given is None else [float(value) for value in given]
            if len(numbers) != channels or (name == "std" and min(numbers) <= 0):
                raise ExitprintError(
                    f"{name} is one number for each of the {channels} channels, std above 0, and not {numbers}."
                )
            self.register_buffer(name, torch.tensor(numbers).view(1, channels, 1, 1))
        self.policy = policy
        self._classes: int | None = None
        self.to(memory_format=self.layout)  # type: ignore[call-overload]

    @classmethod
    def build(
        cls,
        architecture: Architecture | Exported,
        seed: int | None = None,
        policy: ExitPolicy | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> MultiExitNetwork:
        """A freshly initialised network of this architecture, with its own classifiers or SDN heads at its exits.

        The same `seed` gives the same weights; without one torch's global generator is used. Until it is calibrated
        the policy closes every early exit.
        """
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            backbone = architecture.backbone()
            last = len(backbone.stages) - 1
            own = dict(backbone.classifiers)
            early = architecture.exits if architecture.exits is not None else tuple(own or range(last))
            if any(stage not in range(last) for stage in early) or list(early) != sorted(set(early)):
                raise ExitprintError(
                    f"this architecture has stages 0 to {last - 1} for internal classifiers, in order and once each, "
                    f"and not {early}."
                )
            shapes = _shapes(architecture, backbone.stages)
            for stage in architecture.sdn:
                own.pop(stage, None)
            heads: list[tuple[int, nn.Module]] = [
                (s, own[s] if s in own else ExitHead(shapes[s], architecture.classes)) for s in early
            ]
        network = cls(
            backbone.stages,
            [*heads, (last, backbone.classifier)],
            policy or ExitPolicy(2.0),
            architecture.input_shape,
            mean,
            std,
            architecture,
        )
        if architecture.integers:
            to_integers(network)
        return network

    @classmethod
    def wrap(
        cls,
        module: nn.Module,
        exits: Exits = "auto",
        *,
        example: Tensor,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        method: str = "forward",
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> MultiExitNetwork:
        """Any module that returns logits, as a multi-exit network.

        The module is captured by `torch.export`, in evaluation mode, and cut into stages; its weights are copied and
        not changed, and the last exit's answer is the module's own to the last bit. Exits that the module has are
        kept, each with its own answer. New heads are untrained (see `training.train_heads`), and until the network is
        calibrated its policy closes every early exit.

        Parameters
        ----------
        module
            Takes images (batch, channels, height, width) and returns logits (batch, classes), or those of several
            exits: in a list, tuple, dictionary or object, also within one another and beside other things, or in a
            tensor (exits, batch, classes) or (batch, exits, classes).
        exits
            Where new exits are wanted: names of the submodules to put one after, as `named_modules` gives them; a
            number of exits, placed evenly by cost; or ``auto`` for up to nine where the module has no exits of its
            own, and none where it has.
        example
            An image or a batch of them, in [0, 1].
        mean, std
            Per-channel normalisation that the module wants of its images, by default none.
        method
            The method that answers for every exit, where that is not `forward`.
        settings
            Attributes that the module's copy gets first, such as ``{"fast_inference_mode": False}``; ``training`` is
            set for the module itself and not for its parts.
        seed
            Of the heads' initial weights.

        Raises
        ------
        ExitprintError
            If the module takes several inputs, its control flow depends on the data, it cannot be cut there, or the
            captured graph does not give the module's answers.
        """
        return wrapped_network(cls, module, exits, example, mean, std, method, settings, seed)

    @property
    def policy(self) -> ExitPolicy:
        """When an input leaves; assigning another checks that it fits the exits."""
        return self._policy

    @policy.setter
    def policy(self, policy: ExitPolicy) -> None:
        policy.for_exits(self.num_exits - 1)
        self._policy = policy

    @property
    def num_exits(self) -> int:
        """Number of exits, the final one included."""
        return len(self.heads)

    @property
    def layout(self) -> torch.memory_format:
        """The memory format in which its convolutions are kept."""
        return self.architecture.layout if self.architecture else torch.channels_last

    def normalised(self, x: Tensor) -> Tensor:
        """Images (batch, channels, height, width) in [0, 1], as the first stage wants them."""
        return (x - self.mean) / self.std

    def walk(self, x: Tensor) -> Iterator[Place]:
        """The exits in order, each stage run when an exit behind it is asked for; `x` as `normalised` takes it."""
        exit = 0
        for place in walk(self.stages, self.normalised(x)):
            if place.stage == self.exit_stages[exit]:
                place.exit = exit
                yield place
                exit += 1

    def features(self, x: Tensor) -> Iterator[Any]:
        """What each exit's head takes, in order, each computed when it is asked for."""
        return (place.shown_to(self.heads[place.exit]) for place in self.walk(x))

    @torch.no_grad()
    def handed_over(self) -> list[Features]:
        """What each stage gives for one black image, the last included."""
        black = torch.zeros(1, *self.input_shape, device=self.mean.device)
        return [place.features for place in walk(self.stages, self.normalised(black))]

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every exit, shape (batch, exits, classes), of images (batch, channels, height, width)."""
        return torch.stack([head(f) for head, f in zip(self.heads, self.features(x), strict=True)], 1)

    @torch.inference_mode()
    def predict(self, x: Tensor) -> Prediction:
        """Answer each image at the exit it takes; what lies behind that exit is not computed for it.

        The batch shrinks as inputs leave. Answers are those of `forward` under the policy. The network must be in
        evaluation mode.

        Parameters
        ----------
        x
            Images in [0, 1], shape (batch, channels, height, width).

        Raises
        ------
        ExitprintError
            If the images have another shape, or the network is in training mode.
        """
        self.check_images(x)
        if self.training:
            raise ExitprintError("predict needs a network in evaluation mode: call eval() first.")
        return predict_one(self, x) if len(x) == 1 and not self.policy.remembers else predict_batch(self, x)

    @property
    def classes(self) -> int:
        """Number of classes: that of its record, else what its heads answer for a black image.

        Raises
        ------
        ExitprintError
            If the heads do not answer logits (batch, classes) of one number of classes.
        """
        if self.architecture is not None:
            return self.architecture.classes
        if self._classes is None:
            self._classes = classes_of_heads(self)
        return self._classes

    @property
    def integers(self) -> bool:
        """Whether its layers run in 8-bit integers."""
        return any(isinstance(module, IntegerLayer) for module in self.modules())

    def check_images(self, x: Tensor) -> None:
        """Refuse images of another shape than this network's."""
        if x.ndim != 4 or tuple(x.shape[1:]) != self.input_shape:
            raise ExitprintError(
                f"this network takes images of shape {self.input_shape} (channels, height, width), and not "
                f"{tuple(x.shape[1:])}: resize them, or use the network they were made for."
            )

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the stages and the final classifier: all but the internal classifiers'."""
        yield from self.stages.parameters()
        yield from self.heads[-1].parameters()

    def __repr__(self) -> str:
        return text(self)

    def _repr_html_(self) -> str:
        return html(self)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> MultiExitNetwork:
        """What the hub's mixin calls; the file alone says all of the network, so its configuration is not used."""
        return load_network(weights_file(model_id, **options))

    def record(self, step: str, **details: Any) -> None:
        """Add what was done to it to its history."""
        self.history.append({"step": step, **details})

    def copy(self) -> MultiExitNetwork:
        """An independent copy, weights and history included."""
        return copy.deepcopy(self)

    def with_heads(
        self,
        heads: Sequence[tuple[int, nn.Module]],
        thresholds: Sequence[float],
        architecture: Architecture | Exported | None = None,
    ) -> MultiExitNetwork:
        """These stages with other heads, one threshold for each but the last, in evaluation mode."""
        made = MultiExitNetwork(
            list(self.stages),
            heads,
            ExitPolicy(thresholds, *self.policy.rule),
            self.input_shape,
            self.mean.flatten().tolist(),
            self.std.flatten().tolist(),
            architecture,
            self.history,
        )
        return made.eval().to(self.mean.device)


def _checked_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    numbers = tuple(shape)
    if len(numbers) != 3 or any(not isinstance(n, int) or n < 1 for n in numbers):
        raise ExitprintError(f"an image's shape is (channels, height, width), and not {shape!r}.")
    return numbers[0], numbers[1], numbers[2]


def load_network(path: str | os.PathLike[str]) -> MultiExitNetwork:
    """Read a network, in evaluation mode, from a file that `save_network` wrote.

    Raises
    ------
    ExitprintError
        If the file is missing, damaged, of another kind, or its tensors do not fit its architecture.
    """
    header, tensors = read(path)
    with torch.device("meta"):
        network = MultiExitNetwork.build(header.architecture)
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
    if expected != {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}:
        raise ExitprintError(
            f"the weights in {str(path)!r} do not fit the architecture in its header: get a whole copy."
        )
    aligned = {name: tensor.clone() for name, tensor in tensors.items()}  # products of others round differently
    network.load_state_dict(aligned, assign=True)
    network.policy = ExitPolicy(**header.policy.model_dump())
    network.history = header.history
    return network.to(memory_format=network.layout).eval().requires_grad_(True)  # type: ignore[call-overload]


_known_shapes: dict[Architecture, list[tuple[int, ...]]] = {}


def _shapes(architecture: Architecture | Exported, stages: Sequence[nn.Module]) -> list[tuple[int, ...]]:
    """`stage_shapes` of freshly built stages; the dry run is most of what loading a second network would take."""
    if isinstance(architecture, Exported):
        return stage_shapes(stages, architecture.input_shape)
    if architecture not in _known_shapes:
        _known_shapes[architecture] = stage_shapes(stages, architecture.input_shape)
    return _known_shapes[architecture]
