"""What convinces somebody else: `commit`, `panel`, `audit`, `pack`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exitprint.cli.ask import EXIT_CODES
from exitprint.cli.images import ImageOptions, takes_images
from exitprint.cli.options import Json, Seed, out, print_json
from exitprint.cli.outputs import check_output, check_writable
from exitprint.cli.suspect_options import AskingOptions, ClockName, takes_suspect
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from exitprint.claims.case import Case
    from exitprint.claims.committing import Checked
    from exitprint.claims.register import Begun
    from exitprint.data import ImageData
    from exitprint.suspects.suspect import OpenSuspect

Authority = Annotated[
    Path | None,
    typer.Option("--authority", help="Certificates of the time-stamping authority that are trusted, as PEM."),
]
OwnersKey = Annotated[str | None, typer.Option("--public-key", help="The key that the claim must be signed with.")]


AS_THE_FINGERPRINT_SAYS = ImageOptions("")


@takes_images
def commit(
    files: Annotated[list[Path] | None, typer.Argument(metavar="NETWORK FINGERPRINT…", show_default=False)] = None,
    out_file: Annotated[Path | None, typer.Option("--out", help="Claim to write.")] = None,
    check: Annotated[Path | None, typer.Option(help="Check this claim, and that FILES are what it is about.")] = None,
    key: Annotated[Path, typer.Option(help="Your private key (Ed25519, PEM); made where there is none.")] = Path(
        "owner.key.pem"
    ),
    source: ImageOptions = AS_THE_FINGERPRINT_SAYS,
    timestamp: Annotated[
        str | None, typer.Option(help="Address of a time-stamping authority (RFC 3161) that proves the date.")
    ] = None,
    authority: Authority = None,
    public_key: OwnersKey = None,
    alpha: Annotated[float, typer.Option(help="Largest probability of a false claim.")] = 1e-3,
    beta: Annotated[float, typer.Option(help="Largest probability of a miss.")] = 1e-3,
    budget: Annotated[int, typer.Option(help="Most requests of a verification.")] = 2000,
) -> None:
    """Commit to your network and fingerprints of it before any dispute; with --check, check such a claim offline."""
    from exitprint.claims.committing import Place
    from exitprint.claims.committing import commit as make
    from exitprint.reports.text import count

    files = files or []
    if check is not None:
        if out_file is not None:
            raise ExitprintError("a claim is made (--out) or checked (--check), not both at once.")
        _check(check, files, source, authority, public_key)
        return
    if out_file is None or not files:
        raise ExitprintError(
            "name a network, its fingerprints and the claim to write (--out), or a claim to check (--check)."
        )
    check_writable(out_file)
    claim = make(
        files[0],
        files[1:],
        out_file,
        key,
        _images(source, files[1:]),
        alpha=alpha,
        beta=beta,
        budget=budget,
        authority=timestamp,
    )
    place = Place(out_file)
    committed = count(len(claim.fingerprints), "fingerprint")
    out.print(f"{out_file}: signed with the key {claim.key}; {committed}, seed {claim.seed}.")
    out.print(f"{place.opening}: the salts. Keep it with the network: without it nobody can open the claim.")
    if timestamp is None:
        out.print("There is no time stamp, so nothing proves the date (--timestamp).")
    else:
        out.print(f"{place.stamp}: the time stamp of {timestamp}.")


def _check(
    path: Path, files: Sequence[Path], source: ImageOptions, authority: Path | None, public_key: str | None
) -> None:
    """Check a pack, or a claim and as much as the files at hand allow."""
    from exitprint.claims.case import examine, opened
    from exitprint.claims.committing import Place, check_claim, committed_fingerprint, committed_network, load_opening
    from exitprint.claims.images import image_digests
    from exitprint.claims.packing import check_pack
    from exitprint.claims.register import FILE

    if path.is_dir():
        case = check_pack(path, authority, public_key)
        _say_claim(case.checked)
        _say_case(case)
        return
    checked = check_claim(path, authority, public_key)
    place = Place(path)
    networks = [each for each in files if committed_network(checked.claim, load_opening(place.opening), each)]
    fingerprints = [each for each in files if each not in networks]
    for each in fingerprints:
        committed_fingerprint(checked.claim, load_opening(place.opening), each)
    if fingerprints:
        digests = image_digests(_images(source, fingerprints).test.pixels)
        opened(path, checked.claim, fingerprints, digests)
        if (place.runs / FILE).exists():
            case = examine(path, fingerprints, digests, authority=authority, key=public_key)
            _say_case(case)
    _say_claim(checked)
    for each in networks:
        out.print(f"{each} is the network of the claim.")
    for each in fingerprints:
        out.print(f"{each} is a fingerprint of the claim, and its originals are in the data set.")


def _say_claim(checked: Checked) -> None:
    claim = checked.claim
    out.print(f"The claim holds: signed with the key {claim.key}, its seed is that of what it committed to.")
    if checked.stamped is None:
        out.print(f"It says that it was made on {claim.made:%Y-%m-%d %H:%M} UTC; nothing proves the date.")
    else:
        out.print(f"It was there on {checked.stamped:%Y-%m-%d %H:%M:%S} UTC, says the authority.")


def _say_case(case: Case) -> None:
    from exitprint.claims.page import again_in_words, e_value
    from exitprint.reports.text import count

    needed = f"{1 / case.checked.claim.alpha:g}"
    out.print(
        f"{case.decision}: {case.suspect}, e-value {e_value(case.log_e)} of {needed} that a claim needs, "
        f"from {count(len(case.ours), 'verification')} begun and {case.requests:,} requests."
    )
    if case.panel is not None:
        names = ", ".join(case.panel.followers)
        out.print(
            f"Of the judge's {len(case.panel.found)} networks "
            + (f"these follow, which sinks the fingerprint: {names}." if names else "none follows the samples.")
            + f" The suspect's rank among them has the exact p-value {case.panel.p_value:.3g}."
        )
    if case.again is not None:
        out.print(again_in_words(case.again, case.by_journals))
    if case.unseen:
        out.print(
            f"What these references came to is the asker's word, without their networks: {', '.join(case.unseen)}."
        )


def _images(source: ImageOptions, fingerprints: Sequence[Path]) -> ImageData:
    """The data set that was named, or else the one that the fingerprints name."""
    from exitprint.fingerprints import load_fingerprint

    if not source.data:
        names = {(load_fingerprint(path).record.get("data") or {}).get("name") for path in fingerprints}
        name = names.pop() if len(names) == 1 else None
        if not isinstance(name, str):
            raise ExitprintError("the fingerprints do not name one data set: say where images are from (--data).")
        source = replace(source, data=name)
    return source.load(labelled=False)


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
    digests = image_digests(_images(source, fingerprints).test.pixels)
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
        _say_claim(case.checked)
        _say_case(case)
    raise typer.Exit(EXIT_CODES[case.decision])


def _again(suspect: str, asking_of: AskingOptions, first: Begun) -> OpenSuspect:
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

    digests = image_digests(_images(source, fingerprints).test.pixels)
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
    _say_case(case)
    out.print(f"{out_folder}: hand it over whole; python {out_folder / SCRIPT} checks it, and needs numpy only.")
