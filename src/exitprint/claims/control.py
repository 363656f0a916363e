"""The judge's own controls of a claim: what networks of his say of it, and what the suspect says when he asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exitprint.claims.register import Register
from exitprint.claims.replay import Replayed, combined
from exitprint.claims.statement import Claim
from exitprint.errors import ExitprintError
from exitprint.evidence.limits import Decision
from exitprint.fingerprints import Verdict


@dataclass(frozen=True)
class PanelResult:
    """What a judge's panel came to.

    Attributes
    ----------
    found
        Each network, in the order of asking.
    p_value
        Of the suspect's rank among them, see `rank_p_value`.
    followers
        Names of those that the samples come to more pairs on than p0. Networks of other origin are taken to reach p0
        at most, and of these it is known that they are: one such network sinks the fingerprint, claimed or not.
    """

    found: tuple[Replayed, ...]
    p_value: float
    followers: tuple[str, ...]


@dataclass(frozen=True)
class Again:
    """What the suspect came to when the judge asked it himself, the same questions in the same order.

    Attributes
    ----------
    found
        What he asked.
    decision, log_e
        What it comes to by itself, without anything that the asker kept.
    both, alike
        Inputs to which both the asker and the judge got a label, and those of them with the same one.
    """

    found: tuple[Replayed, ...]
    decision: Decision
    log_e: float
    both: int
    alike: int


def panel_result(
    register: Register, networks: Mapping[str, str] | None, found: tuple[Replayed, ...], first: Replayed
) -> PanelResult:
    """What the panel of a register says of a suspect, of which `first` is the first verification.

    `found` is what each verification of the register came to, and `networks` the SHA-256 of the networks at hand by
    name; None where they are not. Raises `ExitprintError` if a network was hidden or exchanged, or was asked otherwise
    than the suspect.
    """
    named = register.networks or {}
    if networks is not None and dict(networks) != dict(named):
        raise ExitprintError("the panel that was asked is not the panel at hand: a network was hidden, or exchanged.")
    if [each.begun.suspect for each in found] != list(named):
        raise ExitprintError("a network of the panel was not asked, or its answers were hidden: audit the claim again.")
    _check_alike(found, first)
    followers = tuple(each.begun.suspect for each in found if each.verdict is not None and follows(each.verdict))
    return PanelResult(found, rank_p_value(first.log_e, [each.log_e for each in found]), followers)


def again_result(asked: tuple[Replayed, ...], first: Replayed, claim: Claim) -> Again | None:
    """What the judge's own asking says; None where the suspect was not asked, or did not answer.

    Of all that the judge `asked` only that counts which is of the suspect of the `first` verification. Raises
    `ExitprintError` if it was asked otherwise.
    """
    found = tuple(each for each in asked if each.begun.suspect == first.begun.suspect and each.requests)
    if not found:
        return None
    _check_alike(found, first)
    decision, log_e, _ = combined(found, claim)
    labels = {place: label for each in found for place, label in each.labels.items()}
    both = labels.keys() & first.labels.keys()
    return Again(found, decision, log_e, len(both), sum(labels[each] == first.labels[each] for each in both))


def rank_p_value(suspect: float, panel: Sequence[float]) -> float:
    """Exact p-value of a suspect's rank among a panel's networks, ties counting against a claim.

    If the suspect is only one more independent, every rank is equally likely; that it is above all n of the panel has
    the probability 1 / (n + 1).
    """
    return (1 + sum(each >= suspect for each in panel)) / (1 + len(panel))


def follows(verdict: Verdict) -> bool:
    """Whether the samples come to more of a network's pairs than p0, as those of other origin are taken not to."""
    return verdict.share is not None and verdict.share > verdict.p0


def _check_alike(found: Sequence[Replayed], first: Replayed) -> None:
    for each in found:
        if each.begun.asking != first.begun.asking:
            raise ExitprintError(f"the judge asked {each.begun.suspect!r} otherwise than the suspect was asked first.")
