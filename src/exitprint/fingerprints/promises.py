"""What a fingerprint is worth against simulated thefts, as its file keeps it: the owner's word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from exitprint.errors import ExitprintError

PROMISED = 0.9
"""A theft is taken to be found where the samples claim the copy with this probability or a higher one."""
IN_THE_HEAD, OF_WEIGHT = 0.5, 0.1
"""An exit is named where more than this part of what decides is its head's, and where so many samples leave."""

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Chances = tuple[Share | None, ...]


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Theft(_Plain):
    """What the samples come to on simulated copies of one kind, all by the cost model.

    Attributes
    ----------
    name
        What the thief does.
    keeps
        Accuracy of the copies under the first policy, as a share of the owner's.
    share
        The share of pairs in which the late sample takes longer, under each policy, averaged over the copies.
    claimed, cleared
        Under each policy, for each number of samples: the chance that `verify` says ``derived``, and ``independent``;
        None where so many samples cannot be had from the pool.
    new_exits
        Whether the copies' exits were trained again.
    """

    name: Text
    keeps: Annotated[float, Field(ge=0, le=1000)]
    share: tuple[Share, ...]
    claimed: tuple[Chances, ...]
    cleared: tuple[Chances, ...]
    new_exits: bool = False


class Exit(_Plain):
    """Where the decision of an internal classifier lives.

    Attributes
    ----------
    number
        Of the exit, counted from 1.
    leaves
        The share of all samples that leave the owner's network there, averaged over policies.
    head
        The part of what decides there that is the head's own and not the backbone's: 0 where a head that is trained
        anew orders the samples as the owner's does, 1 where it orders them as their originals are ordered.
    """

    number: Annotated[int, Field(ge=1, le=10_000)]
    leaves: Share
    head: Share


class Strength(_Plain):
    """A fingerprint against simulated thefts of the network that it was made for.

    Attributes
    ----------
    samples
        Of the fingerprint.
    sizes
        Numbers of samples that chances are said for, ascending, with `samples` among them.
    policies
        The lowest threshold of each policy on the owner's network.
    thefts
        The network itself first, then each theft.
    exits
        Each internal classifier, where exits could be trained again.
    images
        How many training images the thief was given.
    seeds
        From how many seeds each theft was simulated.
    left_out
        Thefts that could not be simulated, and why.
    """

    samples: Annotated[int, Field(ge=1, le=10_000_000)]
    sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=10_000_000)], ...], Field(min_length=1, max_length=10)]
    policies: Annotated[tuple[Annotated[float, Field(ge=-100, le=100)], ...], Field(min_length=1, max_length=100)]
    thefts: Annotated[tuple[Theft, ...], Field(min_length=1, max_length=100)]
    exits: Annotated[tuple[Exit, ...], Field(max_length=10_000)]
    images: Annotated[int, Field(ge=1)]
    seeds: Annotated[int, Field(ge=1, le=1000)]
    left_out: Annotated[tuple[Text, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _rectangular(self) -> Strength:
        for theft in self.thefts:
            cells = (*theft.claimed, *theft.cleared)
            if {len(theft.share), len(theft.claimed), len(theft.cleared)} != {len(self.policies)}:
                raise ValueError("a theft has other policies")
            if any(len(cell) != len(self.sizes) for cell in cells):
                raise ValueError("a theft has other numbers of samples")
        if self.samples not in self.sizes:
            raise ValueError("nothing is said of the fingerprint's own number of samples")
        return self

    @classmethod
    def read(cls, plain: Any) -> Strength:
        """From plain JSON, which somebody else may have written.

        Raises
        ------
        ExitprintError
            If it is no such table.
        """
        try:
            return cls.model_validate(plain)
        except ValidationError as error:
            raise ExitprintError("the table of simulated thefts in this fingerprint is damaged: craft it again.") from (
                error
            )

    def promised(self, theft: Theft, policy: int) -> bool:
        """Whether the fingerprint is taken to find such a copy under the policy of this number, counted from 0."""
        return self._found(theft, policy) and not (theft.new_exits and self._by_luck(policy))

    def _found(self, theft: Theft, policy: int) -> bool:
        chance = theft.claimed[policy][self.sizes.index(self.samples)]
        return chance is not None and chance >= PROMISED

    def _by_luck(self, policy: int) -> bool:
        """Whether under this policy new exits escape in half of the thefts or more: then those that do not had luck."""
        found = [self._found(theft, policy) for theft in self.thefts if theft.new_exits]
        return 2 * sum(found) <= len(found) > 1

    def sentences(self) -> list[str]:
        """Where a thief escapes, and why; what holds, where none does."""
        itself, *thefts = self.thefts
        shut = [number for number in range(len(self.policies)) if not self.promised(itself, number)]
        escapes = [f"Nothing is promised where yours has {self._cell(itself, n)} already as it is." for n in shut]
        luck = [number for number in range(len(self.policies)) if number not in shut and self._by_luck(number)]
        for number in luck:
            anew = [theft for theft in thefts if theft.new_exits]
            lost = sum(not self._found(theft, number) for theft in anew)
            escapes.append(
                f"No theft with new exits is promised where yours has T_c = {self.policies[number]:.3f}: {lost} of "
                f"{len(anew)} that were simulated escape there."
            )
        for theft in thefts:
            named = {*shut, *(luck if theft.new_exits else ())}
            missed = [n for n in range(len(self.policies)) if n not in named and not self.promised(theft, n)]
            if missed:
                where = "; ".join(self._cell(theft, number) for number in missed)
                escapes.append(f"Not promised: {theft.name}, where yours has {where}.")
        held = f"These {self.samples} samples claim every simulated copy with a probability of {PROMISED:.0%} or more."
        return [*(escapes or [held]), *self._of_exits(), *self.left_out]

    def _cell(self, theft: Theft, policy: int) -> str:
        at = self.sizes.index(self.samples)
        claimed, cleared = theft.claimed[policy], theft.cleared[policy][at] or 0.0
        more = (
            f", with {size} samples {chance:.0%}"
            for size, chance in zip(self.sizes[at + 1 :], claimed[at + 1 :], strict=True)
            if chance is not None and chance >= PROMISED
        )
        wrong = f", called independent: {cleared:.0%}" if cleared > 1 - PROMISED else ""
        return f"T_c = {self.policies[policy]:.3f} (claimed: {percent(claimed[at])}{next(more, '')}{wrong})"

    def _of_exits(self) -> list[str]:
        deep = [each.number for each in self.exits if each.head <= IN_THE_HEAD and each.leaves >= OF_WEIGHT]
        instead = f", or craft for policies under which images leave at exits {listed(deep)}" if deep else ""
        return [
            f"Exit {each.number}'s decision lives in its head: {each.head:.0%} of what decides there is not in the "
            f"backbone, and {each.leaves:.0%} of the samples leave there. A thief who trains exits again hides: place "
            f"exits deeper{instead}."
            for each in self.exits
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
