"""Putting a network where it can be asked: `export`, `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from exitprint.cli.options import Out, out
from exitprint.cli.outputs import Force, check_output


def export(
    network_file: Annotated[Path, typer.Argument(metavar="NETWORK")],
    out_file: Out,
    format: Annotated[Literal["onnx"], typer.Option(help="What to write.")] = "onnx",
    force: Force = False,
) -> None:
    """Write an ONNX model that really leaves early."""
    from exitprint.networks import load_network
    from exitprint.networks.onnx_export import export_onnx

    check_output(out_file, "ONNX model", network_file, force=force)
    export_onnx(load_network(network_file), out_file)
    out.print(f"{out_file}: an {format.upper()} model that leaves early.")


def serve(
    network_file: Annotated[Path, typer.Argument(metavar="NETWORK")],
    name: Annotated[str, typer.Option(help="Name of the model in the address.")] = "network",
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8080,
    show_exit: Annotated[bool, typer.Option("--show-exit", help="Answer the exit taken as well.")] = False,
) -> None:
    """Serve a network with early exit over KServe v2, to rehearse a verification; Ctrl-C ends it."""
    from exitprint.networks import load_network
    from exitprint.serving import serve as serve_network

    serve_network(load_network(network_file), name, host, port, show_exit=show_exit)
