"""`predict` against the ideal for a batch, and against the bare backbone for single inputs."""

from __future__ import annotations

from time import process_time
from typing import Any

import torch

from bench.compare import in_turn, row, seconds
from bench.subjects import even_policy
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture

ROUNDS, BATCH = 7, 256
CALLS = 40


def rows() -> list[dict[str, Any]]:
    """ResNet-56 with 27 internal classifiers, VGG-16, MobileNet and ResNet-20, random weights, one thread."""
    return [row_ for name in ("resnet56", "resnet20", "vgg16", "mobilenet") for row_ in _of(name)]


def _of(name: str) -> list[dict[str, Any]]:
    network = MultiExitNetwork.build(architecture(name, (3, 32, 32), 10), seed=0).eval()
    x = torch.rand(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return [_batch(name, network, x), _single(name, network, x)]


@torch.inference_mode()
def _batch(name: str, network: MultiExitNetwork, x: torch.Tensor) -> dict[str, Any]:
    network.policy = even_policy(network, x)
    exits = network.predict(x).exits
    ours, ideal = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: network.predict(x)))
        ideal.append(_ideal(network, x, exits))
    note = f"{BATCH} images, {network.num_exits - 1} ICs, as many images leave at each exit"
    return row(f"predict, batch, {name}: over the ideal", "≤ 1.25", ours, ideal, note, slower=True)


def _ideal(network: MultiExitNetwork, x: torch.Tensor, exits: torch.Tensor) -> float:
    """Measured time of every stage and head on the whole batch × share of the inputs that are still there."""
    total, exit = 0.0, 0
    features = network.normalised(x)
    for index, stage in enumerate(network.stages):
        share = float((exits >= exit).double().mean())
        start = process_time()
        features = stage(features)
        if index == network.exit_stages[exit]:
            network.heads[exit](features)
            exit += 1
        total += share * (process_time() - start)
    return total


@torch.inference_mode()
def _single(name: str, network: MultiExitNetwork, x: torch.Tensor) -> dict[str, Any]:
    stages, shape = list(network.stages), network.input_shape
    bare = MultiExitNetwork(stages, [(len(stages) - 1, network.heads[-1])], ExitPolicy(2.0), shape).eval()
    network.policy = ExitPolicy(2.0)
    ours, peer = in_turn(lambda: network.predict(x[:1]), lambda: bare.predict(x[:1]), ROUNDS, CALLS)
    note = f"a single image that passes all {network.num_exits - 1} ICs, both eager; quickest of {CALLS} in each round"
    return row(f"predict, single, {name}: over the same backbone without ICs", "≤ 1.20", ours, peer, note, slower=True)
