"""A claim checked and recomputed, and the judge's own askings: networks of his, and the suspect again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from exitprint.claims.case import Case, examine
from exitprint.claims.committing import Place, committed_network, load_opening
from exitprint.claims.panel import members
from exitprint.claims.register import FILE, Begun, Register, panel_register
from exitprint.claims.statement import Claim
from exitprint.claims.verification import UnderClaim
from exitprint.errors import ExitprintError, when_stopped
from exitprint.fingerprints import Fingerprint, verify
from exitprint.networks import load_network
from exitprint.progress import progress
from exitprint.serving import running
from exitprint.suspects import CostModel, InProcess, Suspect, open_suspect

Opener = Callable[[Begun], AbstractContextManager[Suspect]]
"""Opens somebody to be asked as a verification was."""


def audit(
    claim_file: Path,
    fingerprints: Sequence[Path],
    digests: Sequence[str],
    *,
    panel: Path | None = None,
    network: Path | None = None,
    references: Sequence[Path] = (),
    again: Opener | None = None,
    authority: Path | None = None,
    key: str | None = None,
    suspect: str | None = None,
) -> Case:
    """Check a claim, recompute its verifications, and ask a panel the same; a killed run goes on.

    Parameters
    ----------
    claim_file, fingerprints, digests, authority, key, suspect
        As in `examine`.
    panel
        Folder of networks that the judge trained or brings; what they answer goes beside the claim, see `Place`.
    network
        The owner's network, where he shows it: it has to be the one that was committed to, and to behave as claimed.
    references
        Networks that the asker brought: what they come to is computed again, so all of them are needed.
    again
        Opens the suspect, so that the judge asks it himself what the first verification asked; what it answers goes
        beside the claim.

    Raises
    ------
    ExitprintError
        With the first thing that does not hold.
    Interrupted
        On Ctrl-C; what was answered is kept.
    """
    look = partial(
        examine,
        claim_file,
        fingerprints,
        digests,
        authority=authority,
        key=key,
        suspect=suspect,
        references=references,
    )
    case = look(controls=panel is None and again is None)
    if case.unseen:
        raise ExitprintError(
            f"what the asker's references came to is his word without their networks: give {', '.join(case.unseen)} "
            "too (--reference)."
        )
    if network is not None:
        _check_network(claim_file, network, case)
    if panel is None and again is None:
        return case
    first = case.ours[0].begun
    if first.fingerprint not in case.fingerprints:
        raise ExitprintError("the first verification is of a fingerprint that was not opened: give its file too.")
    ask = partial(_ask, first=first, fingerprint=case.fingerprints[first.fingerprint], claim=case.checked.claim)
    networks = None if panel is None else members(panel)
    with when_stopped("stopped; every answer is kept, and the same command goes on."):
        if panel is not None:
            register = Register(Place(claim_file).panel, case.digest, "panel", networks)
            _check_panel(register)
            with progress("asking the panel (networks)", len(networks or {})) as advance:
                for name in networks or {}:
                    ask(register, name, partial(_opened, panel / f"{name}.safetensors"))
                    advance(1)
        if again is not None:
            ask(Register(Place(claim_file).again, case.digest, "again"), first.suspect, again)
    return look(networks=networks)


def _check_network(claim_file: Path, network: Path, case: Case) -> None:
    """Refuse a network that was not committed to, or that the fingerprints do not tell on a cost model's clock."""
    claim = case.checked.claim
    if not committed_network(claim, load_opening(Place(claim_file).opening), network):
        raise ExitprintError(f"{str(network)!r} is not the network that the claim committed to.")
    suspect = CostModel(load_network(network))
    for committed, made in case.fingerprints.items():
        seen = next((each.begun.seen for each in case.runs if each.begun.fingerprint == committed), ())
        found = verify(made, suspect, alpha=claim.alpha, beta=claim.beta, seed=claim.seed, references=seen)
        if found.decision != "derived":
            raise ExitprintError(
                f"the network of the claim does not behave as claimed: the fingerprint finds it {found.decision}."
            )


def _check_panel(register: Register) -> None:
    """Refuse to go on with the answers of another panel."""
    if (register.folder / FILE).exists():
        asked = panel_register(register.folder, register.claim)
        if asked.networks != register.networks:
            raise ExitprintError(
                f"another panel was asked for this claim ({str(register.folder)!r}): give that one, or audit a copy of "
                "the claim's folder without it."
            )


def _ask(register: Register, name: str, open_: Opener, first: Begun, fingerprint: Fingerprint, claim: Claim) -> None:
    """Ask somebody as the suspect was asked first; what is in a journal is not asked again."""
    known = register.read() if (register.folder / FILE).exists() else ()
    with open_(first) as suspect:
        begun = next((each for each in known if each.suspect == name), None) or register.begin(name, first.asking)
        UnderClaim.of(claim, register, begun).ask(fingerprint, suspect)


@contextmanager
def _opened(network: Path, first: Begun) -> Iterator[Suspect]:
    """A network of the panel behind what the suspect was behind: a server of its own, this process, a cost model."""
    if first.address:
        with running(network) as url:
            yield open_suspect(url, amplification=first.amplification)
    elif first.clock == "cost-model":
        yield CostModel(load_network(network))
    else:
        yield InProcess(load_network(network))
