"""What an owner does with his network: `train`, `fingerprint`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exitprint.cli.images import ImageOptions, takes_images
from exitprint.cli.options import ByCriterion, Out, Rad, Seed, Threshold, out, say_left, say_policy, set_threshold
from exitprint.cli.outputs import Force, check_output
from exitprint.cli.promises import say_strength
from exitprint.errors import ExitprintError

if TYPE_CHECKING:
    from exitprint.data import ImageData
    from exitprint.fingerprints import Fingerprint
    from exitprint.networks import MultiExitNetwork


@takes_images
def train(
    out_file: Out,
    arch: Annotated[
        str, typer.Option(help="resnet56, vgg16, mobilenet, msdnet, branchynet, …, or a family with --depth.")
    ] = "resnet20",
    source: ImageOptions = ImageOptions("digits"),
    preset: Annotated[Literal["fast", "paper"], typer.Option(help="Training recipe.")] = "fast",
    depth: Annotated[int | None, typer.Option(help="Layers (ResNet, VGG) or blocks (MobileNet, MSDNet).")] = None,
    width: Annotated[int | None, typer.Option(help="Channels of the first stage.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the backbone.")] = None,
    rad: Rad = 5,
    criterion: ByCriterion = None,
    threshold: Threshold = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Train a multi-exit network: backbone, internal classifiers, exit policy."""
    from exitprint.networks import architecture, save_network
    from exitprint.training import evaluate, recipe, train_network

    check_output(out_file, "network", source.data, force=force)
    images = source.load()
    arch_checked = architecture(arch, images.input_shape, images.classes, depth, width)
    how = recipe(preset, arch_checked.family, images.name, epochs, len(images.train))
    partial = out_file.with_name(f".{out_file.name}.partial")
    if partial.exists():
        print("an unfinished training was found: it goes on if it is this one, else it starts clean.", file=sys.stderr)
    network = train_network(arch_checked, images, how, seed, rad, partial, criterion)
    set_threshold(network, threshold, criterion)
    save_network(network, out_file)
    tested = evaluate(network, images.test)
    out.print(
        f"{out_file}: {network.num_exits} exits, {say_policy(network)}, "
        f"test accuracy {tested.accuracy:.3f} with early exits."
    )
    say_left(tested.left)


@takes_images
def fingerprint(
    network_file: Annotated[Path, typer.Argument(metavar="NETWORK")],
    out_file: Out,
    source: ImageOptions,
    kind: Annotated[
        Literal["contrast", "paper"],
        typer.Option(help="contrast: one half late, one half early; paper: all pass every exit, T_N against T_f."),
    ] = "contrast",
    samples: Annotated[
        int | None,
        typer.Option(help="Number of samples. Default: contrast 200 or a fifth of the images, paper 100."),
    ] = None,
    rad: Annotated[
        list[float] | None,
        typer.Option(
            help="Policies the samples must hold at; repeatable. Default: contrast 0 and 15, paper your own; "
            "where nearly all images leave at one exit, those under which 30 and 70 % leave early."
        ),
    ] = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option(help="A policy by its T_c, beside --rad or in its place; repeatable."),
    ] = None,
    leave: Annotated[
        list[float] | None,
        typer.Option(
            help="A policy by the share of images that leave in the first half of the network's cost; repeatable."
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="A network known to be independent, to keep the fingerprint from it; repeatable."),
    ] = None,
    train_references: Annotated[
        int,
        typer.Option(
            help="Train so many references by the recipe of a network of `train`, from other seeds; kept beside --out, "
            "and a stopped run goes on."
        ),
    ] = 0,
    all_steps: Annotated[
        bool, typer.Option("--all-steps", help="For paper: take all 1,000 steps for every sample, as the paper does.")
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option(
            help="For contrast: more holds on changed copies and shows more on others. Default: 1, or 1.5 "
            "with references, or less where that changes too much."
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the simulated thefts, which take a few minutes.")
    ] = False,
    through: Annotated[
        list[str] | None,
        typer.Option(
            help="For contrast: hold behind what a service may do to an image, too, such as jpeg:75, resize:0.5 or "
            "jpeg:90,resize:224; repeatable. Needs references."
        ),
    ] = None,
    new_exits: Annotated[
        int,
        typer.Option(
            help="For contrast: train so many sets of new exits on the backbone and craft samples that hold on each, "
            "which finds more copies with new exits where exits were trained with the backbone."
        ),
    ] = 0,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Craft a fingerprint: inputs that tell your network and its copies by their time."""
    from exitprint.fingerprints import (
        ContrastMethod,
        PaperMethod,
        contrast_fingerprint,
        paper_fingerprint,
        save_fingerprint,
        strength,
    )
    from exitprint.fingerprints.exits_anew import sets_of_exits
    from exitprint.fingerprints.paper import SAMPLES as PAPER_SAMPLES
    from exitprint.fingerprints.policies import asked_policies, policy_of_its_own, tells_images_apart
    from exitprint.fingerprints.threshold import foreseen
    from exitprint.fingerprints.threshold import threshold as threshold_of
    from exitprint.networks import load_network
    from exitprint.processes import processors
    from exitprint.suspects.through import ways

    check_output(out_file, "fingerprint", network_file, *(reference or []), source.data, force=force)
    if kind == "contrast" and all_steps:
        raise ExitprintError("--all-steps is for --kind paper: a contrast stops each sample at its goal.")
    if kind == "paper" and (margin is not None or through or new_exits):
        raise ExitprintError("--margin, --through and --new-exits are for --kind contrast: leave them out.")
    doors = ways(through or ())
    network = load_network(network_file)
    references = {path.stem: load_network(path) for path in reference or []}
    if len(references) < len(reference or []):
        raise ExitprintError("two references have one name: rename a file, since the fingerprint says it.")
    images = source.load(labelled=False)
    network.check_images(images.test.pixels[:1])
    images.check_classes(network.classes)
    references |= _trained_references(network, network_file.stem, images, train_references, out_file)
    held_out = images.calibration
    room = tells_images_apart(network, images.test)
    given = asked_policies(network, held_out, rad or (), threshold or (), leave or ())
    rules = [*([policy_of_its_own] if room else []), *given] if given else None
    if kind == "contrast":
        method = None if margin is None else ContrastMethod(margin_log_odds=margin)
        made = contrast_fingerprint(
            network,
            images.test,
            rules,
            samples,
            seed,
            method,
            references,
            held_out=held_out,
            through=doors,
            copies=sets_of_exits(network, images, new_exits, seed),
        )
    else:
        made = paper_fingerprint(
            network,
            images.test,
            rules,
            PAPER_SAMPLES if samples is None else samples,
            seed,
            PaperMethod(stop_early=not all_steps),
            references,
            held_out=held_out,
        )
    if not room:
        made.record["warnings"].append(
            f"Where {say_policy(network)} every image leaves at one exit, so a copy that keeps this policy cannot be "
            "told by its time: the samples are made for other policies."
        )
    made.record["warnings"] += foreseen(made)
    made.record["data"] = {"name": images.name, "part": "test", "images": len(images.test)}
    if not quick and images.train.labelled:
        made = replace(made, strength=strength(made, network, images, rules, seed, jobs=processors()))
    save_fingerprint(made, out_file)
    out.print(
        f"{out_file}: {int(made.reached.sum())} of {len(made)} samples do what they are for with a margin, after "
        f"{made.steps.double().mean():.0f} steps on average, L2 {made.l2.mean():.2f}."
    )
    if made.strength:
        say_strength(made.strength, made.references)
    else:
        for each in [] if made.through else made.references:
            out.print(f"On {each.name}, which is independent, the share of pairs is {_said(each.share)} (cost model).")
        if not quick:
            out.print("Strength was not measured: simulated thefts need labels, and these images have none.")
    if made.through:
        _say_door(made, threshold_of(made).p0)
    for warning in made.record.get("warnings", []):
        out.print(f"Warning: {warning}")


def _said(share: Sequence[float]) -> str:
    return ", ".join(f"{each:.2f}" for each in share)


def _say_door(made: Fingerprint, p0: float) -> None:
    """What it costs that the samples hold behind a front door."""
    without = made.record["without through"]
    out.print(
        f"Holding behind {' and '.join(way.text for way in made.through)} too costs an L2 of {made.l2.mean():.2f} "
        f"instead of {without['L2']:.2f}; a claim needs more than {p0:.0%} of the pairs."
    )
    for each in made.references:
        policies = len(each.share) // (1 + len(made.through))
        behind = ", and ".join(
            f"behind {way} {_said(each.share[n * policies : (n + 1) * policies])}"
            for n, way in enumerate(made.through, 1)
        )
        out.print(
            f"On {each.name} the share of pairs is {_said(each.share[:policies])} as sent, and {behind}; without "
            f"--through it would be {_said(without['references'][each.name])}."
        )


def _trained_references(
    network: MultiExitNetwork, name: str, images: ImageData, count: int, out_file: Path
) -> dict[str, MultiExitNetwork]:
    """References trained by the network's own recipe, or found beside the output; the time it takes is said first."""
    from exitprint.reports.text import duration
    from exitprint.training import seconds_of_training, train_again

    if count < 0:
        raise ExitprintError(f"the number of references to train is not below zero, and {count} is.")
    if not count:
        return {}
    images.check_labelled()
    seconds = seconds_of_training(network, images)
    first = network.history[0]["seed"] + 1
    files = {seed: out_file.with_name(f"{name}-reference-{seed}.safetensors") for seed in range(first, first + count)}
    missing = [path.name for path in files.values() if not path.exists()]
    if missing:
        out.print(
            f"Training {', '.join(missing)} by the network's own recipe takes about {duration(seconds * len(missing))}."
        )
    return {path.stem: train_again(network, images, seed, path) for seed, path in files.items()}
