"""What a foreign runtime takes: images in the layout and type that its input declares, and its further inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitprint.errors import ExitprintError, told
from exitprint.suspects.datatypes import BFLOAT16, DATATYPES, ENCODED, FLOATS, WHOLE, stored
from exitprint.suspects.options import InputOptions
from exitprint.suspects.pictures import encoded

UNSAID = InputOptions()


@dataclass(frozen=True)
class Declared:
    """A tensor as a model declares it; of no dimensions where it does not say.

    Attributes
    ----------
    name, datatype, shape
        Its name, its type as the Open Inference Protocol calls it, and its shape, −1 where any number will do.
    """

    name: str
    datatype: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Arrangement:
    """How one image lies in a tensor.

    Attributes
    ----------
    axes
        ``CHW``, ``HWC``, ``HW`` without a channel, or ``flat`` (channels first unless the layout says otherwise).
    batched
        Whether the tensor's first dimension counts images.
    """

    axes: Literal["CHW", "HWC", "HW", "flat"]
    batched: bool


@dataclass(frozen=True)
class ImageInput:
    """The input of a suspect that takes the image.

    Attributes
    ----------
    name, datatype, shape
        As declared or as the user said, see `Declared`. Floats take pixels in [0, 1], whole numbers from 0 to 255,
        ``BYTES`` image files. Images lie in a batch or alone, channels first or last or flattened.
    options
        What else the user said of it.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    options: InputOptions = UNSAID

    def __post_init__(self) -> None:
        if self.datatype not in (*FLOATS, *WHOLE, ENCODED):
            raise ExitprintError(
                f"the suspect's input {self.name!r} is of the type {self.datatype!r}, which holds no pixels: "
                "if another input takes the image, name it (--input-name), or correct the type (--input-type)."
            )
        if self.datatype == "INT8" and self.options.scale is None:
            raise ExitprintError(
                f"the suspect's input {self.name!r} is INT8, and does not say how pixels become such numbers: "
                "state it (--scale, --mean), for instance --scale 255 --mean 128."
            )
        if len(self.shape) > 4:
            raise ExitprintError(
                f"the suspect's input {self.name!r} has shape {self.shape}, which is no image or batch of images: "
                "ask a network that takes images, or correct the shape (--input-shape)."
            )

    @property
    def batch(self) -> int:
        """How many images one request takes, as far as the shape alone tells: −1 for any number."""
        if self.datatype == ENCODED or len(self.shape) in (0, 4):
            return self.shape[0] if self.shape else -1
        return -1 if self.shape[0] == -1 and len(self.shape) > 1 else 1

    def arrangement(self, image: Sequence[int]) -> Arrangement:
        """How images of this shape, (channels, height, width), lie in the tensor.

        Raises `ExitprintError` if the suspect takes images of another shape.
        """
        channels, height, width = image
        first = self.options.layout != "NHWC"
        if not self.shape:
            return Arrangement("CHW" if first else "HWC", True)
        forms: dict[Literal["CHW", "HWC", "HW", "flat"], tuple[int, ...]] = {}
        if self.options.layout != "NHWC":
            forms["CHW"] = (channels, height, width)
        if self.options.layout != "NCHW":
            forms["HWC"] = (height, width, channels)
        if channels == 1:
            forms["HW"] = (height, width)
        forms["flat"] = (channels * height * width,)
        fitting = [
            Arrangement(axes, batched)
            for axes, form in forms.items()
            for batched in (True, False)
            if _fits(self.shape[batched:], form)
        ]
        batches = [each for each in fitting if each.batched]
        if not fitting:
            raise ExitprintError(
                f"the suspect takes images of shape {self.shape[-3:]}, and not {tuple(image)} (channels, height, "
                "width): use a fingerprint that was made for such images, or state the shape (--input-shape, --layout)."
            )
        return batches[0] if batches and (self.shape[0] == -1 or len(batches) == len(fitting)) else fitting[0]

    def takes(self, image: Sequence[int]) -> int:
        """How many images of this shape one request takes: −1 for any number."""
        if self.datatype == ENCODED:
            return self.shape[0] if self.shape else -1
        if not self.arrangement(image).batched:
            return 1
        return self.shape[0] if self.shape else -1

    def encode(self, x: Tensor) -> NDArray[Any]:
        """Images in [0, 1], float32, shape (batch, channels, height, width), as the suspect wants them.

        Raises `ExitprintError` if it takes images of another shape.
        """
        if self.datatype == ENCODED:
            return self._files(x)
        form = self.arrangement(x.shape[1:])
        values = self._normalised(x.detach().float())
        if form.axes == "HWC" or (form.axes == "flat" and self.options.layout == "NHWC"):
            values = values.permute(0, 2, 3, 1)
        elif form.axes == "HW":
            values = values[:, 0]
        array = stored(values.contiguous(), self.datatype)
        if form.axes == "flat":
            array = array.reshape(len(array), -1)
        return array if form.batched else array[0]

    def _files(self, x: Tensor) -> NDArray[Any]:
        files = np.empty(len(x), dtype=object)
        files[:] = encoded(x, self.options.picture, self.options.quality)
        return files[:, None] if len(self.shape) == 2 else files

    def _normalised(self, x: Tensor) -> Tensor:
        options = self.options
        scale = options.scale if options.scale is not None else 1.0 if self.datatype in FLOATS else 255.0
        if scale != 1:
            x = x * scale
        for name, numbers in (("mean", options.mean), ("std", options.std)):
            if len(numbers) not in (0, 1, x.shape[1]):
                raise ExitprintError(
                    f"{name} has {len(numbers)} numbers where images have {x.shape[1]} channels: give one, or one each."
                )
        if options.mean:
            x = x - torch.tensor(options.mean).view(1, -1, 1, 1)
        if options.std:
            x = x / torch.tensor(options.std).view(1, -1, 1, 1)
        return x


def _fits(declared: Sequence[int], shape: Sequence[int]) -> bool:
    return len(declared) == len(shape) and all(d in (-1, s) for d, s in zip(declared, shape, strict=True))


def image_among(declared: Sequence[Declared], options: InputOptions) -> ImageInput:
    """The input that takes the image, among those that a model declares, and by what the user said of it.

    Raises `ExitprintError` if that is not clear.
    """
    names = ", ".join(repr(each.name) for each in declared)
    if options.input_name is not None:
        found = next((each for each in declared if each.name == options.input_name), None)
        if found is None and declared:
            raise ExitprintError(f"the model has no input {options.input_name!r}; it declares {names}.")
        found = found or Declared(options.input_name, "")
    elif not declared:
        raise ExitprintError(
            "the model does not describe its inputs: state the one that takes the image (--input-name, --input-type "
            "and --input-shape, for instance images, FP32 and -1,3,32,32)."
        )
    else:
        free = [each for each in declared if each.name not in options.inputs]
        likely = free if len(free) == 1 else [each for each in free if _may_be_image(each)]
        if len(likely) != 1:
            raise ExitprintError(
                f"the model declares {len(declared)} inputs ({names}), and {len(likely)} of them could take the image: "
                "say which does (--input-name), and what the others get (--input NAME=VALUE)."
            )
        found = likely[0]
    datatype = options.input_type or found.datatype or "FP32"
    shape = found.shape if options.input_shape is None else options.input_shape
    return ImageInput(found.name, datatype, shape, options)


def _may_be_image(declared: Declared) -> bool:
    return declared.datatype == ENCODED or len(declared.shape) >= 3 or abs(int(np.prod(declared.shape))) >= 64


def further_inputs(
    declared: Sequence[Declared], image: ImageInput, images: int, batched: bool
) -> list[tuple[Declared, NDArray[Any]]]:
    """Values that the user gave for other inputs than the image's, each as its declaration wants it.

    A type that is not declared follows from the value. Where so many images are sent in a batch, so are these. Raises
    `ExitprintError` if a value does not fit.
    """
    known = {each.name: each for each in declared}
    given = []
    for name, value in image.options.inputs.items():
        tensor = known.get(name, Declared(name, ""))
        datatype = tensor.datatype or _type_of(value)
        dtype = object if datatype == ENCODED else DATATYPES.get(datatype)
        with told(
            f"the value of the input {name!r} does not fit its type {datatype} and shape {tensor.shape}: "
            "correct it (--input NAME=VALUE).",
            (ValueError, TypeError, OverflowError),
        ):
            if dtype is None or datatype == BFLOAT16:
                raise ValueError
            array = np.asarray(value, dtype)
            wanted = tuple(
                images if d == -1 and i == 0 and batched else 1 if d == -1 else d for i, d in enumerate(tensor.shape)
            )
            if array.ndim < len(wanted):
                array = np.broadcast_to(array, wanted)
            elif not tensor.shape:
                array = np.broadcast_to(array, (images, *array.shape)) if batched and array.ndim else array.reshape(-1)
        given.append((Declared(name, datatype, array.shape), np.ascontiguousarray(array)))
    return given


def _type_of(value: Any) -> str:
    kind = np.asarray(value).dtype.kind
    return {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP32"}.get(kind, ENCODED)
