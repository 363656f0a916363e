"""A pack: all that a judge needs in one folder, and a short script that checks it without this program."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from exitprint.claims.case import Case, examine
from exitprint.claims.committing import Place, load_opening, write_opening
from exitprint.claims.images import listed
from exitprint.claims.page import judge_page
from exitprint.claims.signing import json_object
from exitprint.claims.statement import Opening
from exitprint.errors import ExitprintError, told
from exitprint.files import write_bytes

CLAIM = "claim.json"
AUTHORITY = "authority.pem"
IMAGES = "images.txt"
VERDICT = "verdict.json"
PAGE = "page.html"
SCRIPT = "check.py"
FINGERPRINTS = "fingerprints"
SAID = ("decision", "panel", "panel_p_value", "panel_followers", "again")
"""What a pack says of the verdict, and what has to follow from its answers."""


def pack(
    claim_file: Path,
    fingerprints: Sequence[Path],
    digests: Sequence[str],
    out: Path,
    *,
    references: Sequence[Path] = (),
    authority: Path | None = None,
    key: str | None = None,
    suspect: str | None = None,
) -> Case:
    """Check a claim and put it in a folder with all that belongs to it, whole or not at all.

    The network stays out of it, and so does the salt that would open its commitment.

    Parameters
    ----------
    claim_file, fingerprints, digests, references, authority, key, suspect
        As in `exitprint.claims.case.examine`.
    out
        The folder, which must not be there.

    Raises
    ------
    ExitprintError
        With the first thing that does not hold, or if the folder cannot be written.
    """
    if out.exists():
        raise ExitprintError(f"{str(out)!r} is there already: choose another --out.")
    case = examine(
        claim_file, fingerprints, digests, authority=authority, key=key, suspect=suspect, references=references
    )
    place = Place(claim_file)
    with told(f"cannot write the pack {str(out)!r} ({{why}}): choose another --out.", OSError):
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            _fill(folder, place, case, dict(zip(case.fingerprints, fingerprints, strict=True)), digests, authority)
            folder.chmod(0o755)
            folder.rename(out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return case


def _fill(
    folder: Path,
    place: Place,
    case: Case,
    fingerprints: dict[str, Path],
    digests: Iterable[str],
    authority: Path | None,
) -> None:
    to = Place(folder / CLAIM)
    shutil.copyfile(place.claim, to.claim)
    if case.checked.stamped is not None and authority is not None:
        shutil.copyfile(place.stamp, to.stamp)
        shutil.copyfile(authority, folder / AUTHORITY)
    salts = load_opening(place.opening).fingerprints
    write_opening(Opening(fingerprints={each: salts[each] for each in fingerprints}), to.opening)
    (folder / FINGERPRINTS).mkdir()
    for committed, path in fingerprints.items():
        shutil.copyfile(path, folder / FINGERPRINTS / f"{committed}.safetensors")
    (folder / IMAGES).write_bytes(listed(digests))
    folders = [(place.runs, to.runs)]
    folders += [(place.panel, to.panel)] if case.panel is not None else []
    folders += [(place.again, to.again)] if case.again is not None else []
    for source, target in folders:
        target.mkdir()
        for path in sorted(source.glob("*.jsonl")):
            content = path.read_bytes()
            write_bytes(target / path.name, content[: content.rfind(b"\n") + 1])
    (folder / VERDICT).write_text(json.dumps(verdict_of(case), indent=1) + "\n")
    (folder / SCRIPT).write_bytes(resources.files("exitprint.claims").joinpath("script", SCRIPT).read_bytes())
    (folder / PAGE).write_text(judge_page(case), encoding="utf-8")


def verdict_of(case: Case) -> dict[str, Any]:
    """What a case comes to, as plain JSON."""
    return {
        "suspect": case.suspect,
        "decision": case.decision,
        "e_value": math.exp(min(case.log_e, 690.0)),
        "e_value_independent": math.exp(min(case.log_e_independent, 690.0)),
        "verifications": len(case.ours),
        "panel": None if case.panel is None else len(case.panel.found),
        "panel_p_value": None if case.panel is None else case.panel.p_value,
        "panel_followers": None if case.panel is None else list(case.panel.followers),
        "again": None if case.again is None else case.again.decision,
    }


def check_pack(folder: Path, authority: Path | None = None, key: str | None = None) -> Case:
    """Check a pack as the script in it does, with this program's code.

    Parameters
    ----------
    folder
        The pack.
    authority
        Certificates that are trusted; by default those in the pack.
    key
        As in `check_claim`.

    Raises
    ------
    ExitprintError
        With the first thing that does not hold.
    """
    with told(f"{str(folder)!r} is no pack of a claim: get a whole copy.", (OSError, ValueError)):
        said = json_object(folder / VERDICT)
    own = folder / AUTHORITY
    trusted = authority or (own if own.exists() else None)
    opening = load_opening(Place(folder / CLAIM).opening)
    files = [folder / FINGERPRINTS / f"{committed}.safetensors" for committed in opening.fingerprints]
    with told(f"the pack {str(folder)!r} has no list of images: get a whole copy.", (OSError, UnicodeDecodeError)):
        digests = (folder / IMAGES).read_text().split()
    case = examine(folder / CLAIM, files, digests, authority=trusted, key=key, suspect=str(said.get("suspect")))
    found = verdict_of(case)
    if any(said.get(each) != found[each] for each in SAID):
        raise ExitprintError(f"the pack says {said.get('decision')!r}, and its answers say {case.decision!r}.")
    return case
