"""Modules as users write them: what can be wrapped, and what cannot."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Plain(nn.Module):
    """Convolutions one after the other, in place where it can be."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *[nn.Conv2d(1, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)],
            *[nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2)],
            *[nn.Conv2d(8, 16, 3, 1, 1), nn.ReLU(inplace=True), nn.Dropout(0.1)],
        )
        self.fc = nn.Linear(16 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = self.features(x)
        return self.fc(out.view(out.size(0), -1))


class Block(nn.Module):
    """A residual block whose sum and last ReLU are written in place, outside of modules."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return F.relu_(out)


class Residual(nn.Module):
    """A small ResNet with a stem."""

    def __init__(self, blocks: int = 4, channels: int = 12) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, 1, 1)
        self.blocks = nn.Sequential(*[Block(channels) for _ in range(blocks)])
        self.head = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


class Skips(nn.Module):
    """A little U-Net: what the stem gives is needed again behind every cut; a weight and a buffer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, 1, 1)
        self.down = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(inplace=True))
        self.middle = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.out = nn.Conv2d(16, 8, 3, 1, 1)
        self.fc = nn.Linear(8, 10)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.register_buffer("shift", torch.arange(8.0).view(8, 1, 1), persistent=False)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        high = self.act(self.stem(x))
        low = self.middle(self.down(high))
        both = torch.cat([self.act(self.up(low)) * self.scale + self.shift, high], 1)
        out = self.out(both)
        out += high
        return self.fc(out.mean((2, 3)) * self.scale[:, 0, 0])


class Tokens(nn.Module):
    """A transformer over the rows of an image, with a class token that grows with the batch."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.token, self.position = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.randn(1, 9, 8))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), x[:, 0]], 1) + self.position
        return {"logits": self.head(self.encoder(tokens)[:, 0])}


class Tied(nn.Module):
    """One layer that runs three times, so that its weights are needed on both sides of a cut."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.head = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = x.flatten(1)
        for _ in range(3):
            out = torch.tanh(self.step(out)) + out
        return self.head(out)


class Linear(nn.Module):
    """What the refused modules below share."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(64, 10), nn.BatchNorm1d(64, track_running_stats=False)


class TwoInputs(Linear):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.fc(x.flatten(1)) + y


class Branching(Linear):
    def forward(self, x: Tensor) -> Tensor:
        out = self.fc(x.flatten(1))
        return out * 2 if out.sum() > 0 else out


class Number(Linear):
    def forward(self, x: Tensor) -> Tensor:
        out = self.fc(x.flatten(1))
        return out * out.max().item()


class Random(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1)) + torch.rand(1)


class Writing(Linear):
    def forward(self, x: Tensor) -> Tensor:
        out = self.fc(x.flatten(1))
        out[:, :5] += 1
        return out


class BatchStatistics(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(x.flatten(1) @ (self.fc.weight.t() @ self.fc.weight)))


class Maps(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Listing(Linear):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.fc(x.flatten(1))]


class SequenceFirst(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x[:, 0].transpose(0, 1)).mean(0))


def residual() -> nn.Module:
    """A factory, as `exitprint wrap` takes it."""
    return Residual()
