"""`exitprint tamper`: what a thief does to a copy, for rehearsals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from exitprint.cli.options import DataDir, DataName, Limit, Out, Seed, check_writable, out
from exitprint.errors import ExitprintError


def tamper(
    network_file: Annotated[Path, typer.Argument(metavar="NETWORK")],
    kind: Annotated[
        str,
        typer.Argument(
            help="retrain-exits, remove-exits, add-exits, change-criterion, finetune, prune, quantise or adversarial."
        ),
    ],
    out_file: Out,
    data: DataName,
    data_dir: DataDir = None,
    limit: Limit = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the kind, such as rate=0.2; repeatable."),
    ] = None,
    keep_policy: Annotated[
        bool, typer.Option("--keep-policy", help="Keep the thresholds instead of calibrating them again.")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Make a stolen copy: change the exits or the backbone of a network and write it to another file."""
    from exitprint.data import load_data
    from exitprint.networks import load_network, save_network
    from exitprint.tampering import tamper as tampered
    from exitprint.training import policy_accuracy

    check_writable(out_file)
    network = load_network(network_file)
    images = load_data(data, data_dir, limit)
    network.check_images(images.test.pixels[:1])
    parameters = _parameters(parameter or [])
    if keep_policy:
        parameters["rad"] = None
    copy = tampered(network, images, kind, parameters, seed)
    save_network(copy, out_file)
    before, after = policy_accuracy(network, images.test), policy_accuracy(copy, images.test)
    out.print(f"{out_file}: {copy.exits} exits, test accuracy {after:.3f} (before: {before:.3f}) with early exits.")


def _parameters(given: list[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ExitprintError(f"a parameter is given as NAME=VALUE, such as rate=0.2, and not as {text!r}.")
        parameters[name.strip().replace("-", "_")] = value.split(",") if "," in value else value
    return parameters
