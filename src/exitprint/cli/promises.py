"""How the table of simulated thefts is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from exitprint.cli.options import out

if TYPE_CHECKING:
    from exitprint.fingerprints import Reference, Strength


def say_strength(strength: Strength, references: Sequence[Reference]) -> None:
    """Print what the samples come to on simulated copies and on independents, and where a thief escapes."""
    sizes = ", ".join(map(str, strength.sizes))
    out.print(
        f"Thefts simulated from {strength.seeds} seeds with {strength.images:,} training images, by the cost model. "
        f"For each of your policies the share of pairs, and the chance in per cent that {sizes} samples claim the copy:"
    )
    table = Table("theft", "keeps", *(f"T_c = {T_c:.3f}" for T_c in strength.policies))
    for theft in strength.thefts:
        cells = [
            f"{share:.2f} ({' '.join('–' if chance is None else f'{100 * chance:.0f}' for chance in claimed)})"
            for share, claimed in zip(theft.share, theft.claimed, strict=True)
        ]
        table.add_row(theft.name, f"{theft.keeps:.0%}", *cells)
    for each in references:
        table.add_row(
            f"{each.name}, which is independent",
            "",
            *(f"{share:.2f}" for share in each.share[: len(strength.policies)]),
        )
    out.print(table)
    for sentence in strength.sentences():
        out.print(sentence)
