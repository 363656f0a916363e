"""`exitprint steal`: a substitute for a network that can only be asked, as quick as it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitprint.cli import asking
from exitprint.cli.images import ImageOptions, takes_images
from exitprint.cli.options import Json, Out, Seed, out, print_json
from exitprint.cli.outputs import Force, check_output
from exitprint.cli.suspect_options import AskingOptions, SuspectName, is_service, takes_suspect
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from exitprint.stealing import Stolen
    from exitprint.timing.inquiry import Inquiry

QUERIES = 2000


@takes_images
@takes_suspect
@asking.takes_inquiry
def steal(
    suspect: SuspectName,
    source: ImageOptions,
    out_file: Out,
    asked: asking.InquiryOptions = asking.InquiryOptions(),
    arch: Annotated[
        str, typer.Option(help="The substitute's: a family, as shallow as the exits allow, or one by name.")
    ] = "resnet",
    depth: Annotated[int | None, typer.Option(help="Layers (ResNet, VGG) or blocks (MobileNet).")] = None,
    width: Annotated[int | None, typer.Option(help="Channels of the first stage.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the substitute's training.")] = None,
    function_only: Annotated[
        bool, typer.Option("--function-only", help="Copy what it says and not where it stops: one exit.")
    ] = False,
    asking_of: AskingOptions = AskingOptions(),
    seed: Seed = 0,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Copy a network by asking it: what it answers, and at which exit each input leaves, told by its time.

    At an address every answer is kept, by default beside the file to write until that is written, so that no query is
    paid twice: --resume goes on after a failure.
    """
    from exitprint.data import unit_range
    from exitprint.networks import architecture, save_network
    from exitprint.stealing import default_recipe
    from exitprint.stealing import steal as steal_network

    check_output(out_file, "network", suspect, source.data, asked.journal, force=force)
    if epochs is not None and epochs < 1:
        raise ExitprintError(f"the number of epochs must be positive, and not {epochs}.")
    images = source.load()
    architecture(arch, images.input_shape, images.classes, depth, width)
    x = unit_range(asking.unlabelled(images, asked.queries, QUERIES, seed))
    own_journal = asked.journal is None and (asked.resume or is_service(suspect))
    kept = out_file.with_name(f".{out_file.name}.journal") if own_journal else asked.journal
    asked = replace(asked, repeats=1 if function_only else asked.repeats, journal=kept)
    inquiry = asked.inquire(suspect, asking_of, x, seed)
    try:
        stolen = steal_network(
            inquiry,
            images.classes,
            flips=images.flips,
            arch=arch,
            depth=depth,
            width=width,
            recipe=default_recipe(images.input_shape[-1] < 28, epochs),
            function_only=function_only,
            seed=seed,
        )
    except ExitprintError as error:
        if kept is None:
            raise
        text = (
            f"{str(error).rstrip('.')}; what was answered is kept in {str(kept)!r} (--resume asks nothing of it again)."
        )
        raise ExitprintError(text) from error
    stolen.network.history[0].update(
        {"data": images.name, "victim": {"clock": inquiry.clock, "requests": inquiry.requests}}
    )
    save_network(stolen.network, out_file)
    if own_journal and kept is not None:
        kept.unlink(missing_ok=True)
    if as_json:
        print_json(_as_json(inquiry, stolen))
        return
    if not function_only:
        out.print(asking.summary(inquiry))
    out.print(f"{out_file}: {_sentence(stolen)}")
    out.print(f"{inquiry.requests} requests in {inquiry.elapsed:.1f} s, {inquiry.clock} time.")


def _sentence(stolen: Stolen) -> str:
    number, kept_back = stolen.searched
    on = f"on {number} queries {'kept back from' if kept_back else 'used in'} training"
    labels = f"{stolen.fidelity:.2f} get the victim's label"
    if stolen.search is None:
        return f"a substitute with one exit, its strategy not copied; {on} {labels}."
    return (
        f"a substitute with {stolen.network.num_exits} exits; {on} {stolen.search.agreement:.2f} leave at the victim's "
        f"exit and {labels}."
    )


def _as_json(inquiry: Inquiry, stolen: Stolen) -> dict[str, Any]:
    from exitprint.networks import exit_costs

    network, estimate = stolen.network, inquiry.estimate
    assert network.architecture is not None
    return {
        "exits": network.num_exits,
        "architecture": network.architecture.model_dump(mode="json"),
        "thresholds": list(network.policy.for_exits(network.num_exits - 1)),
        "relative_costs": list(exit_costs(network)),
        "victim_costs": None if stolen.depths is None else stolen.depths.tolist(),
        "estimate": {
            "exits": estimate.count,
            "certainty": estimate.certainty,
            "relative_depths": estimate.relative_depths.tolist(),
            "end": inquiry.end,
        },
        "exit_agreement": None if stolen.search is None else stolen.search.agreement,
        "fidelity": stolen.fidelity,
        "searched": {"queries": stolen.searched[0], "kept_back": stolen.searched[1]},
        "requests": inquiry.requests,
        "bytes": inquiry.bytes,
        "clock": inquiry.clock,
        "seconds": inquiry.elapsed,
    }
