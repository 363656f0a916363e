"""Options that several verbs share, and how their results are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from exitprint.display import legible
from exitprint.errors import ExitprintError, told

NEARLY_ALL = 0.95
"""Share of images that leave at the first exit, from which on it is said that time tells little."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exitprint.networks import MultiExitNetwork


class _PlainConsole(Console):
    """A console on which text is text: no markup in square brackets, no names of emoji, nothing that steers it."""

    def render_str(self, text: str, **how: Any) -> Text:
        return super().render_str(legible(text), **how)


out = _PlainConsole(highlight=False, soft_wrap=True, markup=False, emoji=False)

Out = Annotated[Path, typer.Option("--out", help="File to write.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same file.")]
Rad = Annotated[float, typer.Option("--rad", help="Relative accuracy drop, in per cent, to calibrate T_c for.")]
CriterionName = Literal["confidence", "entropy", "margin", "patience"]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="EXITPRINT_DATA_DIR",
        help="For data sets by name: folder with NAME/train*.parquet; default: the hub.",
    ),
]
ByCriterion = Annotated[
    CriterionName | None,
    typer.Option("--criterion", help="By what inputs leave. Default: confidence; a BranchyNet's is entropy."),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", "--confidence", help="Use this T_c, of --criterion or else confidence, and calibrate none."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def name_and_value(option: str, text: str) -> tuple[str, str]:
    """What stands before and behind the first equals sign of NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ExitprintError(f"{option} is NAME=VALUE, such as rate=0.2, and not {text!r}.")
    return name.strip(), value


def numbers(option: str, text: str | None) -> tuple[float, ...]:
    """Numbers with commas between; none of an option that was not given."""
    with told(f"{option} is numbers with commas between, as in 0.5,0.4,0.3, not {text!r}.", ValueError):
        return () if text is None else tuple(float(part) for part in text.split(","))


def print_json(value: Any) -> None:
    """JSON for machines, on stdout, in letters that every terminal has."""
    print(json.dumps(value, indent=2))


def set_threshold(network: MultiExitNetwork, threshold: float | None, criterion: CriterionName | None) -> None:
    """Let inputs leave at the threshold that the user gave, if he gave one, and say so in the network's history."""
    from exitprint.networks import ExitPolicy

    if threshold is None:
        return
    network.policy = ExitPolicy(threshold, criterion or "confidence")
    network.history[-1] = {"step": "threshold given", "threshold": threshold, "criterion": network.policy.criterion}


def say_left(left: Sequence[float]) -> None:
    """Say so where nearly all images leave at the first exit; `left` is the share that leaves at each."""
    if left[0] > NEARLY_ALL:
        out.print(
            f"{left[0]:.0%} of the images leave at the first exit, so there is little time to tell a copy by: a higher "
            "--threshold leaves more."
        )


def say_policy(network: MultiExitNetwork) -> str:
    """When inputs leave, in a few words."""
    criterion, _, temperature = network.policy.rule
    by: list[str] = [criterion] if criterion != "confidence" else []
    by += [f"temperature {temperature:g}"] if temperature != 1 else []
    return f"T_c = {network.policy.thresholds[0]:.3f}" + (f" ({', '.join(by)})" if by else "")
