"""Tampering by name, with parameters checked by their types: for the command line and for declared populations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ValidationError, create_model

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork
from exitprint.strict import Strict
from exitprint.tampering.exits import add_exits, change_criterion, remove_exits, retrain_exits
from exitprint.tampering.further import adversarial_training, finetune
from exitprint.tampering.weights import prune, quantise

KINDS: dict[str, Callable[..., MultiExitNetwork]] = {
    "retrain-exits": retrain_exits,
    "remove-exits": remove_exits,
    "add-exits": add_exits,
    "change-criterion": change_criterion,
    "finetune": finetune,
    "prune": prune,
    "quantise": quantise,
    "adversarial": adversarial_training,
}


def tamper(
    network: MultiExitNetwork, data: ImageData, kind: str, parameters: Mapping[str, Any], seed: int = 0
) -> MultiExitNetwork:
    """A tampered copy of `network`; its history says what was done.

    Parameters
    ----------
    network
        The stolen network; it is not changed.
    data
        The thief's images.
    kind
        One of `KINDS`.
    parameters
        The kind's own, by name, but for its seed.
    seed
        Of everything random; kinds without chance ignore it.

    Raises
    ------
    ExitprintError
        If there is no such kind or a parameter is not one of its own, of another type or out of range.
    Interrupted
        On Ctrl-C.
    """
    checked = _checked(kind, parameters)
    chance = {"seed": seed} if uses_seed(kind) else {}
    return _function(kind)(network, data, **dict(checked), **chance)


def tamper_in_steps(
    network: MultiExitNetwork, data: ImageData, kind: str, parameters: Mapping[str, Any], every: int, seed: int = 0
) -> Iterator[tuple[int, MultiExitNetwork]]:
    """(epochs done, copy) after every so many epochs of a kind that trains the backbone; the paper saves every 2.

    Each copy is made from the one before, so that a series can be taken up from any that was saved.

    Parameters
    ----------
    network, data, kind, parameters, seed
        As in `tamper`; its `epochs` is the length of the whole series.
    every
        Epochs between one copy and the next.

    Raises
    ------
    ExitprintError
        As `tamper` does, if the kind has no epochs, or they are no multiple of `every`.
    Interrupted
        On Ctrl-C.
    """
    checked = dict(_checked(kind, parameters))
    if "epochs" not in checked:
        raise ExitprintError(f"{kind} trains no backbone, so there is nothing to save every {every} epochs.")
    epochs = checked.pop("epochs")
    if every < 1 or epochs < 1 or epochs % every:
        raise ExitprintError(f"{epochs} epochs cannot be saved every {every}: use a multiple.")
    for done in range(every, epochs + 1, every):
        network = _function(kind)(network, data, epochs=every, seed=seed, **checked)
        yield done, network


def uses_seed(kind: str) -> bool:
    """Whether the result depends on a seed."""
    return "seed" in inspect.signature(_function(kind)).parameters


def checked_parameters(kind: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`parameters` checked, in plain JSON types, without those that have the kind's default value.

    Raises
    ------
    ExitprintError
        As `tamper` does.
    """
    return _checked(kind, parameters).model_dump(mode="json", exclude_defaults=True)


def _checked(kind: str, parameters: Mapping[str, Any]) -> BaseModel:
    model = parameter_model(kind)
    try:
        return model.model_validate(dict(parameters))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        known = ", ".join(model.model_fields)
        raise ExitprintError(
            f"{kind} cannot be done with {name}: {first['msg'].lower()}; its parameters are {known}."
        ) from error


@cache
def parameter_model(kind: str) -> type[BaseModel]:
    """The kind's own parameters, with their types and defaults, as a pydantic model."""
    function = _function(kind)
    types = get_type_hints(function)
    fields: dict[str, Any] = {
        name: (types[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name != "seed"
    }
    return create_model(kind, __base__=Strict, **fields)


def _function(kind: str) -> Callable[..., MultiExitNetwork]:
    if kind not in KINDS:
        raise ExitprintError(f"unknown kind of tampering {kind!r}: use one of {', '.join(KINDS)}.")
    return KINDS[kind]
