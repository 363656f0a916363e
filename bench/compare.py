"""Measuring two things in turn, and the row that a comparison prints."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch

Work = Callable[[], object]


Clock = Callable[[], float]


def wall() -> float:
    """Wall-clock time when a GPU, if there is one, has done what it was asked to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter()


def seconds(work: Work, clock: Clock = process_time) -> float:
    """Time of `work`, by default the processor's: with one thread what it takes, less what other processes take."""
    start = clock()
    work()
    return clock() - start


def in_turn(
    ours: Work, peer: Work, rounds: int, calls: int = 1, clock: Clock = process_time
) -> tuple[list[float], list[float]]:
    """Seconds of both sides in every round: of so many calls, one side after the other, the quickest of each."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        pairs = [(seconds(ours, clock), seconds(peer, clock)) for _ in range(calls)]
        for side, taken in zip(times, zip(*pairs, strict=True), strict=True):
            side.append(min(taken))
    return times


def row(name: str, goal: str, ours: list[float], peer: list[float], note: str, slower: bool = False) -> dict[str, Any]:
    """A row of the table: the median ratio of the rounds with its range; `slower` for ours over the peer's time."""
    ratios = sorted((o / p if slower else p / o) for o, p in zip(ours, peer, strict=True))
    return {
        "name": name,
        "ours_s": median(ours),
        "peer_s": median(peer),
        "ratio": median(ratios),
        "spread": f"{ratios[0]:.2f} to {ratios[-1]:.2f}" if len(ratios) > 1 else "",
        "goal": goal,
        "note": note,
    }
