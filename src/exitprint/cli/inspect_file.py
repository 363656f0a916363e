"""`exitprint info`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from exitprint.cli.options import Json, out, print_json
from exitprint.cli.promises import say_strength
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from exitprint.fingerprints import Fingerprint


def info(file: Annotated[Path, typer.Argument(metavar="FILE")], as_json: Json = False) -> None:
    """Say what is in a network's or a fingerprint's file."""
    from exitprint.files import read_header

    kind = read_header(file)["kind"]
    made = None
    if kind == "network":
        facts = _network_facts(file)
    elif kind == "fingerprint":
        from exitprint.fingerprints import load_fingerprint

        made = load_fingerprint(file)
        facts = _fingerprint_facts(made)
    else:
        raise ExitprintError(f"{str(file)!r} is a {kind} file: info shows networks and fingerprints.")
    if as_json:
        print_json(facts)
        return
    facts.pop("strength", None)
    table = Table(show_header=False)
    for name, value in facts.items():
        table.add_row(name, json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value))
    out.print(table)
    if made and made.strength:
        say_strength(made.strength, made.references)


def _network_facts(file: Path) -> dict[str, Any]:
    from exitprint.networks import exit_costs, load_network

    network = load_network(file)
    arch = network.architecture
    assert arch is not None
    return {
        "architecture": arch.summary(),
        "exits": network.num_exits,
        "classes": network.classes,
        "input": list(network.input_shape),
        "criterion": network.policy.criterion,
        "temperature": network.policy.temperature,
        "thresholds": list(network.policy.for_exits(network.num_exits - 1)),
        "cost": list(exit_costs(network)),
        "history": network.history,
    }


def _fingerprint_facts(made: Fingerprint) -> dict[str, Any]:
    return {
        "kind": made.kind,
        "samples": len(made),
        "reached": int(made.reached.sum()),
        "input": list(made.input_shape),
        "pool": made.pool,
        "references": [asdict(reference) for reference in made.references],
        "l2": float(made.l2.mean()),
        "record": made.record,
        "strength": made.strength.model_dump(mode="json") if made.strength else None,
    }
