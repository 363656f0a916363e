"""What convinces somebody else: `commit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitprint.cli.options import DataDir, check_writable, out
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from exitprint.claims.commit import Checked

Authority = Annotated[
    Path | None,
    typer.Option("--authority", help="Certificates of the time-stamping authority that are trusted, as PEM."),
]
OwnersKey = Annotated[str | None, typer.Option("--public-key", help="The key that the claim must be signed with.")]


def commit(
    files: Annotated[list[Path] | None, typer.Argument(metavar="NETWORK FINGERPRINT…", show_default=False)] = None,
    out_file: Annotated[Path | None, typer.Option("--out", help="Claim to write.")] = None,
    check: Annotated[Path | None, typer.Option(help="Check this claim, and that FILES are what it is about.")] = None,
    key: Annotated[Path, typer.Option(help="Your private key (Ed25519, PEM); made where there is none.")] = Path(
        "owner.key.pem"
    ),
    data: Annotated[
        str | None, typer.Option(help="Where the originals are from. Default: as the fingerprint says.")
    ] = None,
    data_dir: DataDir = None,
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
        data=data,
        data_dir=data_dir,
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
