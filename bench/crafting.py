"""Crafting with a per-sample stop against the paper's 1,000 steps, and against the passes that it cannot do without."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.compare import in_turn, row
from bench.subjects import data, described, network
from exitprint.fingerprints import PaperMethod, craft_paper
from exitprint.fingerprints.optimise import Crafted, frozen
from exitprint.networks import exit_costs

SAMPLES, STEPS = 20, 1000
FINGERPRINT, ROUNDS = 100, 5


def rows() -> list[dict[str, Any]]:
    """Passes and time, at the T_N on the target that both reach."""
    x, policy = data().test[:SAMPLES].x, network().policy
    made: dict[bool, Crafted] = {}

    def craft(stop_early: bool) -> None:
        made[stop_early] = craft_paper(network(), x, policy, PaperMethod(steps=STEPS, stop_early=stop_early))

    ours, peer = in_turn(lambda: craft(True), lambda: craft(False), rounds=1)
    note = f"{described()}, {SAMPLES} samples; T_N on the target {_t_n(made[True]):.3f} against {_t_n(made[False]):.3f}"
    passes = [[float(made[side].passes)] for side in (True, False)]
    return [
        row("crafting: images through the backbone", "≥ 15", passes[0], passes[1], note),
        row("crafting: time", "≥ 12", ours, peer, note),
        _over_bare_passes(data().test[:FINGERPRINT].x),
    ]


def _over_bare_passes(x: Tensor) -> dict[str, Any]:
    """Crafting against one forward and backward pass per step of just those samples that are not known to be done."""
    crafted = craft_paper(network(), x, network().policy, PaperMethod(steps=STEPS))
    known = torch.where(crafted.reached, crafted.steps + 1, crafted.steps)
    left = [int((known > step).sum()) for step in range(int(known.max()))]

    def bare() -> None:
        with frozen(network()):
            for count in left:
                images = x[:count].clone().requires_grad_()
                torch.autograd.grad(network()(images).sum(), images)

    ours, peer = in_turn(lambda: craft_paper(network(), x, network().policy, PaperMethod(steps=STEPS)), bare, ROUNDS)
    note = f"{described()}, {len(x)} samples, {sum(left):,} of them in {len(left)} passes"
    return row("crafting: over bare passes of the samples that are left", "≤ 1.05", ours, peer, note, slower=True)


def _t_n(crafted: Crafted) -> float:
    costs = exit_costs(network())
    taken = network().predict(crafted.samples.float() / 255).exits
    return 1 - sum(costs[exit] for exit in taken.tolist()) / len(taken)
