"""Putting a network where it can be asked: `export`, `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exitprint.cli.options import Out, out
from exitprint.cli.outputs import Force, check_output
from exitprint.errors import ExitprintError


def export(
    network_file: Annotated[Path, typer.Argument(metavar="NETWORK")],
    out_file: Out,
    exits: Annotated[
        int | None, typer.Option(help="Keep so many exits, the final one included, evenly by cost.")
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="Write each stage as a model of its own, into a folder of this name.")
    ] = False,
    force: Force = False,
) -> None:
    """Write an ONNX model that really leaves early."""
    from exitprint.networks import load_network
    from exitprint.networks.onnx_export import MANY, export_onnx, export_stages, with_fewer_exits

    if not stages:
        check_output(out_file, "ONNX model", network_file, force=force)
    elif out_file.exists() and not (out_file.is_dir() and not any(out_file.iterdir())):
        raise ExitprintError(f"{str(out_file)!r} is there already: --stages makes a folder, or takes an empty one.")
    network = load_network(network_file)
    if exits is not None:
        network = with_fewer_exits(network, exits)
    if stages:
        written = export_stages(network, out_file)
        out.print(f"{out_file}: {len(written)} ONNX models, {written[0].name} to {written[-1].name}.")
        return
    export_onnx(network, out_file)
    out.print(f"{out_file}: an ONNX model that leaves early.")
    if network.num_exits > MANY:
        out.print(
            f"It has {network.num_exits} exits: ONNX Runtime takes any number, but OpenVINO compiles it in time that "
            f"grows exponentially with them; --exits {MANY} keeps fewer, --stages writes a model for each stage."
        )


def serve(
    network_file: Annotated[Path, typer.Argument(metavar="NETWORK")],
    name: Annotated[str, typer.Option(help="Name of the model in the address.")] = "network",
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8080,
    show_exit: Annotated[bool, typer.Option("--show-exit", help="Answer the exit taken as well.")] = False,
    through: Annotated[
        str | None,
        typer.Option(help="Do this to every image first, as services do: jpeg:75, resize:0.5, or jpeg:90,resize:224."),
    ] = None,
) -> None:
    """Serve a network with early exit over KServe v2, to rehearse a verification; Ctrl-C ends it."""
    from exitprint.networks import load_network
    from exitprint.serving import serve as serve_network
    from exitprint.suspects.through import Through

    way = None if through is None else Through(through)
    serve_network(load_network(network_file), name, host, port, show_exit=show_exit, through=way)
