"""What the tables of `study strength` make of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from exitprint.fingerprints.promises import Word
from exitprint_studies.ours.strength.asked import NOT_SIMULATED, RUNS, SEED
from exitprint_studies.tables import Row

WORDS = (*get_args(Word), NOT_SIMULATED)
USEFUL = 0.85
"""A copy that keeps less than this share of the target's accuracy is of no use to a thief."""


def useful(rows: Sequence[Row]) -> list[Row]:
    """The rows of copies that a thief can use."""
    return [row for row in rows if row["truth"] == "stolen" and row["keeps"] >= USEFUL]


def calibration(rows: Sequence[Row]) -> list[Row]:
    """For each case and word: how often simulated copies were claimed and others were, and the cell farthest off."""
    table: list[Row] = []
    for case in dict.fromkeys(row["case"] for row in rows):
        for word in WORDS:
            mine = [row for row in useful(rows) if (row["case"], row["word"]) == (case, word)]
            if not mine:
                continue
            worst = max(mine, key=off_by)
            table.append(
                {
                    "case": case,
                    "word": word,
                    "cells": len(mine),
                    "simulated claims": _mean([row["simulated claims"] for row in mine])
                    if word != NOT_SIMULATED
                    else None,
                    "claimed": _mean([row["claimed"] for row in mine]),
                    "farthest off": f"{worst['suspect']} ({worst['made by'] or f'seed {SEED}'}), "
                    f"T_c = {worst['T_c']:.3f}, {worst['samples']} samples",
                    "simulated claims there": worst["simulated claims"],
                    "claimed there": worst["claimed"],
                }
            )
    return table


def off_by(row: Row) -> float:
    """How far a copy is claimed more or less often than the simulated ones; less than 1 where there are none."""
    simulated = row["simulated claims"]
    return 1.0 - row["claimed"] if simulated is None else abs(row["claimed"] - simulated)


def summary(rows: Sequence[Row]) -> list[Row]:
    """For each case and number of samples: cells by word and what of them was claimed; strangers."""
    table: list[Row] = []
    for case, size in dict.fromkeys((row["case"], row["samples"]) for row in rows):
        cell = [row for row in rows if (row["case"], row["samples"]) == (case, size)]
        strangers = [row for row in cell if row["truth"] == "stranger"]
        claimed = {word: [row["claimed"] for row in useful(cell) if row["word"] == word] for word in WORDS}
        table.append(
            {
                "case": case,
                "samples": size,
                **{
                    column: value
                    for word, those in claimed.items()
                    for column, value in ((word, len(those)), (f"{word}: claimed", _mean(those)))
                },
                "verdicts on strangers": RUNS * len(strangers),
                "strangers claimed": round(RUNS * sum(row["claimed"] for row in strangers)),
                "largest share of a stranger": max((row["share"] for row in strangers), default=None),
            }
        )
    return table


def of_copies(rows: Sequence[Row]) -> list[Row]:
    """What was promised of each useful copy and what happened."""
    hidden = ("truth", "right", "refused")
    return [{name: value for name, value in row.items() if name not in hidden} for row in useful(rows)]


def of_strangers(rows: Sequence[Row]) -> list[Row]:
    """What happened to strangers."""
    shown = ("case", "suspect", "T_c", "samples", "share", "claimed", "cleared", "refused")
    return [{name: row[name] for name in shown} for row in rows if row["truth"] == "stranger"]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
