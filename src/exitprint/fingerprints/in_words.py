"""The table of simulated thefts in sentences: what is promised, what is uncertain, what escapes, and why."""

from __future__ import annotations

from collections.abc import Sequence

from exitprint.fingerprints.promises import PROMISED, Exit, Strength, Theft

IN_THE_HEAD, OF_WEIGHT = 0.5, 0.1
"""An exit is named where more than this part of what decides is its head's, and where so many samples leave."""


def in_words(strength: Strength) -> list[str]:
    """What is said of each policy, of exits whose decision lives in their head, and of what was not simulated."""
    said = [_under(strength, number) for number in range(len(strength.policies))]
    return [*said, *_of_exits(strength.exits), *strength.left_out]


def _under(strength: Strength, policy: int) -> str:
    itself, *thefts = strength.thefts
    where = f"T_c = {strength.policies[policy]:.3f}"
    if strength.word(itself, policy) != "promised":
        chance = itself.claimed[policy][strength.sizes.index(strength.samples)]
        return f"{where}: nothing is promised, for your network as it is is claimed with {percent(chance)} only."
    words = {theft.name: strength.word(theft, policy) for theft in thefts}
    found = list(words.values()).count("promised")
    if found == len(thefts):
        return f"{where}: every simulated theft is promised to be found with {strength.samples} samples."
    parts = [f"{where}: {found} of {len(thefts)} simulated thefts are promised to be found"]
    for word, title in (("uncertain", "Uncertain"), ("escapes", "Escapes")):
        named = [_cell(strength, theft, policy) for theft in thefts if words[theft.name] == word]
        parts += [f"{title}: {'; '.join(named)}"] * bool(named)
    return ". ".join(parts) + "."


def _cell(strength: Strength, theft: Theft, policy: int) -> str:
    at = strength.sizes.index(strength.samples)
    cleared = theft.cleared[policy][at] or 0.0
    notes = [f"{theft.share[policy]:.2f} of the pairs"]
    more = (size for size in strength.sizes[at + 1 :] if strength.word(theft, policy, size) == "promised")
    notes += [f"promised with {size} samples" for size in more][:1]
    notes += [f"called independent: {cleared:.0%}"] * (cleared > 1 - PROMISED)
    return f"{theft.name} ({', '.join(notes)})"


def _of_exits(exits: Sequence[Exit]) -> list[str]:
    deep = [each.number for each in exits if each.head <= IN_THE_HEAD and each.leaves >= OF_WEIGHT]
    ways = ["craft on new exits as well (--new-exits 2)", "place exits deeper"]
    ways += [f"craft for policies under which images leave at exits {listed(deep)}"] * bool(deep)
    return [
        f"Exit {each.number}'s decision lives in its head: {each.head:.0%} of what decides there is not in the "
        f"backbone, and {each.leaves:.0%} of the samples leave there. A thief who trains exits again hides: "
        f"{', '.join(ways[:-1])}, or {ways[-1]}."
        for each in exits
        if each.head > IN_THE_HEAD and each.leaves >= OF_WEIGHT
    ]


def percent(chance: float | None) -> str:
    """A chance in per cent; a dash where there is none."""
    return "–" if chance is None else f"{chance:.0%}"


def listed(numbers: Sequence[int]) -> str:
    """Ascending numbers in a few words: 2 to 4, 6."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
