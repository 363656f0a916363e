"""From the argument of a command to a suspect."""

from __future__ import annotations

from exitprint.errors import ExitprintError
from exitprint.networks import load_network
from exitprint.suspects.http import KServeSuspect
from exitprint.suspects.in_process import InProcess
from exitprint.suspects.onnx import OnnxSuspect
from exitprint.suspects.suspect import Suspect


def open_suspect(
    argument: str, *, amplification: int = 1, rate: float | None = None, budget: int | None = None
) -> Suspect:
    """A suspect by what was given on the command line.

    Parameters
    ----------
    argument
        A network's file (``.safetensors``), an ONNX model (``.onnx``), or ``http(s)://host/v2/models/NAME``.
    amplification, rate, budget
        For a server; see `KServeSuspect`. A suspect in this process has no path whose jitter had to be outweighed, and
        whoever asks it keeps its own count.

    Raises
    ------
    ExitprintError
        If the argument is none of them, or the suspect cannot be opened.
    """
    if argument.startswith(("http://", "https://")):
        return KServeSuspect(argument, amplification=amplification, rate=rate, budget=budget)
    if amplification != 1:
        raise ExitprintError("only a suspect behind an address can be amplified: leave amplification at 1.")
    if argument.endswith(".onnx"):
        return OnnxSuspect(argument)
    if argument.endswith(".safetensors"):
        return InProcess(load_network(argument))
    raise ExitprintError(
        f"{argument!r} is no suspect: give a network's .safetensors, an .onnx file, or http(s)://host/v2/models/NAME."
    )
