"""Asking a suspect: `verify`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitprint.cli.asking import Resume
from exitprint.cli.options import Json, Seed, out, print_json
from exitprint.cli.outputs import Force, check_output
from exitprint.cli.suspect_options import AskingOptions, SuspectName, takes_suspect
from exitprint.errors import ExitprintError
from exitprint.evidence.limits import BUDGET, ERROR_RATE

if TYPE_CHECKING:
    from exitprint.fingerprints import Fingerprint, Reference, Verdict

EXIT_CODES = {"derived": 0, "independent": 1, "inconclusive": 3}


@takes_suspect
def verify(
    fingerprint_file: Annotated[Path, typer.Argument(metavar="FINGERPRINT")],
    suspect: SuspectName,
    asking_of: AskingOptions = AskingOptions(),
    alpha: Annotated[float, typer.Option(help="Largest probability of a false claim.")] = ERROR_RATE,
    beta: Annotated[float, typer.Option(help="Largest probability of a miss.")] = ERROR_RATE,
    budget: Annotated[int, typer.Option(help="Most requests in all.")] = BUDGET,
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="A network that you know to be independent; the threshold follows from it too. Repeatable."),
    ] = None,
    through: Annotated[
        str | None,
        typer.Option(help="Do this to every image before it is sent: jpeg:75, resize:0.5, or jpeg:90,resize:224."),
    ] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Keep every answer in this file. Default: a new one beside FINGERPRINT.")
    ] = None,
    resume: Resume = False,
    report: Annotated[Path | None, typer.Option(help="Write a page that shows why.")] = None,
    seed: Seed = 0,
    claim: Annotated[
        Path | None,
        typer.Option(help="Ask under this claim: by its seed, error rates and budget, and in its register."),
    ] = None,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Ask a suspect and say whether it is a copy: exit code 0 derived, 1 independent, 3 inconclusive, 2 error.

    It is asked until the error rates are met or the budget is spent. Every answer is kept in a journal.
    """
    from exitprint.fingerprints import load_fingerprint
    from exitprint.fingerprints import verify as verify_suspect
    from exitprint.networks import load_network
    from exitprint.reports import provenance, verification_report, write_report
    from exitprint.suspects import CostModel
    from exitprint.suspects.address import is_address, shown

    if report is not None:
        check_output(report, "page", fingerprint_file, suspect, journal, *(reference or ()), force=force)
    made = load_fingerprint(fingerprint_file)
    networks = {path.stem: path for path in reference or []}
    references: Mapping[str, CostModel] | tuple[Reference, ...] = ()
    name = asking_of.subject(suspect)
    if claim is not None:
        from exitprint.claims.verification import begin

        if (alpha, beta, budget, seed, journal) != (ERROR_RATE, ERROR_RATE, BUDGET, 0, None):
            raise ExitprintError(
                "under a claim the error rates, budget, seed and journal are the claim's: leave out --alpha, --beta, "
                "--budget, --seed and --journal."
            )
        if through is not None:
            raise ExitprintError("a claim says nothing of --through: leave it out, or ask without --claim.")
        under = begin(
            claim,
            fingerprint_file,
            asking_of.name(suspect),
            asking_of.clock,
            asking_of.amplification,
            is_address(suspect),
            resume,
            networks,
        )
        alpha, beta, budget, seed = under.claim.alpha, under.claim.beta, under.claim.budget, under.claim.seed
        journal, name, resume = under.journal, under.subject, resume and under.journal.exists()
        references = under.references
    else:
        references = {each: CostModel(load_network(path)) for each, path in networks.items()}
        if journal is None and asking_of.clock == "measured":
            journal = _beside(fingerprint_file, made, f"{name}, through {through}" if through else name, seed, resume)
    with asking_of.open(suspect, budget) as asked:
        verdict = verify_suspect(
            made,
            asked,
            alpha=alpha,
            beta=beta,
            budget=budget,
            journal=journal,
            resume=resume,
            seed=seed,
            subject=name,
            references=references,
            through=through,
        )
    if report is not None:
        files = {"suspect": Path(suspect), "fingerprint": fingerprint_file, "journal": journal, "claim": claim}
        files |= {f"reference {path.stem}": path for path in reference or []}
        page = verification_report(verdict, made, shown(suspect), journal=journal, notes=provenance(files))
        write_report(page, report)
    _say(verdict, journal, as_json)
    raise typer.Exit(EXIT_CODES[verdict.decision])


def _beside(fingerprint_file: Path, made: Fingerprint, name: str, seed: int, resume: bool) -> Path:
    """The journal beside the fingerprint: the last one of this suspect and seed to go on with, or else a new one."""
    from exitprint.fingerprints.verify import run_digest

    key = run_digest(made, subject=name, seed=seed)[:8]
    last = None
    for number in count(1):
        path = fingerprint_file.with_name(f"{fingerprint_file.stem}-{key}-{number}.journal")
        if not path.exists():
            return last if resume and last is not None else path
        last = path
    raise AssertionError


def _say(verdict: Verdict, journal: Path | None, as_json: bool) -> None:
    from exitprint.fingerprints.verdict import percent

    if as_json:
        print_json(verdict.as_dict() | {"journal": None if journal is None else str(journal)})
        return
    out.print(verdict.decision, style="bold", end="")
    out.print(f": {verdict.reason}")
    size = "" if verdict.bytes is None else f" ({verdict.bytes:,} bytes)"
    nature = "" if verdict.nature is None else f"By nature: {percent(verdict.nature, verdict.nature_interval)}. "
    out.print(
        f"Crafted: {percent(verdict.share, verdict.interval)}, a claim needs more than {verdict.p0:.0%}. {nature}"
        f"p = {verdict.p_value:.2g}; {verdict.requests:,} requests{size} in {verdict.seconds:.1f} s, "
        f"{verdict.clock} time."
    )
    out.print("This rests on:")
    for assumption in verdict.assumptions:
        out.print(f"- {assumption}")
    if journal is not None:
        out.print(f"Every answer is kept in {str(journal)!r}.")
