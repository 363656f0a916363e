"""From the argument of a command to a suspect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from exitprint.errors import ExitprintError
from exitprint.networks import load_network
from exitprint.suspects.address import is_address, shown
from exitprint.suspects.http import KServeSuspect
from exitprint.suspects.in_process import InProcess
from exitprint.suspects.onnx import OnnxSuspect
from exitprint.suspects.options import InputOptions, options_of
from exitprint.suspects.own import is_own, own_suspect
from exitprint.suspects.suspect import Closing

FILES = (".safetensors", ".onnx", ".toml")
ONNX_OPTIONS = frozenset({*InputOptions.__dataclass_fields__, "timeout"}) - {"picture", "quality"}


def check_suspect(text: str) -> None:
    """Refuse what names no suspect, before anything is opened or read.

    Raises `ExitprintError` if it is neither an address, nor a file of a known kind, nor a function of the user's.
    """
    if not (is_address(text) or is_own(text) or Path(text).suffix.lower() in FILES):
        raise ExitprintError(
            f"{shown(text)!r} is no suspect: give a network's .safetensors, an .onnx file, "
            "http(s)://host/v2/models/NAME, grpc://host:port/NAME, the .toml of an upload, or file.py:function."
        )


def open_suspect(argument: str | os.PathLike[str], **options: Any) -> Closing:
    """A suspect by what was given on the command line.

    Parameters
    ----------
    argument
        A network's file (``.safetensors``), an ONNX model (``.onnx``), ``http(s)://host/v2/models/NAME``,
        ``grpc(s)://host:port/NAME``, the description of an upload (``.toml``), or a function of your own
        (``file.py:function``, ``package.module:function``).
    **options
        What can be said of it beyond that: see `SuspectOptions`. A suspect in this process has no path whose jitter
        had to be outweighed, and whoever asks it keeps its own count.

    Raises
    ------
    ExitprintError
        If the argument is none of them, an option does not apply to it, or the suspect cannot be opened.
    """
    text = os.fspath(argument)
    said = options_of(options).said
    check_suspect(text)
    if is_address(text):
        if text.lower().startswith("grpc"):
            from exitprint.suspects.grpc import GrpcSuspect

            return GrpcSuspect(text, **said)
        return KServeSuspect(text, **said)
    suffix = Path(text).suffix.lower()
    if suffix == ".toml":
        from exitprint.suspects.upload import UploadSuspect

        return UploadSuspect(text, **said)
    if is_own(text):
        return own_suspect(text, **said)
    if "amplification" in said:
        raise ExitprintError("only a suspect behind an address can be amplified: leave amplification at 1.")
    unused = said.keys() - (ONNX_OPTIONS if suffix == ".onnx" else frozenset()) - {"budget"}
    if unused:
        raise ExitprintError(f"{', '.join(sorted(unused))}: says nothing of a suspect in this process; leave it out.")
    said.pop("budget", None)
    return OnnxSuspect(text, **said) if suffix == ".onnx" else InProcess(load_network(text))
