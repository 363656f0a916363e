"""Several networks of one architecture as one module, in which every layer computes all of them at once.

Their channels lie side by side and every convolution is a grouped one, so that a step of training calls each kernel
once and not once per network. That is what small networks need: their time goes into calls, not into arithmetic.
(`torch.func`'s stacked modules under `vmap` come to the same kernels through more of PyTorch's machinery: measured on a
CPU they take 1.2 to 3 times as long, and dropout cannot draw what each network would have drawn alone.)
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exitprint.networks.architectures.resnet import ResidualBlock
from exitprint.networks.network import MultiExitNetwork


class Stack(nn.Module):
    """Backbones of several networks as one module; their internal classifiers are left out.

    Names of its parameters and buffers are those of one network; each tensor is the networks' own, end to end along the
    first axis.

    Parameters
    ----------
    networks
        Of one architecture and normalisation, on one device; they are copied.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, networks: Sequence[MultiExitNetwork]) -> None:
        super().__init__()
        first = networks[0]
        self.size = len(networks)
        self.exit_stages = first.exit_stages
        self.stages = nn.ModuleList(_widened(copy.deepcopy(stage), self.size) for stage in first.stages)
        self.classifier = _widened(copy.deepcopy(first.heads[-1]), self.size)
        self.register_buffer("mean", first.mean)
        self.register_buffer("std", first.std)
        states = [_backbone_state(network) for network in networks]
        with torch.no_grad():
            for name, tensor in self._own_state().items():
                parts = [state[name] for state in states]
                tensor.copy_(torch.cat(parts) if tensor.ndim else parts[0])
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, x: Tensor) -> Iterator[Tensor]:
        """Features before each exit's head, in order, (networks, batch, …), of images (networks, batch, …)."""
        for index, features in enumerate(self._after_stages(x)):
            if index in self.exit_stages:
                yield self._apart(features)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the last exit, (networks, batch, classes), of (networks, batch, channels, height, width)."""
        for features in self._after_stages(x):
            last = features
        return self._apart(self.classifier(last))

    @torch.no_grad()
    def give(self, networks: Sequence[MultiExitNetwork]) -> None:
        """Put the stack's weights and statistics back into the networks it was made of, in the same order."""
        states = [_backbone_state(network) for network in networks]
        for name, tensor in self._own_state().items():
            parts = tensor.chunk(self.size) if tensor.ndim else [tensor] * self.size
            for state, part in zip(states, parts, strict=True):
                state[name].copy_(part)

    def draw_dropout_from(self, seeds: Sequence[int]) -> None:
        """Let every network's dropout draw what it would draw alone after `torch.manual_seed` of its seed."""
        generators = [torch.Generator(self.mean.device).manual_seed(seed) for seed in seeds]
        for module in self.modules():
            if isinstance(module, _Dropout):
                module.generators = generators

    def _after_stages(self, x: Tensor) -> Iterator[Tensor]:
        side_by_side = ((x - self.mean) / self.std).transpose(0, 1).flatten(1, 2)
        features = side_by_side.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            features = stage(features)
            yield features

    def _apart(self, features: Tensor) -> Tensor:
        return features.unflatten(1, (self.size, -1)).transpose(0, 1)

    def _own_state(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self.state_dict().items() if name not in ("mean", "std")}


def _backbone_state(network: MultiExitNetwork) -> dict[str, Tensor]:
    last = f"heads.{network.exits - 1}."
    return {
        name.replace(last, "classifier."): tensor
        for name, tensor in network.state_dict().items()
        if name.startswith(("stages.", last))
    }


def _widened(module: nn.Module, copies: int) -> nn.Module:
    """`module`, which is changed, for so many networks side by side."""
    if isinstance(module, nn.Conv2d):
        module.in_channels, module.out_channels = copies * module.in_channels, copies * module.out_channels
        module.groups *= copies
        module.weight = nn.Parameter(module.weight.repeat(copies, 1, 1, 1))
        return module
    if isinstance(module, nn.BatchNorm2d):
        wide = nn.BatchNorm2d(copies * module.num_features, module.eps, module.momentum)
        return wide.to(module.weight.device)
    if isinstance(module, nn.Linear):
        return _Linear(module, copies)
    if isinstance(module, nn.Dropout):
        return _Dropout(module.p, copies)
    for name, child in module.named_children():
        setattr(module, name, _widened(child, copies))
    return _Block(module, copies) if isinstance(module, ResidualBlock) else module


class _Block(ResidualBlock):
    def __init__(self, widened: ResidualBlock, copies: int) -> None:
        nn.Module.__init__(self)
        self.first, self.second, self.norm = widened.first, widened.second, widened.norm
        self.stride, self.padding, self.copies = widened.stride, widened.padding, copies

    def shortcut(self, x: Tensor) -> Tensor:
        if not self.padding and self.stride == 1:
            return x
        apart = x.unflatten(1, (self.copies, -1))[..., :: self.stride, :: self.stride]
        return F.pad(apart, (0, 0, 0, 0, self.padding, self.padding)).flatten(1, 2)


class _Linear(nn.Module):
    def __init__(self, layer: nn.Linear, copies: int) -> None:
        super().__init__()
        self.copies = copies
        self.weight = nn.Parameter(layer.weight.repeat(copies, 1))
        self.bias = nn.Parameter(layer.bias.repeat(copies))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.unflatten(0, (self.copies, -1)), self.bias.view(self.copies, 1, -1)
        apart = x.unflatten(1, (self.copies, -1)).transpose(0, 1)
        return torch.baddbmm(bias, apart, weight.transpose(1, 2)).transpose(0, 1).flatten(1)


class _Dropout(nn.Module):
    generators: Sequence[torch.Generator]

    def __init__(self, p: float, copies: int) -> None:
        super().__init__()
        self.p, self.copies = p, copies

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        one = x[:, : x.shape[1] // self.copies]
        kept = [torch.empty_like(one).bernoulli_(1 - self.p, generator=generator) for generator in self.generators]
        return x * torch.cat(kept, 1).div_(1 - self.p)
