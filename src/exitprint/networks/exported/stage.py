"""Stages that run a part of an exported module: a small interpreter of allow-listed operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from exitprint.errors import ExitprintError
from exitprint.networks.exported.operators import DIRECT, LAYER, constant, operator_named
from exitprint.networks.exported.program import Convolution, Linear, Operation, Part, Weight, named
from exitprint.networks.walk import Features, walk

LARGEST_VALUE = 2**28
"""Numbers in one value of a network from a file, which is run once without data: 1 GiB of float32."""
FRESH = {LAYER, "aten.add.Tensor", "aten.batch_norm.default", "aten.conv2d.default", "aten.linear.default"}
"""Operators whose result lies in memory of its own."""
Run = tuple[int, bool, torch.device, bool]
"""What is only known when a stage runs: the number of inputs, whether it is being trained, where, and whether results
may be written over those that nobody needs any more (inference mode)."""
Call = Callable[[list[Any], Run], Any]


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

    takes_all = True
    """As a head it takes all that the stage before it gives, as a stage does."""

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
        for index in _in_place(part, done):
            self.steps[index] = (_relu, *self.steps[index][1:])
        self._calls: list[tuple[Call, list[int]]] | None = None

    def forward(self, features: Features) -> Features:
        """Features after this stage, of those before it: a tensor, or a tuple whose first the exit sees."""
        if self._calls is None:
            self._calls = [(_call(f, args, kwargs, self.holders), done) for f, args, kwargs, done in self.steps]
        values: list[Any] = [features] if isinstance(features, Tensor) else list(features)
        run = (values[0].shape[0], self.training, values[0].device, torch.is_inference_mode_enabled())
        for call, done in self._calls:
            values.append(call(values, run))
            for index in done:
                values[index] = None
        if len(self.outputs) == 1:
            only: Tensor = values[self.outputs[0]]
            return only
        return tuple(values[index] for index in self.outputs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_calls": None}

    def _compiled(self, operation: Operation, places: Sequence[nn.Module]) -> tuple[Any, list[Any], dict[str, Any]]:
        """Function, arguments and keyword arguments, these as `_read` takes them.

        For a layer, in place of the function, there is where it is found.
        """
        args = [self._decoded(arg, places) for arg in operation.args]
        if operation.op == LAYER:
            return self._found(str(operation.kwargs.get("name")), places, ("_modules",)), args, {}
        function = operator_named(operation.op)
        if not operation.kwargs:
            function = DIRECT.get(operation.op, function)
        return function, args, {name: self._decoded(value, places) for name, value in operation.kwargs.items()}

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
            return ("weight", *self._found(str(value), places, ("_parameters", "_buffers")))
        if tag in ("batch", "training", "device"):
            return (tag,)
        return constant(tag, value)

    def _found(self, path: str, places: Sequence[nn.Module], kinds: Sequence[str]) -> tuple[int, str, str]:
        """Which holder has it, in which of its dictionaries, under which name."""
        *parents, name = path.split(".")
        for place in places:
            try:
                holder = place.get_submodule(".".join(parents))
            except AttributeError:
                continue
            kind = next((kind for kind in kinds if name in holder.__dict__[kind]), None)
            if kind is not None:
                if not any(each is holder for each in self.holders):
                    self.holders.append(holder)
                return next(i for i, each in enumerate(self.holders) if each is holder), kind, name
        raise ExitprintError(f"an operator in this network's file takes {path!r}, which is not there.")


def _last_uses(part: Part) -> list[list[int]]:
    """For each operation the values that nothing after it needs.

    Raises `ExitprintError` if an operation takes, or the part gives, a value that is not there yet.
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


def _in_place(part: Part, done: Sequence[Sequence[int]]) -> list[int]:
    """Numbers of the ReLUs that may overwrite their input.

    The input must lie in memory of its own (`FRESH`), and nothing after the ReLU may need it.
    """
    uses = Counter(value for o in part.operations for value in values_in([o.args, o.kwargs]))
    found = []
    for index, operation in enumerate(part.operations):
        taken = values_in(operation.args)
        if operation.op == "aten.relu.default" and len(taken) == 1 and not operation.kwargs:
            made_by = taken[0] - part.inputs
            fresh = made_by >= 0 and part.operations[made_by].op in FRESH
            if fresh and uses[taken[0]] == 1 and taken[0] in done[index]:
                found.append(index)
    return found


def _call(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], holders: Sequence[nn.Module]) -> Call:
    """An operator as a function of the values there are.

    Layers and batch normalisations have one of their own without a loop over their arguments: of one image's time in a
    wrapped ResNet-56, 8 channels wide, that is 15 % and 10 %.
    """
    kinds = [arg[0] if type(arg) is tuple else "constant" for arg in args]
    if isinstance(function, tuple):
        layers, name = _dictionary(function, holders), function[2]
        if kinds == ["value"]:
            ((_, x),) = args
            return lambda values, run: _layer_on(layers[name], values[x])
        return lambda values, run: layers[name](*(_read(arg, values, holders, run) for arg in args))
    if kwargs:
        return lambda values, run: function(
            *(_read(arg, values, holders, run) for arg in args),
            **{name: _read(arg, values, holders, run) for name, arg in kwargs.items()},
        )
    if function is _relu:
        x = args[0][1]
        return lambda values, run: _relu(values[x], run[3])
    if kinds[:6] == ["value", *["weight"] * 4, "training"] and set(kinds[6:]) <= {"constant"}:
        (_, x), *weights, _ = args[:6]
        (a, b, c, d), (i, j, k, m) = zip(*((_dictionary(w[1:], holders), w[3]) for w in weights), strict=True)
        rest = list(args[6:])
        return lambda values, run: function(values[x], a[i], b[j], c[k], d[m], run[1], *rest)
    return lambda values, run: function(*[_read(arg, values, holders, run) for arg in args])


def _dictionary(found: Sequence[Any], holders: Sequence[nn.Module]) -> Mapping[str, Any]:
    """Where a holder keeps what was `_found` there."""
    return holders[found[0]].__dict__[found[1]]


def _read(arg: Any, values: Sequence[Any], holders: Sequence[nn.Module], run: Run) -> Any:
    if type(arg) is not tuple:
        return arg
    kind = arg[0]
    if kind == "value":
        return values[arg[1]]
    if kind == "weight":
        return _dictionary(arg[1:], holders)[arg[3]]
    if kind == "list":
        return [_read(part, values, holders, run) for part in arg[1]]
    return run[("batch", "training", "device").index(kind)]


def _relu(x: Tensor, over: bool) -> Tensor:
    return torch.relu_(x) if over else torch.relu(x)


def _layer_on(layer: Any, x: Tensor) -> Any:
    """What a layer answers; the operator of a plain convolution or linear layer is called directly, which is faster."""
    if not (layer._forward_hooks or layer._forward_pre_hooks):
        own = layer._parameters
        if type(layer) is nn.Conv2d:
            return torch.conv2d(
                x, own["weight"], own["bias"], layer.stride, layer.padding, layer.dilation, layer.groups
            )
        if type(layer) is nn.Linear:
            return F.linear(x, own["weight"], own["bias"])
    return layer(x)


def values_in(argument: Any) -> list[int]:
    """Every value that an operation's arguments name."""
    return [value for value in named(argument, "value") if type(value) is int]


def runnable(
    parts: Sequence[Part], heads: Mapping[int, Part], input_shape: tuple[int, int, int], classes: int
) -> tuple[list[ExportedStage], dict[int, ExportedStage]]:
    """The stages of an exported module and its own heads by their stages, with weights still to come.

    The last stage gives the final logits. All are run once without data, on the meta device, so that a graph that
    cannot run is refused here.

    Raises `ExitprintError` if the graph is not one that can be run.
    """
    try:
        made = _built(parts, heads)
        with torch.device("meta"):
            stages, early = _built(parts, heads)
            with _Bounded():
                _dry_run(
                    [stage.eval() for stage in stages], {k: h.eval() for k, h in early.items()}, input_shape, classes
                )
    except ExitprintError:
        raise
    except Exception as error:  # operators raise what they like on wrong arguments, and all of it comes from the file
        raise ExitprintError(f"the graph of this network cannot be run ({type(error).__name__}).") from error
    return made


def _built(parts: Sequence[Part], heads: Mapping[int, Part]) -> tuple[list[ExportedStage], dict[int, ExportedStage]]:
    if any(stage not in range(len(parts) - 1) for stage in heads):
        raise ExitprintError("an exit of this network's file sits after a stage that is not there.")
    stages: list[ExportedStage] = []
    for part in parts:
        stages.append(ExportedStage(part, stages))
    return stages, {stage: ExportedStage(heads[stage], stages[: stage + 1]) for stage in sorted(heads)}


class _Bounded(TorchDispatchMode):
    """Refuses values too large for any image's features."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, Tensor) and value.numel() > LARGEST_VALUE:
                raise ExitprintError("an operator of this network gives more numbers than any image's features have.")
        return result


@torch.no_grad()
def _dry_run(
    stages: Sequence[ExportedStage],
    heads: Mapping[int, ExportedStage],
    input_shape: tuple[int, int, int],
    classes: int,
) -> None:
    for place in walk(stages, torch.zeros(2, *input_shape, device="meta")):
        given = (place.features,) if isinstance(place.features, Tensor) else place.features
        if any(not isinstance(v, Tensor) or v.ndim < 1 or len(v) != 2 for v in given):
            raise ExitprintError("a stage of this network gives no features of a batch.")
        if place.stage + 1 < len(stages) and stages[place.stage + 1].inputs != len(given):
            raise ExitprintError("two stages of this network do not fit each other.")
        if place.stage in heads:
            logits = heads[place.stage](place.features) if heads[place.stage].inputs == len(given) else None
            if not isinstance(logits, Tensor) or logits.shape != (2, classes):
                raise ExitprintError("an exit of this network gives no logits.")
    if not isinstance(place.features, Tensor) or place.features.shape != (2, classes):
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
