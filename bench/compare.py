"""Measuring two things in turn, and the row that a comparison prints."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

Work = Callable[[], object]


def in_turn(ours: Work, peer: Work, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of both sides, measured one after the other in every round, after a round that does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for side, work in zip(times, (ours, peer), strict=True):
            start = perf_counter()
            work()
            if number:
                side.append(perf_counter() - start)
    return times


def row(name: str, goal: str, ours: list[float], peer: list[float], note: str, slower: bool = False) -> dict[str, Any]:
    """A row of the table: the median ratio of the rounds with its range; `slower` for ours over the peer's time."""
    ratios = sorted((o / p if slower else p / o) for o, p in zip(ours, peer, strict=True))
    return {
        "name": name,
        "ours_s": median(ours),
        "peer_s": median(peer),
        "ratio": median(ratios),
        "spread": f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        "goal": goal,
        "note": note,
    }
