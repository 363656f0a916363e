"""Small networks trained together against one by one; on a GPU where there is one."""

from __future__ import annotations

import os
from functools import partial
from time import process_time
from typing import Any

import torch

from bench.compare import Clock, in_turn, row, wall
from exitprint.data import load_data
from exitprint.networks import architecture
from exitprint.training import best_device, recipe, train_network, train_together

NETWORKS, EPOCHS = 20, 5
SHAPES = {"resnet": (14, 8), "vgg": (8, 8), "mobilenet": (6, 8)}


def rows() -> list[dict[str, Any]]:
    """Each architecture at the size that suits `digits`, and one of them by the wall clock on all cores."""
    if best_device().type == "cuda":
        return [_row(family, "≥ 5", wall, f"wall time on {torch.cuda.get_device_name()}") for family in SHAPES]
    cores = len(os.sched_getaffinity(0))
    found = [_row(family, "≥ 2", process_time, "processor time of one thread") for family in SHAPES]
    torch.set_num_threads(cores)
    note = f"wall time, together on {cores} threads, one by one on one; {cores} processes would divide the latter"
    found.append(_row("resnet", "≥ 2", wall, note))
    torch.set_num_threads(1)
    return found


def _row(family: str, goal: str, clock: Clock, note: str) -> dict[str, Any]:
    images = load_data("digits")
    depth, width = SHAPES[family]
    arch = architecture(family, images.input_shape, images.classes, depth, width)
    how = recipe("fast", family, "digits", epochs=EPOCHS)

    def alone() -> None:
        for seed in range(NETWORKS):
            train_network(arch, images, how, seed)

    train_network(arch, images, how)
    together = partial(train_together, arch, images, how, range(NETWORKS))
    ours, peer = in_turn(together, alone, rounds=1, clock=clock)
    name = f"population: {NETWORKS} networks together against one by one, {family}"
    return row(name, goal, ours, peer, f"digits, depth {depth}, {width} channels, {EPOCHS} epochs and ICs; {note}")
