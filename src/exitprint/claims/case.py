"""A claim with all that belongs to it, checked and recomputed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exitprint.claims.committing import Checked, Place, check_claim, committed_fingerprint, load_opening
from exitprint.claims.control import Again, PanelResult, again_result, panel_result
from exitprint.claims.images import check_originals, listed
from exitprint.claims.register import FILE, Begun, Register, panel_register
from exitprint.claims.replay import Replayed, combined, replay
from exitprint.claims.statement import Claim
from exitprint.errors import ExitprintError
from exitprint.evidence.limits import Decision
from exitprint.files import file_digest
from exitprint.fingerprints import Fingerprint, load_fingerprint
from exitprint.fingerprints.verify import asked_references
from exitprint.networks import load_network
from exitprint.suspects import CostModel

ROUNDING = 0.01
"""Largest difference between two machines: an input whose certainty is at the threshold may leave elsewhere."""


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
    by_journals
        What all verifications of the suspect together come to.
    decision
        The same; *inconclusive* where the judge's own controls say otherwise.
    log_e, log_e_independent
        Natural logarithms of the mean e-values of the suspect's verifications.
    panel
        None without one.
    again
        What the suspect said when the judge asked it; None if he did not.
    unseen
        References that the asker brought and that were not at hand, by name: what they came to is his word.
    """

    checked: Checked
    digest: str
    fingerprints: Mapping[str, Fingerprint]
    suspect: str
    runs: tuple[Replayed, ...]
    by_journals: Decision
    decision: Decision
    log_e: float
    log_e_independent: float
    panel: PanelResult | None
    again: Again | None
    unseen: tuple[str, ...]

    @property
    def ours(self) -> tuple[Replayed, ...]:
        """The verifications of the suspect."""
        return tuple(each for each in self.runs if each.begun.suspect == self.suspect)

    @property
    def requests(self) -> int:
        """Requests that the suspect's verifications cost."""
        return sum(each.requests for each in self.ours)


def opened(claim_file: Path, claim: Claim, files: Sequence[Path], digests: Sequence[str]) -> dict[str, Fingerprint]:
    """The fingerprints of a claim by their commitments, as far as their `files` are given.

    Raises `ExitprintError` if one was not committed to, holds what no crafting gives, or has originals that are not
    among the data set's images, whose `digests` are given.
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
    references: Sequence[Path] = (),
    networks: Mapping[str, str] | None = None,
    controls: bool = True,
) -> Case:
    """Check a claim and all that belongs to it, and recompute what it comes to.

    Raises `ExitprintError` with the first thing that does not hold.

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
    references
        Files of networks that the asker brought: what they come to is computed again.
    networks
        SHA-256 of the panel's networks by name, where the panel is at hand; by default those that were asked.
    controls
        Whether to look at what the judge asked himself.
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
    by_journals, log_e, log_e_independent = combined(ours, claim)
    panel, again = None, None
    if controls and (place.panel / FILE).exists():
        register = panel_register(place.panel, digest)
        panel = panel_result(register, networks, replayed(register, opened_, claim), ours[0])
    elif networks is not None:
        raise ExitprintError("the panel was not asked yet: audit the claim first (audit).")
    if controls and (place.again / FILE).exists():
        again = again_result(replayed(Register(place.again, digest, "again"), opened_, claim), ours[0], claim)
    unseen = _unseen(references, [each.begun for each in runs], opened_)
    sunk = by_journals == "derived" and panel is not None and bool(panel.followers)
    otherwise = again is not None and again.decision != by_journals
    return Case(
        checked=checked,
        digest=digest,
        fingerprints=opened_,
        suspect=suspect,
        runs=runs,
        by_journals=by_journals,
        decision="inconclusive" if sunk or otherwise else by_journals,
        log_e=log_e,
        log_e_independent=log_e_independent,
        panel=panel,
        again=again,
        unseen=unseen,
    )


def _unseen(files: Sequence[Path], begun: Sequence[Begun], fingerprints: Mapping[str, Fingerprint]) -> tuple[str, ...]:
    """Compute again what references come to, and give the names of those whose networks are not among the files.

    References are those that the asker brought to the verifications that were begun; `fingerprints` are the opened
    ones, by commitment. Raises `ExitprintError` if a file is no such reference, or comes to something else than the
    register says.
    """
    at_hand = {file_digest(path): path for path in files}
    brought = list(dict.fromkeys((each.fingerprint, one) for each in begun for one in each.references))
    for digest, path in at_hand.items():
        if digest not in {one.sha256 for _, one in brought}:
            raise ExitprintError(f"{str(path)!r} is no reference of this claim: it is another network, or was changed.")
    for committed, one in brought:
        if one.sha256 in at_hand and committed in fingerprints:
            suspect = CostModel(load_network(at_hand[one.sha256]))
            (found,) = asked_references(fingerprints[committed], {one.name: suspect})
            if abs(found.share[0] - one.share) > ROUNDING:
                raise ExitprintError(
                    f"the reference {one.name!r} comes to {found.share[0]:.2f} of the pairs, and the register says "
                    f"{one.share:.2f}: it was edited."
                )
    return tuple(dict.fromkeys(one.name for _, one in brought if one.sha256 not in at_hand))
