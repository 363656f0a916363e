"""What a fingerprint is worth against simulated thefts, as its file keeps it: the owner's word.

Each theft under each policy is *promised*, *escapes*, or is *uncertain*. A promise is one for a copy that nobody has
seen: the thief has other seeds and other images, and may go further. So it needs room below the share of pairs that
simulated copies come to:

- *Spread.* `SPREAD` standard deviations of what one and the same theft comes to from several seeds, pooled over the
  thefts that leave the copy the same kind of exits, for each policy by itself; `LEAST_SPREAD` at least, since few seeds
  may agree by chance.
- *Further.* As much again as what was done to the backbone has cost already, for a thief who does it twice as long.

With this room taken off, the share has to be one from which on so many samples claim; and simulated copies have to be
claimed themselves. What *escapes* is not claimed even with the spread added. All else is uncertain, and no chance is
said of it: how often simulated copies are claimed has not held for others there (docs/results/strength.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import mean
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from exitprint.errors import ExitprintError

PROMISED = 0.9
"""A copy is taken to be found where the samples claim it with this probability or a higher one."""
SPREAD, LEAST_SPREAD = 2.0, 0.02

Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Chances = tuple[Share | None, ...]
Word = Literal["promised", "uncertain", "escapes"]
WhichExits = Literal["kept", "sdn", "own"]
"""The owner's own exits, all or some of them; or new ones, SDN's or of the network's own kind."""


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
    shares
        The share of pairs in which the late sample takes longer, under each policy on each of the copies.
    claimed, cleared
        Under each policy, for each number of samples: how often `verify` says ``derived``, and ``independent``, of the
        simulated copies; None where so many samples cannot be had from the pool. Of other copies see `Strength.chance`.
    exits
        Which exits the copies have.
    """

    name: Text
    keeps: Annotated[float, Field(ge=0, le=1000)]
    shares: tuple[Annotated[tuple[Share, ...], Field(min_length=1, max_length=1000)], ...]
    claimed: tuple[Chances, ...]
    cleared: tuple[Chances, ...]
    exits: WhichExits = "kept"

    @property
    def share(self) -> tuple[float, ...]:
        """The share of pairs under each policy, averaged over the copies."""
        return tuple(mean(each) for each in self.shares)


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
    enough, too_little
        For each number of samples the share of pairs from which on they claim with a probability of `PROMISED` or
        more, and up to which they do with one of 1 - `PROMISED` or less; None where there is none.
    policies
        The lowest threshold of each policy on the owner's network.
    thefts
        The network itself first, then each theft; of those that leave the same exits the mildest first.
    exits
        Each internal classifier, where exits could be trained again.
    images
        How many training images new exits, and copies adversarially, were trained on.
    fine_tuned_on
        How many of them copies were fine-tuned on; None in a file that does not say it.
    seeds
        From how many seeds each theft was simulated.
    left_out
        Thefts that could not be simulated, and why.
    """

    samples: Annotated[int, Field(ge=1, le=10_000_000)]
    sizes: Annotated[tuple[Annotated[int, Field(ge=1, le=10_000_000)], ...], Field(min_length=1, max_length=10)]
    enough: Chances
    too_little: Chances
    policies: Annotated[tuple[Annotated[float, Field(ge=-100, le=100)], ...], Field(min_length=1, max_length=100)]
    thefts: Annotated[tuple[Theft, ...], Field(min_length=1, max_length=100)]
    exits: Annotated[tuple[Exit, ...], Field(max_length=10_000)]
    images: Annotated[int, Field(ge=1)]
    fine_tuned_on: Annotated[int, Field(ge=1)] | None = None
    seeds: Annotated[int, Field(ge=1, le=1000)]
    left_out: Annotated[tuple[Text, ...], Field(max_length=100)] = ()

    @model_validator(mode="after")
    def _rectangular(self) -> Strength:
        for theft in self.thefts:
            cells = (*theft.claimed, *theft.cleared)
            if {len(theft.shares), len(theft.claimed), len(theft.cleared)} != {len(self.policies)}:
                raise ValueError("a theft has other policies")
            if any(len(cell) != len(self.sizes) for cell in cells):
                raise ValueError("a theft has other numbers of samples")
        if not len(self.enough) == len(self.too_little) == len(self.sizes):
            raise ValueError("what is enough is said for other numbers of samples")
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

    def word(self, theft: Theft, policy: int, samples: int | None = None) -> Word:
        """What is said of a theft under the policy of this number, counted from 0.

        Parameters
        ----------
        theft
            One of the table's.
        policy
            Its number.
        samples
            One of `sizes`; by default as many as the fingerprint has.
        """
        at = self.sizes.index(self.samples if samples is None else samples)
        chance, enough, too_little = theft.claimed[policy][at], self.enough[at], self.too_little[at]
        lowest, highest = self.bounds(theft, policy)
        if chance is None:
            return "uncertain"
        if enough is not None and chance >= PROMISED and lowest >= enough:
            return "promised"
        if too_little is not None and chance <= 1 - PROMISED and highest <= too_little:
            return "escapes"
        return "uncertain"

    def chance(self, theft: Theft, policy: int, samples: int | None = None) -> float | None:
        """The chance that so many samples claim such a copy; None where that is uncertain. Parameters as for `word`."""
        size = self.samples if samples is None else samples
        said = self.word(theft, policy, size) != "uncertain"
        return theft.claimed[policy][self.sizes.index(size)] if said else None

    def bounds(self, theft: Theft, policy: int) -> tuple[float, float]:
        """The share of pairs that an unseen copy is taken to come to at least, and at most."""
        share = theft.share[policy]
        if theft == self.thefts[0]:
            return share, share
        alike = [each for each in self.thefts if each.exits == theft.exits]
        spread = _spread([each.shares[policy] for each in alike if each != self.thefts[0]])
        further = max(alike[0].share[policy] - share, 0.0)
        return max(share - spread - further, 0.0), min(share + spread, 1.0)


def _spread(shares: Sequence[Sequence[float]]) -> float:
    """Room for chance from the shares on each copy of each theft; all of it where every theft was simulated once."""
    freedom = sum(len(each) - 1 for each in shares)
    if not freedom:
        return 1.0
    squares = sum((share - mean(each)) ** 2 for each in shares for share in each)
    return max(SPREAD * sqrt(squares / freedom), LEAST_SPREAD)
