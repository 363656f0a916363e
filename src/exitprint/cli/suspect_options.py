"""What a user says of a suspect beyond its name: the same options for `verify`, `probe` and `steal`."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from exitprint.cli.grouped import grouped
from exitprint.cli.options import name_and_value, numbers
from exitprint.errors import ExitprintError, told

if TYPE_CHECKING:
    from exitprint.suspects.suspect import Closing

ClockName = Literal["measured", "cost-model"]
PANEL = "What the suspect's model wants"

SuspectName = Annotated[
    str,
    typer.Argument(
        metavar="SUSPECT",
        help="A network's .safetensors, an .onnx model, http(s)://host/v2/models/NAME, grpc(s)://host:port/NAME, the "
        ".toml of an upload (describe-service), or your own file.py:function or package.module:function.",
    ),
]


def _of_model(help: str) -> Any:
    return typer.Option(help=help, rich_help_panel=PANEL)


@dataclass(frozen=True)
class AskingOptions:
    """How a suspect is asked, and what its model wants; see `exitprint.suspects.SuspectOptions`."""

    clock: Annotated[ClockName, typer.Option(help="Wall clock, or FLOPs.")] = "measured"
    server_clock: Annotated[
        str | None,
        typer.Option(
            help="Take the server's own time instead: server-timing[:METRIC], statistics (Triton), or HEADER:ms."
        ),
    ] = None
    rate: Annotated[float | None, typer.Option(help="Most requests per second, of a service.")] = None
    amplification: Annotated[
        int, typer.Option(help="Ask the same image so many times in one request, of a service.")
    ] = 1
    input_name: Annotated[str | None, _of_model("Name of the input that takes the image.")] = None
    input_type: Annotated[str | None, _of_model("Its type: FP32, FP16, UINT8, BYTES for image files, …")] = None
    input_shape: Annotated[str | None, _of_model("Its shape, -1 for any number, as in -1,3,32,32.")] = None
    layout: Annotated[Literal["NCHW", "NHWC"] | None, _of_model("Channels first, or last.")] = None
    scale: Annotated[float | None, _of_model("Multiply pixels in [0, 1] by this. Whole numbers: 255.")] = None
    mean: Annotated[str | None, _of_model("Take this off then; one number, or one a channel, as in 0.5,0.4,0.3.")] = (
        None
    )
    std: Annotated[str | None, _of_model("Divide by this then; one number, or one a channel.")] = None
    input: Annotated[list[str] | None, _of_model("NAME=VALUE of a further input; repeatable. JSON, or text.")] = None
    picture: Annotated[Literal["png", "jpeg"], _of_model("What BYTES are filled with.")] = "png"
    quality: Annotated[int, _of_model("Of a JPEG, 1 to 100.")] = 95

    def said(self) -> dict[str, Any]:
        """What was said that differs from the defaults, as `open_suspect` takes it."""
        from exitprint.suspects.options import options_of

        options = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("clock", "input")}
        options |= {
            "input_type": self.input_type and self.input_type.upper(),
            "input_shape": None if self.input_shape is None else _whole("--input-shape", self.input_shape),
            "mean": numbers("--mean", self.mean),
            "std": numbers("--std", self.std),
            "inputs": dict(map(_named, self.input or ())),
        }
        return options_of(options).said

    def open(self, suspect: str, budget: int | None = None) -> Closing:
        """The suspect, by what was given on the command line; to be used as a context manager.

        Raises `ExitprintError` if it cannot be opened, or an option says nothing of it.
        """
        from exitprint.networks import load_network
        from exitprint.suspects import CostModel, open_suspect

        options = self.said()
        if self.clock == "cost-model":
            if not suspect.lower().endswith(".safetensors"):
                raise ExitprintError("the cost-model clock needs a network's .safetensors: leave out --clock.")
            if options:
                raise ExitprintError(f"{', '.join(options)}: says nothing of a cost model; leave it out.")
            return CostModel(load_network(suspect))
        if "rate" in options and not is_service(suspect):
            raise ExitprintError("only a suspect at an address is asked at a rate: leave out --rate.")
        return open_suspect(suspect, budget=budget, **options)

    def subject(self, suspect: str) -> str:
        """What the suspect is called in a journal: another file, or way of asking, has another name; no secrets."""
        from exitprint.suspects.address import is_address, shown
        from exitprint.suspects.resolve import check_suspect

        check_suspect(suspect)
        said = {name: value for name, value in self.said().items() if name not in ("rate", "amplification")}
        ways = "".join(f", {name} {value}" for name, value in said.items())
        if is_address(suspect):
            return f"{shown(suspect)}, amplification {self.amplification}{ways}"
        if is_service(suspect):
            ways = f", amplification {self.amplification}{ways}"
        return f"{suspect}, {self.clock} clock, {_content(suspect)}{ways}"

    def name(self, suspect: str) -> str:
        """What the suspect is called in a claim's register: an address without secrets, or a file with its digest."""
        from exitprint.suspects.address import is_address, shown

        return shown(suspect) if is_address(suspect) else self.subject(suspect)


def is_service(suspect: str) -> bool:
    """Whether each request to the suspect costs something: at an address, or by a function of the user's."""
    from exitprint.suspects.address import is_address
    from exitprint.suspects.own import is_own

    return is_address(suspect) or suspect.lower().endswith(".toml") or is_own(suspect)


takes_suspect = grouped("asking_of", AskingOptions)
"""Give a command the options of `AskingOptions` in place of its parameter `asking_of`."""


def _content(suspect: str) -> str:
    from exitprint.files import file_digest
    from exitprint.suspects.own import is_own

    path = Path(suspect.partition(":")[0] if is_own(suspect) else suspect)
    if is_own(suspect) and path.suffix != ".py":
        return "a module of the user's"
    return f"sha256 {file_digest(path)}"


def _whole(option: str, text: str) -> tuple[int, ...]:
    with told(f"{option} {text!r} is no shape, as in -1,3,32,32: correct it.", ValueError):
        return tuple(int(each) for each in text.strip("[]() ").split(","))


def _named(text: str) -> tuple[str, Any]:
    name, value = name_and_value("--input", text)
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value
