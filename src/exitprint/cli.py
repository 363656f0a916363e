"""The verbs, thin: options in, a sentence or JSON out, and the exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from exitprint.errors import ExitprintError
from exitprint.progress import show_progress

EXIT_CODES = {"derived": 0, "independent": 1, "inconclusive": 3}
ERROR = 2

app = typer.Typer(
    name="exitprint",
    help="Prove, by its inference time alone, that a deployed multi-exit network is a copy of yours.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
out = Console(highlight=False, soft_wrap=True)

DataName = Annotated[str, typer.Option("--data", help="digits, cifar10, cifar100, tiny-imagenet or fashion-mnist.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="EXITPRINT_DATA_DIR", help="Folder with NAME/train*.parquet; default: the hub."),
]
Limit = Annotated[int | None, typer.Option("--limit", help="Use this many training images.")]
Out = Annotated[Path, typer.Option("--out", help="File to write.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def main() -> None:
    """Run the command line; every error is one sentence on stderr and exit code 2."""
    show_progress(sys.stderr.isatty())
    try:
        app()
    except ExitprintError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("stopped; nothing was written.")
    except BrokenPipeError:
        sys.exit(ERROR)


def _fail(sentence: str) -> None:
    print(f"exitprint: {sentence}", file=sys.stderr)
    sys.exit(ERROR)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


@app.command()
def demo(
    report: Annotated[Path, typer.Option(help="Where to write the page.")] = Path("report.html"),
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Train a network, steal it three ways, and tell the copies from three independents, in about a minute."""
    from exitprint.demo import run_demo

    result = run_demo(report, seed)
    if as_json:
        _print_json(result.as_dict())
        return
    table = Table("suspect", "truth", "decision", "T_N", "T_f")
    for row in result.rows:
        table.add_row(
            row.name, row.truth, row.verdict.decision, f"{row.verdict.t_n:.3f}", f"{row.verdict.threshold:.3f}"
        )
    out.print(table)
    out.print(f"{result.right} of {len(result.rows)} verdicts are right, in {result.seconds:.0f} s. Report: {report}")


@app.command()
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

    _check_writable(out_file)
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


@app.command()
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

    _check_writable(out_file)
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


@app.command()
def verify(
    fingerprint_file: Annotated[Path, typer.Argument(metavar="FINGERPRINT")],
    suspect: Annotated[str, typer.Argument(metavar="SUSPECT", help="A network file.")],
    repeats: Annotated[int, typer.Option(help="How often each input is timed.")] = 10,
    clock: Annotated[Literal["measured", "cost-model"], typer.Option(help="Wall clock, or FLOPs.")] = "measured",
    report: Annotated[Path | None, typer.Option(help="Write a page that shows why.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Ask a suspect and say whether it is a copy: exit code 0 derived, 1 independent, 3 inconclusive, 2 error."""
    from exitprint.fingerprints import load_fingerprint
    from exitprint.fingerprints import verify as verify_suspect
    from exitprint.networks import load_network
    from exitprint.reports import verification_report, write_report
    from exitprint.suspects import CostModel, InProcess

    made = load_fingerprint(fingerprint_file)
    network = load_network(suspect)
    verdict = verify_suspect(made, CostModel(network) if clock == "cost-model" else InProcess(network), repeats, seed)
    if report is not None:
        write_report(verification_report(verdict, made, verdict.timings, suspect), report)
    if as_json:
        _print_json(verdict.as_dict())
    else:
        out.print(f"[bold]{verdict.decision}[/bold]: {verdict.reason}")
        out.print(
            f"T_N = {verdict.t_n:.3f} (benign {verdict.benign_t_n:.3f}), T_f = {verdict.threshold:.3f}, "
            f"{verdict.requests} requests in {verdict.seconds:.1f} s, {verdict.clock} time."
        )
    raise typer.Exit(EXIT_CODES[verdict.decision])


@app.command()
def info(file: Annotated[Path, typer.Argument(metavar="FILE")], as_json: Json = False) -> None:
    """Say what is in a network's or a fingerprint's file."""
    from exitprint.files import read_header

    kind = read_header(file)["kind"]
    if kind == "network":
        facts = _network_facts(file)
    elif kind == "fingerprint":
        facts = _fingerprint_facts(file)
    else:
        raise ExitprintError(f"{str(file)!r} is a {kind} file: info shows networks and fingerprints.")
    if as_json:
        _print_json(facts)
        return
    table = Table(show_header=False)
    for name, value in facts.items():
        table.add_row(name, json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value))
    out.print(table)


def _network_facts(file: Path) -> dict[str, Any]:
    from exitprint.networks import exit_costs, load_network

    network = load_network(file)
    assert network.architecture is not None
    return {
        "architecture": network.architecture.model_dump(mode="json"),
        "exits": network.exits,
        "classes": network.classes,
        "input": list(network.input_shape),
        "criterion": network.policy.criterion,
        "thresholds": list(network.policy.for_exits(network.exits - 1)),
        "cost": list(exit_costs(network)),
        "history": network.history,
    }


def _fingerprint_facts(file: Path) -> dict[str, Any]:
    from exitprint.fingerprints import load_fingerprint

    made = load_fingerprint(file)
    return {
        "kind": made.kind,
        "samples": len(made),
        "reached": int(made.reached.sum()),
        "input": list(made.input_shape),
        "t_f": None if made.t_f != made.t_f else made.t_f,
        "t_f_share": made.t_f_share,
        "l2": float(made.l2.mean()),
        "record": made.record,
    }


def _check_writable(path: Path) -> None:
    if not path.parent.is_dir():
        raise ExitprintError(f"there is no folder {str(path.parent)!r} to write {path.name!r} to: make it first.")
    if path.is_dir():
        raise ExitprintError(f"{str(path)!r} is a folder: give the name of a file.")
