"""Every kind of simulated suspect in `study error-rates`: what it is, how it is seen, and what is promised of it."""

from __future__ import annotations

from dataclasses import dataclass

from exitprint.fingerprints.threshold import BEYOND_SMALL, CAUTIOUS
from exitprint_studies.ours.recorded import (
    AT_DEFAULT,
    AT_LARGE_MARGIN,
    NEAREST,
    TIED,
    TIED_COPY,
    WITH_REFERENCE,
    WORST_COPY,
)
from exitprint_studies.ours.simulated_paths import (
    Seen,
    cached,
    delayed,
    drifting,
    gaussian,
    heavy,
    noise,
    plain,
    ticking,
)
from exitprint_studies.ours.simulated_times import (
    COINS,
    COPY,
    EXITS,
    GAP,
    LAST,
    QUICK,
    SLOW,
    STRANGER,
    WORN,
    Draw,
    halves,
    mixed,
    rare_last,
    recorded,
    shares,
    spread,
    swapped,
)

SIZES = (5, 10, 25, 100)
"""Samples in a half."""
LARGE = 200


@dataclass(frozen=True)
class Case:
    """A kind of suspect.

    Attributes
    ----------
    name
        In words.
    claims, clears
        Whether it is within the null hypothesis of a claim, and of clearing.
    times
        Draws the seconds of each kind of input without noise, from a generator and the size of a half.
    path
        Makes what is seen of them, from a generator and the times.
    p0
        What a claim must beat.
    half
        Samples in each half.
    kind
        Of the fingerprint.
    """

    name: str
    claims: bool
    clears: bool
    times: Draw
    path: Seen
    p0: float = CAUTIOUS[0]
    half: int = 50
    kind: str = "contrast"


def cases() -> list[Case]:
    """Every kind of suspect in the table."""
    found = [
        Case("coins: no image differs from another", True, True, COINS, plain),
        Case("benign images against themselves, noise", True, True, COINS, noise(gaussian)),
        Case("nothing crafted, halves swapped", True, False, swapped(STRANGER), plain),
        Case("stranger", True, False, STRANGER, plain),
        Case("stranger, Gaussian noise", True, False, STRANGER, noise(gaussian)),
        Case("stranger, heavy tails", True, False, STRANGER, noise(heavy)),
        Case("stranger, drift", True, False, STRANGER, drifting),
        Case("stranger, cache", True, False, STRANGER, cached),
        *(Case(f"stranger, clock ticks in {tick} ms", True, False, STRANGER, ticking(tick / 1e3)) for tick in (1, 16)),
        *(Case(f"stranger, delay by image of {g} gaps", True, False, STRANGER, delayed(g)) for g in (2, 4, 10, 20)),
        *(
            Case(f"stranger just at p0 = {p0:g}, {2 * half} samples", True, False, shares(p0, 0.97), plain, p0, half)
            for p0 in (0.5, 0.65, 0.8, 0.95)
            for half in ((50,) if p0 == 0.65 else (*SIZES, LARGE) if p0 == 0.8 else SIZES)
        ),
        *(
            Case(f"independent as recorded: {name}", True, False, recorded(record), path, p0, half)
            for name, record, path, p0, half in (
                ("the nearest, margin 0.5", NEAREST, plain, CAUTIOUS[0], LARGE),
                ("the nearest, margin 0.5, Gaussian noise", NEAREST, noise(gaussian), CAUTIOUS[0], LARGE),
                ("the nearest, margin 0.5, delay by image of 4 gaps", NEAREST, delayed(4), CAUTIOUS[0], LARGE),
                ("the nearest, margin 1.5", AT_LARGE_MARGIN, plain, BEYOND_SMALL[0], 100),
                ("the nearest at default settings", AT_DEFAULT, plain, CAUTIOUS[0], 100),
                ("nearly all run through", TIED, plain, CAUTIOUS[0], 100),
                ("the nearest with one reference", WITH_REFERENCE, plain, CAUTIOUS[1], 100),
            )
        ),
        *(
            Case(
                f"paper's kind, {share:.0%} at the last exit, samples one earlier",
                True,
                False,
                rare_last(share, EXITS - 1),
                plain,
                kind="paper",
            )
            for share in (0.01, 0.02, 0.05)
        ),
        *(
            Case(
                f"paper's kind, copy, {share:.0%} at the last exit as its samples",
                False,
                True,
                rare_last(share, EXITS),
                plain,
                kind="paper",
            )
            for share in (0.01, 0.02, 0.05)
        ),
        Case("copy", False, True, COPY, plain),
        Case("copy, p0 = 0.65", False, True, COPY, plain, CAUTIOUS[2]),
        Case("copy, Gaussian noise", False, True, COPY, noise(gaussian)),
        Case("copy, heavy tails", False, True, COPY, noise(heavy)),
        Case("copy, drift", False, True, COPY, drifting),
        Case("copy, cache", False, True, COPY, cached),
        *(Case(f"copy, clock ticks in {tick} ms", False, True, COPY, ticking(tick / 1e3)) for tick in (1, 16)),
        *(Case(f"copy, delay by image of {g} gaps", False, True, COPY, delayed(g)) for g in (2, 4, 10, 20)),
        Case("copy as recorded: the least at default settings", False, True, recorded(WORST_COPY), plain, half=100),
        Case("copy as recorded: nearly all run through", False, True, recorded(TIED_COPY), plain, half=100),
        Case("worn copy", False, True, WORN, plain),
        Case("worn copy, Gaussian noise", False, True, WORN, noise(gaussian)),
        Case("worn copy, delay by image of 10 gaps", False, True, WORN, delayed(10)),
        Case("crafted samples just at one half", False, True, shares(0.5, 0.97), plain),
    ]
    return found


BEYOND = Case(
    "beyond: noise that hides small differences and not large ones",
    False,
    False,
    halves(mixed(0.4, LAST, spread(1, 1)), spread(2, 2), QUICK, SLOW),
    noise(lambda rng: float(rng.uniform(0, 4 * GAP))),
    CAUTIOUS[2],
)
"""A stranger on which 40 % of the late samples are far slower and 60 % a little quicker: noise turns the 60 % into
coins.
The share of pairs as seen is 0.65 then, at the threshold, where without noise it is 0.40."""


def every() -> list[Case]:
    """All cases, that beyond the promise last."""
    return [*cases(), BEYOND]
