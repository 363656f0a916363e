"""What an owner does with his network: `train`, `fingerprint`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from exitprint.cli.options import DataDir, DataName, Limit, Out, Seed, check_writable, out


def train(
    out_file: Out,
    arch: Annotated[str, typer.Option(help="resnet56, vgg16, mobilenet, …, or a family with --depth.")] = "resnet20",
    data: DataName = "digits",
    data_dir: DataDir = None,
    preset: Annotated[Literal["fast", "paper"], typer.Option(help="Training recipe.")] = "fast",
    depth: Annotated[int | None, typer.Option(help="Layers (ResNet, VGG) or blocks (MobileNet).")] = None,
    width: Annotated[int | None, typer.Option(help="Channels of the first stage.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of the backbone.")] = None,
    rad: Annotated[float, typer.Option(help="Relative accuracy drop, in per cent, to calibrate T_c for.")] = 5,
    confidence: Annotated[float | None, typer.Option(help="Use this T_c instead of calibrating one.")] = None,
    limit: Limit = None,
    seed: Seed = 0,
) -> None:
    """Train a multi-exit network: backbone, internal classifiers, exit policy."""
    from exitprint.data import load_data
    from exitprint.networks import ExitPolicy, architecture, save_network
    from exitprint.training import all_logits, policy_accuracy, recipe, train_network

    check_writable(out_file)
    images = load_data(data, data_dir, limit)
    arch_checked = architecture(arch, images.input_shape, images.classes, depth, width)
    how = recipe(preset, arch_checked.family, data, epochs)
    partial = out_file.with_name(f".{out_file.name}.partial")
    if partial.exists():
        print("an unfinished training was found: it goes on if it is this one, else it starts clean.", file=sys.stderr)
    network = train_network(arch_checked, images, how, seed, rad, partial)
    if confidence is not None:
        network.policy = ExitPolicy(confidence)
    save_network(network, out_file)
    first = float((network.policy.exits(all_logits(network, images.test)) == 0).double().mean())
    out.print(
        f"{out_file}: {network.exits} exits, T_c = {network.policy.thresholds[0]:.3f}, "
        f"test accuracy {policy_accuracy(network, images.test):.3f} with early exits."
    )
    if first > 0.95:
        out.print(
            f"{first:.0%} of the images leave at the first exit: there is little time to tell a copy by; "
            "a higher threshold (--confidence, or a smaller --rad) leaves more."
        )


def fingerprint(
    network_file: Annotated[Path, typer.Argument(metavar="NETWORK")],
    out_file: Out,
    data: DataName,
    data_dir: DataDir = None,
    limit: Limit = None,
    samples: Annotated[int, typer.Option(help="Number of samples.")] = 100,
    rad: Annotated[
        list[float] | None,
        typer.Option(help="Policies the samples must hold at; repeatable. Default: the network's own."),
    ] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(help="A network known to be independent, to set T_f by; repeatable.")
    ] = None,
    t_f: Annotated[float | None, typer.Option("--t-f", help="T_f as an absolute number.")] = None,
    c: Annotated[float, typer.Option(help="Weight of L_f in equation 2.")] = 10.0,
    steps: Annotated[int, typer.Option(help="The most optimisation steps.")] = 1000,
    margin: Annotated[float, typer.Option(help="How far below T_c every internal classifier must be.")] = 0.1,
    all_steps: Annotated[
        bool, typer.Option("--all-steps", help="Take all steps for every sample, as the paper.")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Craft a fingerprint: inputs that pass every exit of your network."""
    from dataclasses import replace

    from exitprint.data import load_data
    from exitprint.fingerprints import paper_fingerprint, save_fingerprint, with_references
    from exitprint.networks import ExitPolicy, load_network
    from exitprint.suspects import CostModel
    from exitprint.training import calibrated_policy

    check_writable(out_file)
    network = load_network(network_file)
    references = [CostModel(load_network(path)) for path in reference or []]
    images = load_data(data, data_dir, limit)
    network.check_images(images.test.pixels[:1])
    policies = [network.policy, *(calibrated_policy(network, images.calibration, value) for value in rad or [])]
    internal = network.exits - 1
    lowest = ExitPolicy([min(t) for t in zip(*(p.for_exits(internal) for p in policies), strict=True)])
    made = paper_fingerprint(
        network, images.test, lowest, samples, seed, c=c, steps=steps, margin=margin, stop_early=not all_steps
    )
    if references:
        made = with_references(made, CostModel(network), references)
    if t_f is not None:
        made = replace(made, t_f=t_f)
    made.record["data"] = {"name": data, "part": "test", "images": len(images.test)}
    save_fingerprint(made, out_file)
    out.print(
        f"{out_file}: {int(made.reached.sum())} of {samples} samples pass every exit with a margin, after "
        f"{made.steps.double().mean():.0f} steps on average, L2 {made.l2.mean():.2f}."
    )
