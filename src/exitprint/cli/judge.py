"""What convinces somebody else of a claim: `panel`, `audit`, `pack`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exitprint.cli.ask import EXIT_CODES
from exitprint.cli.claim import AS_THE_FINGERPRINT_SAYS, Authority, OwnersKey, images_of, say_case, say_claim
from exitprint.cli.images import ImageOptions, takes_images
from exitprint.cli.options import Json, Seed, out, print_json
from exitprint.cli.outputs import check_output
from exitprint.cli.suspect_options import AskingOptions, ClockName, takes_suspect
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from exitprint.claims.register import Begun
    from exitprint.suspects.suspect import Closing


@takes_images
def panel(
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write; one that is there is gone on with.")],
    source: ImageOptions,
    networks: Annotated[int, typer.Option(help="How many.")] = 9,
    arch: Annotated[
        list[str] | None, typer.Option(help="An architecture, as for train; repeatable, taken in turns.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Channels of the first stage.")] = None,
    preset: Annotated[Literal["fast", "paper"], typer.Option(help="Training recipe.")] = "fast",
    epochs: Annotated[int | None, typer.Option(help="Epochs of each backbone.")] = None,
    leave: Annotated[
        float, typer.Option(help="Share of images that leave each network in the first half of its cost.")
    ] = 0.5,
    seed: Seed = 0,
) -> None:
    """Train independent networks to check a claim with; what is trained already is not trained again."""
    from exitprint.claims.panel import ARCHITECTURES, planned, train_panel

    images = source.load()
    plan = planned(images, networks, arch or ARCHITECTURES, width, preset, epochs, leave, seed)
    made = train_panel(plan, images, out_folder)
    out.print(f"{out_folder}: {len(made.networks)} networks, {', '.join(each.name for each in made.networks)}.")


SuspectOf = Annotated[str | None, typer.Option("--suspect", help="Whom it is about, where several were asked.")]
Fingerprints = Annotated[list[Path], typer.Argument(metavar="FINGERPRINT…")]
References = Annotated[
    list[Path] | None,
    typer.Option(help="A network that the asker brought as a reference; what it comes to is computed. Repeatable."),
]


@takes_images
@takes_suspect
def audit(
    claim: Annotated[Path, typer.Argument(metavar="CLAIM")],
    fingerprints: Fingerprints,
    panel: Annotated[Path | None, typer.Option(help="Folder of networks of yours that are no copies.")] = None,
    ask: Annotated[
        str | None,
        typer.Option(metavar="SUSPECT", help="Ask the suspect again yourself, so that nothing rests on the journal."),
    ] = None,
    network: Annotated[Path | None, typer.Option(help="The owner's network, where he shows it.")] = None,
    reference: References = None,
    source: ImageOptions = AS_THE_FINGERPRINT_SAYS,
    asking_of: AskingOptions = AskingOptions(),
    authority: Authority = None,
    public_key: OwnersKey = None,
    suspect: SuspectOf = None,
    report: Annotated[Path | None, typer.Option(help="Write the page for a judge.")] = None,
    as_json: Json = False,
) -> None:
    """Check a claim, recompute it from the raw answers, and ask networks of yours, and the suspect, the same.

    Exit codes as of verify: 0 derived, 1 independent, 3 inconclusive, 2 error.
    """
    from exitprint.claims.auditing import audit as make
    from exitprint.claims.images import image_digests
    from exitprint.claims.packing import verdict_of
    from exitprint.claims.page import judge_page
    from exitprint.files import write_bytes

    if report is not None:
        check_output(report, "page", claim, network, *fingerprints, *(reference or ()))
    digests = image_digests(images_of(source, fingerprints).test.pixels)
    case = make(
        claim,
        fingerprints,
        digests,
        panel=panel,
        network=network,
        references=reference or (),
        again=None if ask is None else partial(_again, ask, asking_of),
        authority=authority,
        key=public_key,
        suspect=suspect,
    )
    if report is not None:
        write_bytes(report, judge_page(case).encode())
    if as_json:
        print_json(verdict_of(case))
    else:
        say_claim(case.checked)
        say_case(case)
    raise typer.Exit(EXIT_CODES[case.decision])


def _again(suspect: str, asking_of: AskingOptions, first: Begun) -> Closing:
    """The suspect of a claim, to be asked as it was asked first."""
    from exitprint.suspects.address import is_address

    clock: ClockName = "cost-model" if first.clock == "cost-model" else "measured"
    how = replace(asking_of, clock=clock, amplification=first.amplification)
    name = how.name(suspect)
    if not (name == first.suspect if is_address(suspect) else first.suspect.endswith(name.removeprefix(suspect))):
        raise ExitprintError(f"the claim is about {first.suspect}, and not about {name}: ask that one (--ask).")
    return how.open(suspect)


@takes_images
def pack(
    claim: Annotated[Path, typer.Argument(metavar="CLAIM")],
    fingerprints: Fingerprints,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    source: ImageOptions = AS_THE_FINGERPRINT_SAYS,
    authority: Authority = None,
    public_key: OwnersKey = None,
    suspect: SuspectOf = None,
    reference: References = None,
) -> None:
    """Put a claim and all that belongs to it in a folder, with a script that checks it without this program."""
    from exitprint.claims.images import image_digests
    from exitprint.claims.packing import SCRIPT
    from exitprint.claims.packing import pack as make

    digests = image_digests(images_of(source, fingerprints).test.pixels)
    case = make(
        claim,
        fingerprints,
        digests,
        out_folder,
        references=reference or (),
        authority=authority,
        key=public_key,
        suspect=suspect,
    )
    say_case(case)
    out.print(f"{out_folder}: hand it over whole; python {out_folder / SCRIPT} checks it, and needs numpy only.")
