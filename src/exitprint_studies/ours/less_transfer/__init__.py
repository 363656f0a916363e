"""`study less-transfer`: ideas that are to keep networks of other origin from following the samples.

For each idea and margin the least share of pairs on useful copies (power) and the largest on independents that crafting
did not see (transfer), by the cost model, one seed each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from exitprint.files import write_bytes
from exitprint.fingerprints.choice import share_of_distance
from exitprint.fingerprints.shares import shares
from exitprint.fingerprints.thefts import OWN, SDN
from exitprint.progress import progress
from exitprint.threads import single_thread
from exitprint_studies.ours.less_transfer.grounds import Ground, branchynet, resnet
from exitprint_studies.ours.less_transfer.ideas import Idea, craft
from exitprint_studies.ours.less_transfer.plot import drawn
from exitprint_studies.ours.strength.bench import POOL
from exitprint_studies.ours.strength.tables import USEFUL
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

VERSION = 1
"""Raised whenever the same declaration would be crafted or measured otherwise than before."""
GROUNDS: tuple[Callable[[Run], Ground], ...] = (branchynet, resnet)
KINDS = {"kept": "copies with exits kept", "sdn": "new exits of SDN", "own": "new exits of its own kind"}


def rows_of(ground: Ground, idea: Idea, margin: float, run: Run) -> list[Row]:
    """One row for each suspect, from the store or measured now."""
    key = {"less transfer": VERSION, **ground.about, "idea": asdict(idea) | {"name": ""}, "margin": margin}
    key |= {"samples": ground.samples}
    path = run.store.get(key, partial(_measure, ground, idea, margin), ".shares")
    rows: list[Row] = json.loads(path.read_bytes())
    return [{"target": ground.name, "idea": idea.name, "margin": margin, **row} for row in rows]


def _measure(ground: Ground, idea: Idea, margin: float, to: Path) -> None:
    pool = ground.images.test[:POOL]
    with single_thread():
        sets = ground.sets_of_exits(idea.new_exits)
        made = craft(idea, margin, ground.network, pool, ground.rules, ground.known(), sets, ground.samples)
        changed = (made.crafted.samples, made.originals, made.late)
        about = {
            "change": share_of_distance(made.crafted.samples, made.originals, pool),
            "reached": float(made.crafted.reached.float().mean()),
        }
        rows = [
            {
                **about,
                "suspect": name,
                "copy": copy,
                "keeps": ground.keeps(name, network) if copy else None,
                "shares": shares(network, ground.rules, "contrast", *changed),
            }
            for copy, suspects in ((True, ground.copies), (False, ground.strangers))
            for name, network in suspects()
        ]
    write_bytes(to, json.dumps(rows).encode())


def kind_of(suspect: str) -> str:
    """Which exits a copy of this name has."""
    return "sdn" if suspect.endswith((SDN, "new ICs", "ICs retrained")) else "own" if suspect.endswith(OWN) else "kept"


def curve(rows: Sequence[Row]) -> list[Row]:
    """For each idea and margin: the least share on useful copies and the largest on what is unseen, over policies."""
    return list(_curve(rows))


def _curve(rows: Sequence[Row]) -> Iterator[Row]:
    for target, idea, margin in dict.fromkeys((row["target"], row["idea"], row["margin"]) for row in rows):
        cell = [row for row in rows if (row["target"], row["idea"], row["margin"]) == (target, idea, margin)]
        useful = [row for row in cell if row["copy"] and row["keeps"] >= USEFUL]
        unseen = [max(row["shares"]) for row in cell if not row["copy"]]
        least = {kind: [min(row["shares"]) for row in useful if kind_of(row["suspect"]) == kind] for kind in KINDS}
        power, transfer = min(min(row["shares"]) for row in useful), max(unseen)
        yield {
            "target": target,
            "idea": idea,
            "margin": margin,
            "change": cell[0]["change"],
            "reached": cell[0]["reached"],
            **{f"{name}, least": min(least[kind], default=None) for kind, name in KINDS.items()},
            "power": power,
            "unseen, mean": sum(unseen) / len(unseen),
            "transfer": transfer,
            "gap": power - transfer,
        }


def _make(run: Run) -> list[Path]:
    rows: list[Row] = []
    grounds = [make(run) for make in GROUNDS]
    wanted = [(ground, idea, margin) for ground in grounds for idea in ground.ideas for margin in ground.margins]
    with progress("ideas", len(wanted)) as advance:
        for ground, idea, margin in wanted:
            rows += rows_of(ground, idea, margin, run)
            advance(1)
    page, data, picture = (run.out / f"less-transfer.{end}" for end in ("md", "parquet", "png"))
    write_parquet([{**row, "shares": " ".join(f"{share:.4f}" for share in row["shares"])} for row in rows], data)
    write_bytes(picture, drawn(curve(rows)))
    write_bytes(page, page_of(rows, picture.name).encode())
    return [page, data, picture]


def page_of(rows: Sequence[Row], picture: str) -> str:
    """A table for each target, and the picture."""
    table = curve(rows)
    parts = ["# Less transfer at equal power\n", f"![Power against transfer]({picture})\n"]
    for target in dict.fromkeys(row["target"] for row in table):
        mine = [row for row in table if row["target"] == target]
        columns = {name: name for name in mine[0] if name != "target"}
        parts.append(f"## {target} (cost model)\n\n{markdown(mine, columns, digits=2)}")
    return "\n".join(parts)


STUDY = Study(
    "less-transfer",
    "Ideas that are to keep networks of other origin from following a fingerprint's samples.",
    lambda preset: [],
    _make,
)
