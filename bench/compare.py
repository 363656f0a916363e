"""Measuring two things in turn, and the row that a comparison prints."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Any

Work = Callable[[], object]


def seconds(work: Work) -> float:
    """Processor time of `work`: with one thread that is the time it takes, less what other processes take."""
    start = process_time()
    work()
    return process_time() - start


def in_turn(ours: Work, peer: Work, rounds: int, calls: int = 1) -> tuple[list[float], list[float]]:
    """Seconds of both sides in every round: of so many calls, one side after the other, the quickest of each."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        pairs = [(seconds(ours), seconds(peer)) for _ in range(calls)]
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
