"""Stages that run a part of an exported module: a small interpreter of allow-listed operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from exitprint.errors import ExitprintError
from exitprint.networks.architectures.backbone import Backbone
from exitprint.networks.exported.operators import LAYER, constant, operator_named
from exitprint.networks.exported.program import Convolution, Exported, Linear, Operation, Part, Weight

LARGEST_VALUE = 2**28
Reader = Callable[[list[Any]], Any]


class Holder(nn.Module):
    """Tensors and layers under the names that they have in the user's module."""


class ExportedStage(nn.Module):
    """One part of an exported module.

    Parameters
    ----------
    part
        What to run.
    earlier
        The stages before it, whose tensors and layers it may take too.
    """

    def __init__(self, part: Part, earlier: Sequence[ExportedStage] = ()) -> None:
        super().__init__()
        self.name = part.name
        self.inputs = part.inputs
        self.outputs = tuple(part.outputs)
        self.own = Holder()
        for path, weight in part.weights.items():
            _add_weight(*_holder(self.own, path), weight)
        for path, layer in part.layers.items():
            _add_layer(*_holder(self.own, path), layer)
        places = [self.own, *(stage.own for stage in earlier)]
        self.holders: list[nn.Module] = []
        done = _last_uses(part)
        self.steps = [
            (*self._compiled(operation, places), gone) for operation, gone in zip(part.operations, done, strict=True)
        ]

    def forward(self, features: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """Features after this stage, of those before it: a tensor, or a tuple whose first the exit sees."""
        values: list[Any] = [features] if isinstance(features, Tensor) else list(features)
        holders, run = self.holders, (values[0].shape[0], self.training, values[0].device)
        for function, constants, wanted, kwargs, done in self.steps:
            args = constants.copy()
            for place, arg in wanted:
                args[place] = values[arg[1]] if arg[0] == "value" else _read(arg, values, holders, run)
            if function is None:
                holder, name = kwargs
                values.append(holders[holder]._modules[name](*args))
            elif kwargs:
                values.append(function(*args, **{k: _read(v, values, holders, run) for k, v in kwargs.items()}))
            else:
                values.append(function(*args))
            for index in done:
                values[index] = None
        if len(self.outputs) == 1:
            only: Tensor = values[self.outputs[0]]
            return only
        return tuple(values[index] for index in self.outputs)

    def _compiled(self, operation: Operation, places: Sequence[nn.Module]) -> tuple[Any, list[Any], list[Any], Any]:
        """Function, arguments, those of them that `_read` has to read with their places, and keyword arguments.

        For a layer the function is None, and instead of keyword arguments there is where it is found.
        """
        args = [self._decoded(arg, places) for arg in operation.args]
        wanted = [(place, arg) for place, arg in enumerate(args) if isinstance(arg, tuple)]
        if operation.op == LAYER:
            return None, args, wanted, self._found(str(operation.kwargs.get("name")), places, "_modules")
        kwargs = {name: self._decoded(value, places) for name, value in operation.kwargs.items()}
        return operator_named(operation.op), args, wanted, kwargs

    def _decoded(self, argument: Any, places: Sequence[nn.Module]) -> Any:
        """An argument as `_read` takes it: a tuple (kind, …) where it is only known when the stage runs."""
        if isinstance(argument, list):
            parts = [self._decoded(part, places) for part in argument]
            return ("list", parts) if any(isinstance(part, tuple) for part in parts) else parts
        if not isinstance(argument, dict):
            return argument
        if len(argument) != 1:
            raise ExitprintError("an operator's argument in this network's file is damaged: get a whole copy.")
        tag, value = next(iter(argument.items()))
        if tag == "value" and type(value) is int and value >= 0:
            return ("value", value)
        if tag == "weight":
            return ("weight", *self._found(str(value), places, "_parameters"))
        if tag in ("batch", "training", "device"):
            return (tag,)
        return constant(tag, value)

    def _found(self, path: str, places: Sequence[nn.Module], kind: str) -> tuple[int, str]:
        *parents, name = path.split(".")
        for place in places:
            try:
                holder = place.get_submodule(".".join(parents))
            except AttributeError:
                continue
            if name in getattr(holder, kind) or (kind == "_parameters" and name in holder._buffers):
                if not any(each is holder for each in self.holders):
                    self.holders.append(holder)
                return next(i for i, each in enumerate(self.holders) if each is holder), name
        raise ExitprintError(f"an operator in this network's file takes {path!r}, which is not there.")


def _last_uses(part: Part) -> list[list[int]]:
    """For each operation the values that nothing after it needs.

    Raises
    ------
    ExitprintError
        If an operation takes, or the part gives, a value that is not there yet.
    """
    last: dict[int, int] = {}
    for index, operation in enumerate(part.operations):
        used = values_in([operation.args, operation.kwargs])
        if any(value >= part.inputs + index for value in used):
            raise ExitprintError("an operator in this network's file takes a value from after it.")
        last.update(dict.fromkeys([*used, part.inputs + index], index))
    if max(part.outputs) >= part.inputs + len(part.operations):
        raise ExitprintError("a stage in this network's file gives a value that is not there.")
    done: list[list[int]] = [[] for _ in part.operations]
    for value, index in last.items():
        if value not in part.outputs:
            done[index].append(value)
    return done


def _read(arg: Any, values: list[Any], holders: list[nn.Module], run: tuple[int, bool, torch.device]) -> Any:
    if type(arg) is not tuple:
        return arg
    kind = arg[0]
    if kind == "value":
        return values[arg[1]]
    if kind == "weight":
        holder, name = holders[arg[1]], arg[2]
        return holder._parameters[name] if name in holder._parameters else holder._buffers[name]
    if kind == "list":
        return [_read(part, values, holders, run) for part in arg[1]]
    return run[("batch", "training", "device").index(kind)]


def values_in(argument: Any) -> list[int]:
    """Every value that an operation's arguments name."""
    if isinstance(argument, list):
        return [value for part in argument for value in values_in(part)]
    if isinstance(argument, dict):
        if set(argument) == {"value"} and type(argument["value"]) is int:
            return [argument["value"]]
        return [value for part in argument.values() for value in values_in(part)]
    return []


def build(arch: Exported) -> Backbone:
    """The stages of an exported module, with weights still to come; the last stage gives the final logits.

    They are run once without data, on the meta device, so that a graph that cannot run is refused here.

    Raises
    ------
    ExitprintError
        If the graph is not one that can be run.
    """
    stages: list[ExportedStage] = []
    try:
        for part in arch.parts:
            stages.append(ExportedStage(part, stages))
        with torch.device("meta"):
            dry: list[ExportedStage] = []
            for part in arch.parts:
                dry.append(ExportedStage(part, dry).eval())
            with _Bounded():
                _dry_run(dry, arch)
    except ExitprintError:
        raise
    except Exception as error:  # operators raise what they like on wrong arguments, and all of it comes from the file
        raise ExitprintError(f"the graph of this network cannot be run ({type(error).__name__}).") from error
    return Backbone(list(stages), nn.Identity())


class _Bounded(TorchDispatchMode):
    """Refuses values too large for any image's features."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, Tensor) and value.numel() > LARGEST_VALUE:
                raise ExitprintError("an operator of this network gives more numbers than any image's features have.")
        return result


@torch.no_grad()
def _dry_run(stages: Sequence[ExportedStage], arch: Exported) -> None:
    features: Any = torch.zeros(2, *arch.input_shape, device="meta")
    for index, stage in enumerate(stages):
        features = stage(features)
        given = (features,) if isinstance(features, Tensor) else features
        if any(not isinstance(v, Tensor) or v.ndim < 1 or len(v) != 2 for v in given):
            raise ExitprintError("a stage of this network gives no features of a batch.")
        if index + 1 < len(stages) and stages[index + 1].inputs != len(given):
            raise ExitprintError("two stages of this network do not fit each other.")
    if not isinstance(features, Tensor) or features.shape != (2, arch.classes):
        raise ExitprintError("the last stage of this network gives no logits.")


def _holder(root: nn.Module, path: str) -> tuple[nn.Module, str]:
    *parents, name = path.split(".")
    for parent in parents:
        if parent not in root._modules:
            root.add_module(parent, Holder())
        root = root.get_submodule(parent)
    return root, name


def _add_weight(holder: nn.Module, name: str, weight: Weight) -> None:
    tensor = torch.zeros(weight.shape, dtype=getattr(torch, weight.dtype))
    if weight.trainable:
        holder.register_parameter(name, nn.Parameter(tensor))
    else:
        holder.register_buffer(name, tensor)


def _add_layer(holder: nn.Module, name: str, layer: Convolution | Linear) -> None:
    if isinstance(layer, Linear):
        holder.add_module(name, nn.Linear(layer.inputs, layer.outputs, layer.bias))
        return
    made = nn.Conv2d(
        layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding, layer.dilation, layer.groups, layer.bias
    )
    holder.add_module(name, made)
