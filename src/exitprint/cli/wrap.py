"""`exitprint wrap`: a module of the user's becomes a multi-exit network."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exitprint.cli.images import ImageOptions, takes_images
from exitprint.cli.options import (
    ByCriterion,
    Out,
    Rad,
    Seed,
    Threshold,
    name_and_value,
    numbers,
    out,
    say_left,
    say_policy,
)
from exitprint.cli.outputs import Force, check_output
from exitprint.errors import ExitprintError, check_there

if TYPE_CHECKING:
    from torch import nn

    from exitprint.data import ImageData
    from exitprint.networks import MultiExitNetwork

CHANCE = 2
"""So many times the accuracy of guessing is no better than chance to a user who brings a trained module."""


@takes_images
def wrap(
    factory: Annotated[
        str,
        typer.Argument(metavar="FACTORY", help="package.module:function or file.py:function; it returns the module."),
    ],
    out_file: Out,
    source: ImageOptions,
    weights: Annotated[
        Path | None, typer.Option(help="The module's weights: .safetensors, or .pt/.th with weights alone.")
    ] = None,
    exits: Annotated[
        str,
        typer.Option(help="New exits: submodules to put one after (a,b,c), how many, or auto: none if it has its own."),
    ] = "auto",
    mean: Annotated[
        str | None, typer.Option(help="Normalisation that the module wants, such as 0.49,0.48,0.45.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Its standard deviations, one for each channel.")] = None,
    rad: Rad = 5,
    criterion: ByCriterion = None,
    threshold: Threshold = None,
    rule: Annotated[
        str | None,
        typer.Option(
            help="When inputs leave, in your words: 'confidence > 0.9, 0.8', 'entropy < 0.5' (nats), 'patience >= 3', …"
        ),
    ] = None,
    most_confident: Annotated[
        bool, typer.Option("--most-confident", help="Inputs get the answer of the most confident exit so far.")
    ] = False,
    temperature: Annotated[
        float, typer.Option(help="What your code divides logits by before it looks how certain they are.")
    ] = 1.0,
    method: Annotated[
        str, typer.Option(help="The module's method that answers for every exit, such as forward_all.")
    ] = "forward",
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set an attribute of the module first: fast_inference_mode=False; repeatable."),
    ] = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Make a multi-exit network of your own module: cut it, keep its exits or train some, calibrate when inputs leave.

    The module's weights stay as they are, and so do its answers. FACTORY is your own code and is run.
    """
    from exitprint.networks import ExitPolicy, MultiExitNetwork, save_network
    from exitprint.networks.exported.capture import exits_in_training
    from exitprint.networks.policy import Answer, ExitRule
    from exitprint.networks.rule import policy_of_rule
    from exitprint.networks.weights import load_weights
    from exitprint.training import calibrated_policy, new_exits, recipe, train_heads

    check_output(out_file, "network", weights, factory.rpartition(":")[0], source.data, force=force)
    if rule is not None and (threshold is not None or criterion is not None):
        raise ExitprintError("--rule says it all: leave out --threshold and --criterion.")
    answer: Answer = "most confident" if most_confident else "exit"
    ExitPolicy(threshold or 0.0, answer=answer, temperature=temperature)
    module = _module(factory)
    if weights is not None and (loaded := str(load_weights(module, weights))):
        out.print(f"{loaded}.", markup=False)
    images = source.load(labelled=False)
    network = MultiExitNetwork.wrap(
        module,
        _exits(exits),
        example=images.train[:2].x,
        mean=numbers("--mean", mean) or None,
        std=numbers("--std", std) or None,
        method=method,
        settings=_settings(setting or []),
        seed=seed,
    )
    images.check_classes(network.classes)
    heads = recipe("fast", "exported", images.name, images=len(images.train)).heads
    new = new_exits(network)
    if new or (rule is None and threshold is None):
        images.check_labelled()
    if new:
        train_heads(network, images, heads, seed, new)
        details = {"exits": new, "seed": seed, "heads": heads.model_dump(mode="json")}
        network.record("exits trained", data=images.name, images=len(images.train), **details)
    if rule is not None:
        network.policy = policy_of_rule(rule, network.classes, answer, temperature)
        network.record("rule given", rule=rule, answer=answer)
    elif threshold is not None:
        network.policy = ExitPolicy(threshold, criterion or "confidence", answer, temperature)
        network.record("threshold given", threshold=threshold, criterion=network.policy.criterion)
    else:
        by = ExitRule(criterion or "confidence", answer, temperature)
        network.policy = calibrated_policy(network, images.calibration, rad, by)
        network.record("calibrated", rad=rad, criterion=network.policy.criterion)
    if temperature != 1:
        network.history[-1]["temperature"] = temperature
    save_network(network, out_file)
    places = [str(network.stages[stage].name) for stage in network.exit_stages[:-1]]
    wrapped = network.history[0]
    if own_exits := wrapped.get("exits of its own"):
        where = f", taken from {taken} of its answer" if (taken := wrapped.get("of its answer")) else ""
        out.print(f"the module has {len(own_exits)} exits of its own{where}: they are kept as they are.")
    elif (found := exits_in_training(module, images.train[:2].x))[0]:
        how = " ".join(f"--set {name}=True" for name in found[1])
        out.print(f"in training the module answers {found[0]} logits: {how} keeps those exits.")
    elif taken := wrapped.get("of its answer"):
        out.print(f"the logits are taken from {taken} of the module's answer.")
    out.print(f"{out_file}: exits after {', '.join(places)}; {say_policy(network)}.")
    _say_how_it_does(network, images)
    if mean is None and std is None:
        out.print("no normalisation was given (--mean, --std): right only if the module takes pixels in [0, 1].")


def _say_how_it_does(network: MultiExitNetwork, images: ImageData) -> None:
    """How accurate the network is on test images, where these have labels, and where they leave."""
    from exitprint.training import all_logits, evaluate

    if not images.test.labelled:
        exits = network.policy.exits(all_logits(network, images.test))
        say_left((exits.bincount(minlength=network.num_exits).double() / len(exits)).tolist())
        return
    tested = evaluate(network, images.test)
    without = tested.exit_accuracies[-1]
    out.print(f"test accuracy {tested.accuracy:.3f} with early exits, {without:.3f} without.")
    if without < CHANCE / network.classes:
        out.print(
            f"the module itself is right on {without:.0%} of these images, hardly more than by chance: are the classes "
            "in its order, and --mean and --std those that it was trained with?"
        )
    say_left(tested.left)


def _module(factory: str) -> nn.Module:
    """The module that the user's own function makes."""
    from torch import nn

    where, colon, name = factory.rpartition(":")
    if not colon or not where or not name:
        raise ExitprintError(f"a factory is given as package.module:function or file.py:function, not as {factory!r}.")
    path, modules = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(Path.cwd()))
    try:
        source = _file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        make = getattr(source, name, None)
        if not callable(make):
            raise ExitprintError(f"there is no function {name!r} in {where!r}.")
        made = make()
    except ExitprintError:
        raise
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ExitprintError(f"{factory} cannot be run ({what}): mend it first.") from error
    finally:
        sys.path.remove(str(Path.cwd()))
        sys.path[:] = path + [folder for folder in sys.path if folder not in path]
        _installed_come_first(set(sys.modules) - modules)
    if not isinstance(made, nn.Module):
        raise ExitprintError(f"{factory} gives a {type(made).__name__} where a torch.nn.Module is needed.")
    return made


def _installed_come_first(modules: set[str]) -> None:
    """Forget those of the user's modules that are called as installed packages are, such as his own `datasets.py`.

    What he made of them keeps them; whoever imports the name from here on gets the package.
    """
    for name in {module.partition(".")[0] for module in modules}:
        module, installed = sys.modules.get(name), PathFinder.find_spec(name)
        if module is not None and installed is not None and installed.origin != getattr(module, "__file__", None):
            for each in [each for each in modules if each.partition(".")[0] == name]:
                del sys.modules[each]


def _file(path: Path) -> Any:
    check_there(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    source = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = source
    spec.loader.exec_module(source)
    return source


def _exits(text: str) -> Any:
    if text.strip().isdecimal():
        return int(text)
    return "auto" if text.strip() == "auto" else [name.strip() for name in text.split(",") if name.strip()]


def _settings(given: list[str]) -> dict[str, Any]:
    """Attributes of the user's module, with values as Python writes them; what is none is text."""
    found = {}
    for text in given:
        name, value = name_and_value("--set", text)
        try:
            found[name] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError):
            found[name] = value
    return found
