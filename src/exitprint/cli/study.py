"""`exitprint study`: the papers' tables and figures, and ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from exitprint.cli.options import DataDir, Json, out, print_json
from exitprint.errors import ExitprintError, require_extra, told


def study(
    name: Annotated[str, typer.Argument(help="Name of the study; `exitprint study list` prints them all.")],
    out_dir: Annotated[Path | None, typer.Option("--out", help="Folder to write the results to.")] = None,
    preset: Annotated[Literal["laptop", "gpu", "paper"], typer.Option(help="Size of the study.")] = "laptop",
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Say how many networks, how long and how much disk, and make nothing.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes that make networks at once.")] = 1,
    present: Annotated[
        bool, typer.Option("--present", help="Make no network: use those of the study's that are there already.")
    ] = False,
    rehearsal: Annotated[
        bool, typer.Option("--rehearse", help="Make few networks, hardly trained, to see that all goes through.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Spread the work over this Ray cluster: HOST:PORT, auto or local."),
    ] = None,
    store_dir: Annotated[
        Path, typer.Option("--store", envvar="EXITPRINT_STORE", help="Folder where networks are kept and found again.")
    ] = Path("runs/store"),
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make the tables and figures of a study; killed at any moment, the same command continues."""
    from dataclasses import asdict

    require_extra("exitprint_studies.studies", "studies")
    from exitprint_studies.population.jobs import executor
    from exitprint_studies.population.store import Store
    from exitprint_studies.studies import STUDIES, study_named
    from exitprint_studies.study import Run

    if name == "list":
        if as_json:
            print_json({each.name: each.summary for each in STUDIES.values()})
        else:
            for each in STUDIES.values():
                out.print(f"{each.name:20} {each.summary} ({', '.join(each.presets)})")
        return
    chosen = study_named(name)
    store = Store(store_dir.absolute())
    data_dir = data_dir.absolute() if data_dir else None
    if only_plan:
        planned = chosen.plan(preset, store)
        if as_json:
            print_json(asdict(planned))
            return
        basis = "as networks of this store took" if planned.measured else "a guess; no network of it is there yet"
        hours = planned.seconds / 3600
        out.print(
            f"{name} at preset {preset}: {planned.networks} networks, {planned.present} of them there already; "
            f"the rest takes {hours:.2f} hours of one core or GPU ({basis}) and {planned.megabytes:.0f} MB."
        )
        return
    if out_dir is None:
        raise ExitprintError("a study needs a folder for its results: give --out DIR (or --plan to see its cost).")
    with told(f"cannot make the folder {str(out_dir)!r} ({{why}}): choose another one.", OSError):
        out_dir.mkdir(parents=True, exist_ok=True)
    with executor(jobs, ray) as pool:
        written = chosen.run(Run(preset, out_dir, store, data_dir, pool, present, rehearsal))
    if as_json:
        print_json([str(path) for path in written])
    else:
        out.print(f"{name}: wrote {', '.join(str(path) for path in written)}")
