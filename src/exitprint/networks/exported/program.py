"""What a file says of a module that is no architecture of ours: operators in order, numbers and names only."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from exitprint.strict import Strict

Name = Annotated[str, Field(pattern=r"^[^.\x00-\x1f\x7f]+(\.[^.\x00-\x1f\x7f]+)*$", max_length=400)]
"""Of a tensor or a layer, as the user's module has it: anything but control characters between the dots."""
Count = Annotated[int, Field(ge=0, le=2**31)]
Pair = tuple[Count, Count]


class Weight(Strict):
    """A tensor that operators take by name."""

    shape: tuple[Count, ...]
    dtype: Literal["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    trainable: bool = False


class Convolution(Strict):
    """A 2D convolution that is a module of its own."""

    kind: Literal["conv2d"] = "conv2d"
    inputs: Count
    outputs: Count
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: Count
    bias: bool


class Linear(Strict):
    """A linear layer that is a module of its own."""

    kind: Literal["linear"] = "linear"
    inputs: Count
    outputs: Count
    bias: bool


class Operation(Strict):
    """One operator and its arguments; its result is the next value of its part.

    Arguments are JSON; ``{"value": i}`` is the i-th value of the part, ``{"weight": name}`` a tensor,
    ``{"batch": 0}`` the number of inputs, ``{"training": 0}`` whether the network is being trained.
    """

    op: str
    args: list[Any]
    kwargs: dict[str, Any] = Field(default_factory=dict)


def named(argument: Any, tag: str) -> list[Any]:
    """Everything of this kind that an operation's arguments name: of ``value`` numbers, of ``weight`` names."""
    if isinstance(argument, list):
        return [each for part in argument for each in named(part, tag)]
    if isinstance(argument, dict):
        return [argument[tag]] if set(argument) == {tag} else named(list(argument.values()), tag)
    return []


class Part(Strict):
    """One stage.

    Attributes
    ----------
    name
        Where in the module it ends.
    inputs
        How many tensors it takes, all with the batch first; they are its first values.
    operations
        Run in order.
    outputs
        The values it gives on; the exit after it sees the first.
    weights, layers
        What it owns. Operators may also take what an earlier part owns.
    """

    name: str = Field(max_length=400)
    inputs: int = Field(ge=1, le=1000)
    operations: list[Operation] = Field(max_length=100_000)
    outputs: list[Count] = Field(min_length=1, max_length=1000)
    weights: dict[Name, Weight] = Field(default_factory=dict)
    layers: dict[Name, Annotated[Convolution | Linear, Field(discriminator="kind")]] = Field(default_factory=dict)
