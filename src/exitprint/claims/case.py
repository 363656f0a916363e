"""A claim with all that belongs to it, checked and recomputed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exitprint.claims.committing import Checked, Place, check_claim, committed_fingerprint, load_opening
from exitprint.claims.images import check_originals, listed
from exitprint.claims.register import FILE, Begun, Register, panel_register
from exitprint.claims.replay import Replayed, combined, rank_p_value, replay
from exitprint.claims.statement import Claim
from exitprint.errors import ExitprintError
from exitprint.evidence.limits import Decision
from exitprint.files import file_digest
from exitprint.fingerprints import Fingerprint, load_fingerprint


@dataclass(frozen=True)
class PanelResult:
    """What a judge's panel came to.

    Attributes
    ----------
    found
        Each network, in the order of asking.
    p_value
        Of the suspect's rank among them, see `rank_p_value`.
    claimed
        Names of those that would be claimed: any sinks the fingerprint.
    """

    found: tuple[Replayed, ...]
    p_value: float
    claimed: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """What a claim comes to.

    Attributes
    ----------
    checked
        The claim, and its date where one is proved.
    digest
        SHA-256 of the claim's file.
    fingerprints
        Those that were opened, by commitment.
    suspect
        Whom it is about.
    runs
        Every verification that was begun, of any suspect.
    decision
        All verifications of the suspect together, and the panel.
    log_e, log_e_independent
        Natural logarithms of the mean e-values of the suspect's verifications.
    panel
        None without one.
    """

    checked: Checked
    digest: str
    fingerprints: Mapping[str, Fingerprint]
    suspect: str
    runs: tuple[Replayed, ...]
    decision: Decision
    log_e: float
    log_e_independent: float
    panel: PanelResult | None

    @property
    def ours(self) -> tuple[Replayed, ...]:
        """The verifications of the suspect."""
        return tuple(each for each in self.runs if each.begun.suspect == self.suspect)

    @property
    def requests(self) -> int:
        """Requests that the suspect's verifications cost."""
        return sum(each.requests for each in self.ours)


def opened(claim_file: Path, claim: Claim, files: Sequence[Path], digests: Sequence[str]) -> dict[str, Fingerprint]:
    """The fingerprints of a claim by their commitments, as far as their files are given.

    Parameters
    ----------
    claim_file, claim
        The claim, its salts beside it.
    files
        Fingerprints.
    digests
        Of the data set's images.

    Raises
    ------
    ExitprintError
        If one was not committed to, holds what no crafting gives, or has originals that are not in the data set.
    """
    if hashlib.sha256(listed(digests)).hexdigest() != claim.data.sha256:
        raise ExitprintError(
            f"the images at hand are not those of {claim.data.name!r} that the claim committed to: get the same ones."
        )
    opening = load_opening(Place(claim_file).opening)
    found = {}
    for path in files:
        committed = committed_fingerprint(claim, opening, path)
        made = load_fingerprint(path)
        check_originals(made.originals, digests)
        found[committed] = made
    return found


def replayed(register: Register, fingerprints: Mapping[str, Fingerprint], claim: Claim) -> tuple[Replayed, ...]:
    """Every verification of a register, recomputed; those whose fingerprint stays secret count as without evidence."""
    found = []
    for begun in register.read():
        if begun.fingerprint in fingerprints:
            found.append(replay(register, begun, fingerprints[begun.fingerprint], claim))
        elif begun.fingerprint in claim.fingerprints:
            found.append(Replayed(begun, None, -math.inf, -math.inf, 0, "not opened"))
        else:
            raise ExitprintError(f"verification {begun.number} is of a fingerprint that the claim does not have.")
    return tuple(found)


def examine(
    claim_file: Path,
    fingerprints: Sequence[Path],
    digests: Sequence[str],
    *,
    authority: Path | None = None,
    key: str | None = None,
    suspect: str | None = None,
    networks: Mapping[str, str] | None = None,
    with_panel: bool = True,
) -> Case:
    """Check a claim and all that belongs to it, and recompute what it comes to.

    Parameters
    ----------
    claim_file
        The claim, with what belongs to it beside it; see `Place`.
    fingerprints
        Files of those that are opened.
    digests
        Of the data set's images.
    authority, key
        As in `check_claim`.
    suspect
        Whom it is about; may be left out where only one was asked.
    networks
        SHA-256 of the panel's networks by name, where the panel is at hand; by default those that were asked.
    with_panel
        Whether to look at a panel that was asked.

    Raises
    ------
    ExitprintError
        With the first thing that does not hold.
    """
    checked = check_claim(claim_file, authority, key)
    claim, place, digest = checked.claim, Place(claim_file), file_digest(claim_file)
    opened_ = opened(claim_file, claim, fingerprints, digests)
    runs = replayed(Register(place.runs, digest), opened_, claim)
    suspects = list(dict.fromkeys(each.begun.suspect for each in runs))
    if suspect is None:
        if len(suspects) != 1:
            raise ExitprintError(f"{len(suspects)} suspects were asked under this claim: name one of them (--suspect).")
        suspect = suspects[0]
    ours = [each for each in runs if each.begun.suspect == suspect]
    if not ours:
        raise ExitprintError(f"no verification of {suspect!r} was begun under this claim: verify it first (--claim).")
    decision, log_e, log_e_independent = combined(ours, claim)
    panel = None
    if with_panel and (place.panel / FILE).exists():
        panel = _panel(panel_register(place.panel, digest), networks, opened_, claim, ours[0])
        if panel.claimed and decision == "derived":
            decision = "inconclusive"
    elif networks is not None:
        raise ExitprintError("the panel was not asked yet: audit the claim first (audit).")
    return Case(checked, digest, opened_, suspect, runs, decision, log_e, log_e_independent, panel)


def _panel(
    register: Register,
    networks: Mapping[str, str] | None,
    fingerprints: Mapping[str, Fingerprint],
    claim: Claim,
    first: Replayed,
) -> PanelResult:
    named = register.networks or {}
    if networks is not None and dict(networks) != dict(named):
        raise ExitprintError("the panel that was asked is not the panel at hand: a network was hidden, or exchanged.")
    found = replayed(register, fingerprints, claim)
    if [each.begun.suspect for each in found] != list(named):
        raise ExitprintError("a network of the panel was not asked, or its answers were hidden: audit the claim again.")
    for each in found:
        if _how(each.begun) != _how(first.begun):
            raise ExitprintError(f"the panel's network {each.begun.suspect!r} was asked otherwise than the suspect.")
    needed = -math.log(claim.alpha)
    claimed = tuple(each.begun.suspect for each in found if each.log_e >= needed)
    return PanelResult(found, rank_p_value(first.log_e, [each.log_e for each in found]), claimed)


def _how(begun: Begun) -> tuple[object, ...]:
    """In which way a network is asked."""
    return begun.fingerprint, begun.clock, begun.amplification, begun.address, begun.references
