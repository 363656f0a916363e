"""`exitprint tamper`: what a thief does to a copy, for rehearsals."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from exitprint.cli.images import ImageOptions, takes_images
from exitprint.cli.options import Out, Seed, name_and_value, out
from exitprint.cli.outputs import Force, check_output
from exitprint.errors import ExitprintError, Interrupted

if TYPE_CHECKING:
    from exitprint.networks import MultiExitNetwork


@takes_images
def tamper(
    network_file: Annotated[Path, typer.Argument(metavar="NETWORK")],
    kind: Annotated[
        str,
        typer.Argument(
            help="retrain-exits, remove-exits, add-exits, change-criterion, finetune, prune, quantise or adversarial."
        ),
    ],
    out_file: Out,
    source: ImageOptions,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the kind, such as rate=0.2; repeatable."),
    ] = None,
    save_every: Annotated[
        int | None,
        typer.Option(help="For finetune and adversarial: also write the copy after every so many epochs."),
    ] = None,
    keep_policy: Annotated[
        bool, typer.Option("--keep-policy", help="Keep the thresholds instead of calibrating them again.")
    ] = False,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Make a stolen copy: change the exits or the backbone of a network and write it to another file."""
    from exitprint.networks import load_network, save_network
    from exitprint.tampering import tamper as tampered
    from exitprint.tampering import tamper_in_steps
    from exitprint.training import policy_accuracy

    check_output(out_file, "network", network_file, source.data, force=force)
    if save_every is not None:
        for path in out_file.parent.glob("*"):
            if re.fullmatch(rf"{re.escape(out_file.stem)}-\d+{re.escape(out_file.suffix)}", path.name):
                check_output(path, "network", network_file, source.data, force=force)
    network = load_network(network_file)
    images = source.load()
    network.check_images(images.test.pixels[:1])
    images.check_classes(network.classes)
    parameters = _parameters(kind, parameter or [])
    if keep_policy:
        parameters["rad"] = None
    before = policy_accuracy(network, images.test)

    def write(copy: MultiExitNetwork, path: Path) -> None:
        save_network(copy, path)
        after = policy_accuracy(copy, images.test)
        out.print(f"{path}: {copy.num_exits} exits, test accuracy {after:.3f} (before: {before:.3f}) with early exits.")

    if save_every is None:
        write(tampered(network, images, kind, parameters, seed), out_file)
        return
    last = out_file
    try:
        for epochs, copy in tamper_in_steps(network, images, kind, parameters, save_every, seed):
            last = out_file.with_name(f"{out_file.stem}-{epochs}{out_file.suffix}")
            write(copy, last)
    except Interrupted as stop:
        if last == out_file:
            raise
        raise Interrupted(
            f"stopped; what was written is whole. The same command starts the series again; tampering with {last} by "
            "the same seed, for the epochs that are missing, goes on with it."
        ) from stop


def _parameters(kind: str, given: list[str]) -> dict[str, Any]:
    from exitprint.tampering import parameter_model

    fields = parameter_model(kind).model_fields
    parameters: dict[str, Any] = {}
    for text in given:
        name, value = name_and_value("--set", text)
        name = name.replace("-", "_")
        if value.startswith("{"):
            try:
                parameters[name] = json.loads(value)
            except ValueError as error:
                raise ExitprintError(f"this is no JSON ({error}): {value}") from error
            continue
        kinds = {get_origin(each) for each in get_args(fields[name].annotation)} if name in fields else set()
        parameters[name] = value.split(",") if Sequence in kinds else value
    return parameters
