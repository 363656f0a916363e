"""Asking a suspect: `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from exitprint.cli.options import Json, Seed, out, print_json

EXIT_CODES = {"derived": 0, "independent": 1, "inconclusive": 3}


def verify(
    fingerprint_file: Annotated[Path, typer.Argument(metavar="FINGERPRINT")],
    suspect: Annotated[
        str,
        typer.Argument(
            metavar="SUSPECT", help="A network's .safetensors, an .onnx model, or http(s)://host/v2/models/NAME."
        ),
    ],
    repeats: Annotated[int, typer.Option(help="How often each input is timed.")] = 10,
    clock: Annotated[Literal["measured", "cost-model"], typer.Option(help="Wall clock, or FLOPs.")] = "measured",
    report: Annotated[Path | None, typer.Option(help="Write a page that shows why.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Ask a suspect and say whether it is a copy: exit code 0 derived, 1 independent, 3 inconclusive, 2 error."""
    from exitprint.fingerprints import load_fingerprint
    from exitprint.fingerprints import verify as verify_suspect
    from exitprint.networks import load_network
    from exitprint.reports import verification_report, write_report
    from exitprint.suspects import CostModel, open_suspect

    made = load_fingerprint(fingerprint_file)
    asked = CostModel(load_network(suspect)) if clock == "cost-model" else open_suspect(suspect)
    verdict = verify_suspect(made, asked, repeats, seed)
    if report is not None:
        write_report(verification_report(verdict, made, verdict.timings, suspect), report)
    if as_json:
        print_json(verdict.as_dict())
    else:
        out.print(f"[bold]{verdict.decision}[/bold]: {verdict.reason}")
        statistic = "T_N" if verdict.statistic == "t_n" else "AUC"
        out.print(
            f"{statistic} = {verdict.value:.3f} ({verdict.interval[0]:.3f} to {verdict.interval[1]:.3f}), "
            f"{'T_f' if verdict.statistic == 't_n' else 'threshold'} = {verdict.threshold:.3f}, "
            f"{verdict.requests} requests in {verdict.seconds:.1f} s, {verdict.clock} time."
        )
    raise typer.Exit(EXIT_CODES[verdict.decision])
