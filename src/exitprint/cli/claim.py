"""A claim before any dispute: `commit`, and what is said of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exitprint.cli.images import ImageOptions, takes_images
from exitprint.cli.options import out
from exitprint.cli.outputs import check_writable
from exitprint.errors import ExitprintError
from exitprint.evidence.limits import BUDGET, ERROR_RATE

if TYPE_CHECKING:
    from exitprint.claims.case import Case
    from exitprint.claims.committing import Checked
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
    alpha: Annotated[float, typer.Option(help="Largest probability of a false claim.")] = ERROR_RATE,
    beta: Annotated[float, typer.Option(help="Largest probability of a miss.")] = ERROR_RATE,
    budget: Annotated[int, typer.Option(help="Most requests of a verification.")] = BUDGET,
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
        images_of(source, files[1:]),
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
        say_claim(case.checked)
        say_case(case)
        return
    checked = check_claim(path, authority, public_key)
    place = Place(path)
    networks = [each for each in files if committed_network(checked.claim, load_opening(place.opening), each)]
    fingerprints = [each for each in files if each not in networks]
    for each in fingerprints:
        committed_fingerprint(checked.claim, load_opening(place.opening), each)
    if fingerprints:
        digests = image_digests(images_of(source, fingerprints).test.pixels)
        opened(path, checked.claim, fingerprints, digests)
        if (place.runs / FILE).exists():
            case = examine(path, fingerprints, digests, authority=authority, key=public_key)
            say_case(case)
    say_claim(checked)
    for each in networks:
        out.print(f"{each} is the network of the claim.")
    for each in fingerprints:
        out.print(f"{each} is a fingerprint of the claim, and its originals are in the data set.")


def say_claim(checked: Checked) -> None:
    claim = checked.claim
    out.print(f"The claim holds: signed with the key {claim.key}, its seed is that of what it committed to.")
    if checked.stamped is None:
        out.print(f"It says that it was made on {claim.made:%Y-%m-%d %H:%M} UTC; nothing proves the date.")
    else:
        out.print(f"It was there on {checked.stamped:%Y-%m-%d %H:%M:%S} UTC, says the authority.")


def say_case(case: Case) -> None:
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


def images_of(source: ImageOptions, fingerprints: Sequence[Path]) -> ImageData:
    """The data set that was named, or else the one that the fingerprints name."""
    from exitprint.fingerprints import load_fingerprint

    if not source.data:
        names = {(load_fingerprint(path).record.get("data") or {}).get("name") for path in fingerprints}
        name = names.pop() if len(names) == 1 else None
        if not isinstance(name, str):
            raise ExitprintError("the fingerprints do not name one data set: say where images are from (--data).")
        source = replace(source, data=name)
    return source.load(labelled=False)
