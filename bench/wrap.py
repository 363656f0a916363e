"""A wrapped module's `predict` against the module itself, single inputs that leave at no early exit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.compare import in_turn, row
from exitprint.networks import ExitPolicy, MultiExitNetwork

ROUNDS, CALLS = 7, 100
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Block(nn.Module):
    """A residual block as its users write it: zero-padding shortcut, sum in place."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more, self.more))
        out += x
        return F.relu(out)


class ResNet(nn.Module):
    """ResNet for 32×32 images (He et al. 2016), written without this package."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = [16] * blocks + [32] * blocks + [64] * blocks
        self.layers = nn.Sequential(
            *(Block(a, b, 2 if a < b else 1) for a, b in zip([16, *widths[:-1]], widths, strict=True))
        )
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = self.layers(F.relu(self.bn1(self.conv1(x))))
        return self.linear(F.avg_pool2d(out, out.size(3)).view(out.size(0), -1))


def rows() -> list[dict[str, Any]]:
    """ResNet-20 and ResNet-56 with random weights, one thread."""
    return [_of(f"ResNet-{depth}", ResNet((depth - 2) // 6), exits) for depth, exits in ((20, 3), (20, 8), (56, 9))]


@torch.inference_mode()
def _of(name: str, module: nn.Module, exits: int) -> dict[str, Any]:
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(False):
        network = MultiExitNetwork.wrap(module.eval(), exits, example=x, mean=MEAN, std=STD)
    network.policy = ExitPolicy(2.0)
    same = torch.equal(network.predict(x).probabilities, module(network.normalised(x)).softmax(1))
    ours, peer = in_turn(
        lambda: network.predict(x), lambda: module(network.normalised(x)).softmax(1).argmax(1), ROUNDS, CALLS
    )
    note = f"a single image that passes {exits} ICs, both eager; every bit {'equal' if same else 'NOT EQUAL'}"
    title = f"predict, single, wrapped {name}, {exits} ICs: over the module"
    return row(title, "≤ 1.10", ours, peer, note, slower=True)
