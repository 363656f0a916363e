"""What a network says of itself: its exits, where they sit, what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exitprint.display import html_table
from exitprint.networks.cost import exit_costs

if TYPE_CHECKING:
    from exitprint.networks.network import MultiExitNetwork

HEAD = ("exit", "after", "cost", "T_c")


def title(network: MultiExitNetwork) -> str:
    """One line: architecture, images, classes, and when inputs leave."""
    arch = network.architecture
    kind = arch.title if arch else "of its own making"
    images = "×".join(map(str, network.input_shape))
    temperature = network.policy.temperature
    by = network.policy.criterion if temperature == 1 else f"{network.policy.criterion} at temperature {temperature:g}"
    return f"MultiExitNetwork ({kind}): images {images}, {network.classes} classes, leaves by {by}"


def rows(network: MultiExitNetwork) -> list[tuple[str, str, str, str]]:
    """For each exit its number, the stage it sits after, the share of the cost, and its threshold."""
    limits = [f"{T_c:.3f}" if T_c <= 1 else "closed" for T_c in network.policy.for_exits(network.num_exits - 1)]
    found = []
    for exit, (place, cost, T_c) in enumerate(
        zip(network.exit_stages, exit_costs(network), [*limits, "takes all"], strict=True)
    ):
        name = network.architecture.stage_name(place) if network.architecture else f"stage {place}"
        found.append((str(exit), name, f"{cost:.1%}", T_c))
    return found


def text(network: MultiExitNetwork) -> str:
    """For `repr`."""
    table = [HEAD, *rows(network)]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n  ".join([title(network), *lines])


def html(network: MultiExitNetwork) -> str:
    """For a notebook."""
    return html_table(title(network), rows(network), HEAD)
