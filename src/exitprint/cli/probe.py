"""`exitprint probe`: what a suspect's time tells of its exits, and to an owner how much of his own strategy leaks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from exitprint.cli import asking
from exitprint.cli.images import ImageOptions, takes_images
from exitprint.cli.options import Json, Seed, out, print_json
from exitprint.cli.outputs import Force, check_output
from exitprint.cli.suspect_options import AskingOptions, SuspectName, takes_suspect

if TYPE_CHECKING:
    from exitprint.timing.inquiry import Inquiry
    from exitprint.timing.leak import Countermeasure, Leak

QUERIES = 500


@takes_images
@takes_suspect
@asking.takes_inquiry
def probe(
    suspect: SuspectName,
    source: ImageOptions,
    asked: asking.InquiryOptions = asking.InquiryOptions(),
    asking_of: AskingOptions = AskingOptions(),
    plot: Annotated[Path | None, typer.Option(help="Draw the runtimes and the boundaries as a PNG.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Find a suspect's exits in its runtimes; of your own network's file, say how much of its strategy leaks.

    For a network's file the exits found are compared with the true ones, and constant-time answering, coarser times and
    random delays are weighed: what each would hide, and what it would cost.
    """
    from exitprint.data import unit_range
    from exitprint.files import write_bytes

    if plot is not None:
        check_output(plot, "picture", suspect, source.data, asked.journal, force=force)
    x = unit_range(asking.unlabelled(source.load(labelled=False), asked.queries, QUERIES, seed))
    inquiry = asked.inquire(suspect, asking_of, x, seed)
    if plot is not None:
        from exitprint.reports.histogram import exit_histogram
        from exitprint.suspects.address import shown
        from exitprint.timing.exits import condense

        title = f"{shown(suspect)}: {inquiry.estimate.count} exits found by {asked.method}, {inquiry.clock} time"
        write_bytes(plot, exit_histogram(condense(inquiry.steady), inquiry.estimate, title))
    own = _self_check(suspect, inquiry, asked.method, seed) if suspect.lower().endswith(".safetensors") else None
    if as_json:
        print_json(_as_json(inquiry, own))
        return
    out.print(asking.summary(inquiry))
    _say_exits(inquiry)
    if own is not None:
        _say_leak(*own, inquiry.clock)


def _self_check(
    network_file: str, inquiry: Inquiry, method: asking.MethodName, seed: int
) -> tuple[Leak, list[Countermeasure]]:
    from exitprint.networks import load_network
    from exitprint.timing.leak import countermeasures, leak

    truth = load_network(network_file).predict(inquiry.queries).exits.numpy()
    return leak(inquiry.estimate, truth), countermeasures(
        inquiry.steady, truth, method, seed, exact=inquiry.clock == "cost-model"
    )


def _as_json(inquiry: Inquiry, own: tuple[Leak, list[Countermeasure]] | None) -> dict[str, Any]:
    import numpy as np

    estimate = inquiry.estimate
    said: dict[str, Any] = {
        "exits": estimate.count,
        "certainty": estimate.certainty,
        "count_probabilities": {str(k): p for k, p in estimate.count_probabilities.items()},
        "boundaries": estimate.boundaries.tolist(),
        "centres": estimate.centres.tolist(),
        "relative_depths": estimate.relative_depths.tolist(),
        "inputs": np.bincount(estimate.exits, minlength=estimate.count).tolist(),
        "end": inquiry.end,
        "clock": inquiry.clock,
        "images": inquiry.seconds.shape[0],
        "repeats": inquiry.seconds.shape[1],
        "requests": inquiry.requests,
        "bytes": inquiry.bytes,
        "seconds": inquiry.elapsed,
    }
    if own is not None:
        said["leak"] = {**asdict(own[0]), "share": own[0].share}
        said["countermeasures"] = [asdict(row) for row in own[1]]
    return said


def _say_exits(inquiry: Inquiry) -> None:
    import numpy as np

    from exitprint.reports.text import duration

    estimate = inquiry.estimate
    table = Table("exit", "runtime", "until", "relative depth", "images")
    inputs = np.bincount(estimate.exits, minlength=estimate.count)
    ends = [duration(boundary) for boundary in estimate.boundaries] + [""]
    for exit, end in enumerate(ends):
        depth = f"{estimate.relative_depths[exit]:.3f}"
        table.add_row(str(exit + 1), duration(estimate.centres[exit]), end, depth, str(inputs[exit]))
    out.print(table)
    out.print(f"{inquiry.requests} requests in {inquiry.elapsed:.1f} s, {inquiry.clock} time.")


def _say_leak(found: Leak, measures: list[Countermeasure], clock: str) -> None:
    from exitprint.reports.text import duration

    out.print(
        f"Your strategy: its exits carry {found.entropy:.2f} bits an input, and these runtimes give "
        f"{found.bits:.2f} of them away ({found.share:.0%}; adjusted Rand index {found.ARI:.3f})."
    )
    table = Table("answering", "asked", "mean time", "added", "bits given away", "share", "ARI")
    for row in measures:
        leak = row.leak
        table.add_row(
            row.name,
            str(row.asked),
            duration(row.latency),
            f"{row.added:+.0%}",
            f"{leak.bits:.2f}",
            f"{leak.share:.0%}",
            f"{leak.ARI:.3f}",
        )
    out.print(table)
    out.print(f"All but the first row are computed from these {clock} runtimes, not measured.")
