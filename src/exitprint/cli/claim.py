"""What convinces somebody else: `commit`, `panel`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exitprint.cli.images import ImageOptions, takes_images
from exitprint.cli.options import Seed, out
from exitprint.cli.outputs import check_writable
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from exitprint.claims.commit import Checked
    from exitprint.data import ImageData

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
    from exitprint.claims.commit import Place, check_claim, check_committed, load_opening
    from exitprint.claims.commit import commit as make

    files = files or []
    if check is not None:
        if out_file is not None:
            raise ExitprintError("a claim is made (--out) or checked (--check), not both at once.")
        checked = check_claim(check, authority, public_key)
        opening = load_opening(Place(check).opening) if files else None
        found = [] if opening is None else [(path, check_committed(checked.claim, opening, path)) for path in files]
        _say(checked)
        for path, kind in found:
            out.print(f"{path} is the {kind} of the claim." if kind == "network" else f"{path} is of the claim.")
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
    out.print(
        f"{out_file}: signed with the key {claim.key}; {len(claim.fingerprints)} fingerprint(s), seed {claim.seed}."
    )
    out.print(f"{place.opening}: the salts. Keep it with the network: without it nobody can open the claim.")
    if timestamp is None:
        out.print("There is no time stamp, so nothing proves the date (--timestamp).")
    else:
        out.print(f"{place.stamp}: the time stamp of {timestamp}.")


def _say(checked: Checked) -> None:
    claim = checked.claim
    out.print(
        f"The claim holds: it is signed with the key {claim.key}, and its seed follows from what it committed to."
    )
    if checked.stamped is None:
        out.print(f"It says that it was made on {claim.made:%Y-%m-%d %H:%M} UTC; nothing proves the date.")
    else:
        out.print(f"It was there on {checked.stamped:%Y-%m-%d %H:%M:%S} UTC, says the authority.")


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
