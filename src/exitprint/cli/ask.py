"""Asking a suspect: `verify`."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitprint.cli.asking import Amplification, Clock, Rate, Resume, SuspectName, at_address, opened, subject
from exitprint.cli.options import Json, Seed, out, print_json
from exitprint.cli.outputs import Force, check_output
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from exitprint.fingerprints import Fingerprint, Verdict
    from exitprint.suspects import Suspect

EXIT_CODES = {"derived": 0, "independent": 1, "inconclusive": 3}
REPEATS = 10
ERROR_RATE = 1e-3


def verify(
    fingerprint_file: Annotated[Path, typer.Argument(metavar="FINGERPRINT")],
    suspect: SuspectName,
    repeats: Annotated[
        int | None, typer.Option(help=f"How often each input is timed in this process. Default: {REPEATS}.")
    ] = None,
    clock: Clock = "measured",
    alpha: Annotated[
        float | None, typer.Option(help=f"Largest probability of a false claim. Default: {ERROR_RATE:g}.")
    ] = None,
    beta: Annotated[float | None, typer.Option(help=f"Largest probability of a miss. Default: {ERROR_RATE:g}.")] = None,
    budget: Annotated[int | None, typer.Option(help="Most requests in all. Default: 2000.")] = None,
    rate: Rate = None,
    amplification: Amplification = 1,
    journal: Annotated[
        Path | None,
        typer.Option(help="Keep every answer in this file. Default: beside FINGERPRINT, until there is a verdict."),
    ] = None,
    resume: Resume = False,
    report: Annotated[Path | None, typer.Option(help="Write a page that shows why.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Ask a suspect and say whether it is a copy: exit code 0 derived, 1 independent, 3 inconclusive, 2 error.

    A suspect at an address is asked until the error rates are met; so is one in this process where --alpha, --beta,
    --budget, --journal or --resume is given. Else each input is timed a fixed number of times.
    """
    from exitprint.fingerprints import load_fingerprint
    from exitprint.fingerprints import verify as verify_suspect
    from exitprint.reports import verification_report, write_report

    sequential = at_address(suspect) or resume or not (alpha is beta is budget is journal is None)
    if sequential and repeats is not None:
        raise ExitprintError("this suspect is asked until the error rates are met: leave out --repeats.")
    if report is not None:
        check_output(report, "page", fingerprint_file, suspect, journal, force=force)
    made = load_fingerprint(fingerprint_file)
    asked = opened(suspect, clock, amplification, rate, budget)
    kept: Path | None = None
    if sequential:
        name = subject(suspect, clock, amplification)
        rates = (ERROR_RATE if alpha is None else alpha, ERROR_RATE if beta is None else beta)
        kept, verdict = _sequentially(made, fingerprint_file, asked, name, rates, budget, seed, journal, resume)
    else:
        verdict = verify_suspect(made, asked, REPEATS if repeats is None else repeats, seed)
    if report is not None:
        notes = _notes(verdict, rates) if sequential else None
        page = verification_report(verdict, made, verdict.timings, suspect, notes=notes, course=verdict.course)
        write_report(page, report)
    _say(verdict, as_json)
    if kept is not None and verdict.decision != "inconclusive":
        kept.unlink(missing_ok=True)
    raise typer.Exit(EXIT_CODES[verdict.decision])


def _sequentially(
    made: Fingerprint,
    fingerprint_file: Path,
    asked: Suspect,
    name: str,
    rates: tuple[float, float],
    budget: int | None,
    seed: int,
    journal: Path | None,
    resume: bool,
) -> tuple[Path | None, Verdict]:
    """The verdict, and the journal that goes away with it because nobody asked for it."""
    from exitprint.fingerprints import verify_sequentially
    from exitprint.fingerprints.sequential import BUDGET, run_digest

    alpha, beta = rates
    kept = None
    if journal is None:
        key = run_digest(made, subject=name, alpha=alpha, beta=beta, seed=seed)[:12]
        kept = journal = fingerprint_file.with_name(f".{fingerprint_file.name}.{key}.journal")
        if not resume:
            kept.unlink(missing_ok=True)
    return kept, verify_sequentially(
        made,
        asked,
        alpha=alpha,
        beta=beta,
        budget=BUDGET if budget is None else budget,
        seed=seed,
        journal=journal,
        resume=resume,
        subject=name,
    )


def _notes(verdict: Verdict, rates: tuple[float, float]) -> dict[str, str]:
    from exitprint.reports.text import duration

    notes = {"error rates": f"at most {rates[0]:g} for a false claim (alpha), {rates[1]:g} for a miss (beta)"}
    if verdict.e_value is not None:
        notes["evidence for a copy"] = f"e-value {verdict.e_value:.3g} at the end; {1 / rates[0]:g} suffices"
    if verdict.floor is not None:
        notes["cheapest request"] = f"{duration(verdict.floor)}, which path and server add to every answer"
    if verdict.bytes is not None:
        notes["sent and received"] = f"{verdict.bytes:,} bytes"
    return notes


def _say(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        print_json(verdict.as_dict())
        return
    out.print(verdict.decision, style="bold", end="")
    out.print(f": {verdict.reason}")
    statistic, threshold = ("T_N", "T_f") if verdict.statistic == "t_n" else ("AUC", "threshold")
    size = "" if verdict.bytes is None else f" ({verdict.bytes:,} bytes)"
    numbers = (
        f"{statistic} = {verdict.value:.3f} ({verdict.interval[0]:.3f} to {verdict.interval[1]:.3f}), "
        f"{threshold} = {verdict.threshold:.3f}, p = {verdict.p_value:.2g}, "
    )
    cost = f"{verdict.requests} requests{size} in {verdict.seconds:.1f} s, {verdict.clock} time."
    out.print(cost if isnan(verdict.value) else numbers + cost)
