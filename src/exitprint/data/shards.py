"""Parquet files by their names: which belong to which part, and whether all of them are there, once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exitprint.data.parts import TESTING, TRAINING
from exitprint.errors import ExitprintError

NAMES = "|".join(sorted({*TRAINING, *TESTING}, key=len, reverse=True))
SHARD = re.compile(r"(?P<stem>.+?)-(?P<index>\d{5})-of-(?P<total>\d{5})(-[0-9a-f]+)?")
CONVERTED = re.compile(r"\d{4,}")
KNOWN = re.compile(rf"(.*[-_.])?(?P<part>{NAMES})", re.IGNORECASE)
PARTIAL = "partial-"


@dataclass(frozen=True)
class Shard:
    """A file as its name tells it: the part, and where it stands among the part's files."""

    path: Path
    part: str
    group: str
    index: int
    total: int | None


def shards(root: Path) -> dict[str, list[Path]]:
    """The parquet files under a folder in the hub's layout, part by part, each part's in their order.

    Known are ``train.parquet``, ``train-00000-of-00002.parquet`` (with a hash behind, too) and the converted layout of
    the hub, ``train/0000.parquet``; in the folder itself, in ``data/`` or in that of a configuration. Raises
    `ExitprintError` if a file is missing, or two hold the same part.
    """
    found: dict[str, list[Shard]] = defaultdict(list)
    for path in sorted(root.rglob("*.parquet")):
        if not any(step.startswith((".", "__")) for step in path.relative_to(root).parts):
            shard = _shard(path, root)
            found[shard.part].append(shard)
    parts = {part: [shard.path for shard in _whole(part, files)] for part, files in found.items()}
    folders = {path.parent.parent if CONVERTED.fullmatch(path.stem) else path.parent for [path, *_] in parts.values()}
    if len(folders) > 1:
        names = " and ".join(sorted(repr(str(folder)) for folder in folders))
        raise ExitprintError(f"parts of a data set lie in {names}: point at one of these folders.")
    return parts


def _shard(path: Path, root: Path) -> Shard:
    stem = path.stem
    if CONVERTED.fullmatch(stem) and path.parent != root.parent:
        folder = path.parent.name
        if folder.startswith(PARTIAL):
            raise ExitprintError(
                f"{str(path.parent)!r} is the hub's conversion of only the beginning of a data set: get the whole one."
            )
        return Shard(path, _part(folder), "the hub's converted files", int(stem), None)
    match = SHARD.fullmatch(stem)
    if match is None:
        return Shard(path, _part(stem), stem, 0, 1)
    total = int(match["total"])
    return Shard(path, _part(match["stem"]), f"{match['stem']}, {total} files", int(match["index"]), total)


def _part(name: str) -> str:
    match = KNOWN.fullmatch(name)
    return match["part"].lower() if match else name


def _whole(part: str, files: Sequence[Shard]) -> Sequence[Shard]:
    """The files of one part, in their order."""
    first, *others = files
    for other in others:
        alone = (other.path.parent, other.group) == (first.path.parent, first.group)
        if not alone or [each.index for each in files].count(other.index) > 1:
            raise ExitprintError(
                f"{str(first.path)!r} and {str(other.path)!r} both hold the {part} part, so that images would be read "
                "twice: keep one of the two uploads or configurations, or point at its folder or files."
            )
    indices = {each.index for each in files}
    missing = sorted(set(range(first.total or max(indices) + 1)) - indices)
    if missing or (first.total is not None and max(indices) >= first.total):
        number = first.total or max(indices) + 1
        which = f"{missing[0]} is missing" if missing else f"{max(indices)} is one too many"
        raise ExitprintError(
            f"of the {number} files of the {part} part in {str(first.path.parent)!r} number {which}: get a whole copy."
        )
    return sorted(files, key=lambda each: each.index)
