"""Modules as users write them: what can be wrapped, and what cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Several(nn.Module):
    """A network with two exits of its own, which has logits and features; subclasses answer in their own form."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        self.top = nn.Sequential(nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU())
        self.exit1 = nn.Sequential(
            *[nn.Conv2d(8, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2)],
            *[nn.Flatten(), nn.Linear(16, 10)],
        )
        self.exit2 = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
        self.fc = nn.Linear(16, 10)

    def exits(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        low = self.stem(x)
        middle = self.middle(low)
        high = self.top(middle).mean((2, 3))
        return [self.exit1(low), self.exit2(middle), self.fc(high)], [low.mean((2, 3)), middle.mean((2, 3)), high]

    def forward(self, x: Tensor) -> Any:
        return self.exits(x)[0]


@dataclass
class Output:
    """What some libraries answer with."""

    logits: list[Tensor]
    hidden: Tensor


class Pair(NamedTuple):
    """Another such answer."""

    features: list[Tensor]
    outputs: tuple[Tensor, ...]


def _written(logits: list[Tensor]) -> Tensor:
    """Into an empty tensor, exit after exit."""
    out = torch.zeros(3, logits[0].shape[0], 10)
    for number, each in enumerate(logits):
        out[number] = each
    return out


FORMS: dict[str, Callable[[list[Tensor], list[Tensor]], Any]] = {
    "a list": lambda logits, features: logits,
    "a tuple": lambda logits, features: tuple(logits),
    "the final one first": lambda logits, features: logits[::-1],
    "the final one beside a list": lambda logits, features: (logits[2], logits[:2]),
    "a stack (exits, batch, classes)": lambda logits, features: torch.stack(logits),
    "a stack (batch, exits, classes)": lambda logits, features: torch.stack(logits, 1),
    "a stack turned round": lambda logits, features: torch.stack(logits).permute(1, 0, 2),
    "a stack put together": lambda logits, features: torch.cat([each.unsqueeze(1) for each in logits], 1),
    "a row cut in pieces": lambda logits, features: torch.cat(logits, 1).view(logits[0].shape[0], 3, 10),
    "written into zeros": lambda logits, features: _written(logits),
    "a dictionary of exits": lambda logits, features: {"exit1": logits[0], "exit2": logits[1], "final": logits[2]},
    "a dictionary with a sequence": lambda logits, features: {"features": features, "logits": tuple(logits)},
    "an object with a sequence": lambda logits, features: Output(logits, features[-1]),
    "a named tuple": lambda logits, features: Pair(features, tuple(logits)),
    "beside features": lambda logits, features: (logits, features),
    "behind features": lambda logits, features: (features, logits),
    "beside certainties": lambda logits, features: (logits, [each.softmax(1).amax(1) for each in logits]),
    "beside probabilities": lambda logits, features: ([each.softmax(1) for each in logits], logits),
}


def answering(form: Callable[[list[Tensor], list[Tensor]], Any], channels: int = 1) -> nn.Module:
    """The network with two exits of its own, which answers in this form."""

    class Answering(Several):
        def forward(self, x: Tensor) -> Any:
            return form(*self.exits(x))

    return Answering(channels)


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
        flat = out.view(-1)
        flat += 1
        return out


class BatchStatistics(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(x.flatten(1) @ (self.fc.weight.t() @ self.fc.weight)))


class Maps(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Listing(Linear):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.fc(x.flatten(1)).argmax(1)]


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


class Hurried(Several):
    """As networks are published: at inference it stops where it is sure, in training it computes every exit."""

    def __init__(self) -> None:
        super().__init__()
        self.fast_inference_mode = True

    def forward(self, x: Tensor) -> Any:
        if not self.fast_inference_mode:
            return self.forward_all(x)
        low = self.stem(x)
        first = self.exit1(low)
        if first.softmax(1).amax() > 0.9:
            return first
        return self.fc(self.top(self.middle(low)).mean((2, 3)))

    def forward_all(self, x: Tensor) -> list[Tensor]:
        return self.exits(x)[0]


class InTraining(Several):
    """It answers with every exit while it is trained, and with the final one else."""

    def forward(self, x: Tensor) -> Any:
        logits, _ = self.exits(x)
        return logits if self.training else logits[-1]


class Answered(Exception):  # noqa: N818
    """What an early exit answers, thrown over the layers that are not run."""


class Thrown(Several):
    """A part that computes every exit only where it is trained."""

    def forward(self, x: Tensor) -> Any:
        logits = super().forward(x)
        if not self.training and logits[0].softmax(1).amax() > 0.9:
            raise Answered(logits[0])
        return logits


class Catching(nn.Module):
    """It and a part of it both ask whether they are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Thrown()

    def forward(self, x: Tensor) -> Any:
        try:
            logits = self.encoder(x)
        except Answered as early:
            return early.args[0]
        return logits if self.training else logits[-1]


def several() -> nn.Module:
    """A factory of a network with exits of its own."""
    return Several()
