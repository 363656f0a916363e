"""Other structures than the paper's, on digits: do their fingerprints tell a copy from an independent?

`python examples/other_structures.py` prints the table of docs/results/any-network.md;
it needs `exitprint[transformers]`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ViTConfig, ViTForImageClassification

from exitprint import (
    CostModel,
    ExitPolicy,
    ExitprintError,
    MultiExitNetwork,
    architecture,
    calibrated_policy,
    contrast_fingerprint,
    load_data,
    paper_fingerprint,
    recipe,
    train_network,
    verify,
)
from exitprint.tampering import prune, retrain_exits
from exitprint.training import train_heads

DATA = load_data("digits")
RAD, SAMPLES = 0.5, 60
DIGITS = 0.9
"""Digits are so easy that calibration would send most images out at the first exit of a convolutional network."""


class Skips(nn.Module):
    """A little U-Net: what the stem gives is needed again behind both cuts."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 1, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.ReLU())
        self.up = nn.ConvTranspose2d(32, 16, 2, 2)
        self.out = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.ReLU())
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        high = self.stem(x)
        low = self.up(self.middle(self.down(high)))
        return self.fc(self.out(torch.cat([low, high], 1)).mean((2, 3)))


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x.flatten(1) @ y


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        out = x.flatten(1)[:, :10]
        return -out if out.sum() > 0 else out


def vit() -> nn.Module:
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 64}
    images = {"image_size": 8, "patch_size": 2, "num_channels": 1, "num_labels": 10}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return ViTForImageClassification(ViTConfig(**sizes, **images, **dropout))


def wrapped(make: Callable[[], nn.Module], exits: int | list[str], epochs: int, seed: int) -> MultiExitNetwork:
    torch.manual_seed(seed)
    module = make()
    optimiser = torch.optim.AdamW(module.parameters())
    for epoch in range(epochs):
        optimiser.param_groups[0]["lr"] = 3e-3 * (1 - epoch / epochs)
        for batch in torch.randperm(len(DATA.train)).split(64):
            answer = module(DATA.train[batch].x * 2 - 1)
            loss = F.cross_entropy(getattr(answer, "logits", answer), DATA.train.labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    network = MultiExitNetwork.wrap(module, exits, example=DATA.train[:2].x, mean=[0.5], std=[0.5], seed=seed)
    train_heads(network, DATA, recipe("fast", "exported", "digits").heads, seed)
    return network


def born(name: str, depth: int | None, width: int, epochs: int, seed: int) -> MultiExitNetwork:
    arch = architecture(name, DATA.input_shape, DATA.classes, depth, width)
    return train_network(arch, DATA, recipe("fast", name, "digits", epochs=epochs), seed)


def line(name: str, make: Callable[[int], MultiExitNetwork], T_c: float | None) -> str:
    target, independent = make(0), make(1)
    for network in (target, independent):
        calibrated = calibrated_policy(network, DATA.calibration, RAD)
        network.policy = calibrated if T_c is None else ExitPolicy(T_c)
    suspects = {
        "own": target,
        "pruned": prune(target, DATA, rate=0.2, retrain_heads=False, rad=None),
        "exits retrained": retrain_exits(target, DATA, rad=RAD if T_c is None else None, seed=1),
        "independent": independent,
    }
    cells = []
    for kind in ("paper", "contrast"):
        try:
            if kind == "paper":
                made = paper_fingerprint(target, DATA.test, samples=SAMPLES, steps=300)
            else:
                made = contrast_fingerprint(target, DATA.test, [target.policy], SAMPLES)
        except ExitprintError as error:
            cells += [f"not made: {error}"]
            continue
        for suspect in suspects.values():
            verdict = verify(made, CostModel(suspect))
            cells.append(f"{verdict.value:.2f} {verdict.decision}")
    return f"| {name} | {target.num_exits} | T_c {target.policy.thresholds[0]:.2f} | " + " | ".join(cells) + " |"


def refusal(name: str, module: nn.Module) -> str:
    try:
        MultiExitNetwork.wrap(module, example=DATA.train[:2].x)
    except ExitprintError as error:
        return f"| {name} | refused: {error} |"
    return f"| {name} | wrapped |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(refusal("two inputs", TwoInputs()))
    print(refusal("control flow on data", Branching()), flush=True)
    print(line("skip over both cuts", lambda seed: wrapped(Skips, ["down", "middle"], 12, seed), DIGITS), flush=True)
    print(line("BranchyNet", lambda seed: born("branchynet", None, 8, 12, seed), DIGITS), flush=True)
    print(line("ViT (`transformers`)", lambda seed: wrapped(vit, 4, 25, seed), None), flush=True)
    print(line("MSDNet", lambda seed: born("msdnet", 4, 6, 8, seed), DIGITS), flush=True)
