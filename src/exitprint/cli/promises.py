"""How the table of simulated thefts is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from exitprint.cli.options import out

if TYPE_CHECKING:
    from exitprint.fingerprints import Reference, Strength
    from exitprint.fingerprints.promises import Theft


def say_strength(strength: Strength, references: Sequence[Reference]) -> None:
    """Print what the samples come to on simulated copies and on independents, and where a thief escapes."""
    from exitprint.fingerprints.in_words import in_words

    sizes = ", ".join(map(str, strength.sizes))
    fine_tuned = f" (fine-tuning: {strength.fine_tuned_on:,})" if strength.fine_tuned_on else ""
    out.print(
        f"Thefts simulated from {strength.seeds} seeds with {strength.images:,} training images{fine_tuned}, by the "
        "cost model; a thief who has more or trains for longer is not among them. "
        f"For each of your policies the share of pairs, what {strength.samples} samples promise, and the chance in per "
        f"cent that {sizes} samples claim such a copy, with a question mark where that is uncertain:"
    )
    table = Table("theft", "keeps", *(f"T_c = {T_c:.3f}" for T_c in strength.policies))
    for theft in strength.thefts:
        cells = [
            f"{theft.share[number]:.2f} {strength.word(theft, number)} "
            f"({' '.join(_chance(strength, theft, number, size) for size in strength.sizes)})"
            for number in range(len(strength.policies))
        ]
        table.add_row(theft.name, f"{theft.keeps:.0%}", *cells)
    for each in references:
        table.add_row(
            f"{each.name}, which is independent",
            "",
            *(f"{share:.2f}" for share in each.share[: len(strength.policies)]),
        )
    out.print(table)
    enough = strength.enough[strength.sizes.index(strength.samples)]
    if enough is not None:
        out.print(f"{strength.samples} samples claim a copy that comes to {enough:.2f} of the pairs or more.")
    if references:
        out.print("All this is for a verifier who asks these references himself (verify --reference).")
    for sentence in in_words(strength):
        out.print(sentence)


def _chance(strength: Strength, theft: Theft, policy: int, size: int) -> str:
    if theft.claimed[policy][strength.sizes.index(size)] is None:
        return "–"
    chance = strength.chance(theft, policy, size)
    return "?" if chance is None else f"{100 * chance:.0f}"
