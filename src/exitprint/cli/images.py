"""Where a command's images come from: one parameter in the code, several options on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from exitprint.cli.options import DataDir

if TYPE_CHECKING:
    from exitprint.data import ImageData

KINDS = (
    "A folder of images, one folder a class; .npz, .npy or .parquet; OWNER/NAME[:CONFIG] on the Hugging Face hub; or "
    "digits, cifar10, cifar100, tiny-imagenet, fashion-mnist."
)
SOURCE = "source"


@dataclass(frozen=True)
class ImageOptions:
    """What a user says of the images; see `exitprint.data.load_data`."""

    data: Annotated[str, typer.Option(help=KINDS)]
    data_dir: DataDir = None
    limit: Annotated[int | None, typer.Option(help="Use this many training images.")] = None
    image_column: Annotated[str | None, typer.Option(help="Column, or array of an .npz, of the images.")] = None
    label_column: Annotated[str | None, typer.Option(help="Column, or array of an .npz, of the labels.")] = None
    split: Annotated[str | None, typer.Option(help="Parts for training and testing: TRAIN,TEST, or one part.")] = None
    resize: Annotated[str | None, typer.Option(help="224 for the shorter side, or 224x160, width first.")] = None
    crop: Annotated[str | None, typer.Option(help="224 or 224x160: keep the middle, after resizing.")] = None
    channels: Annotated[int | None, typer.Option(help="1 makes images grey, 3 coloured, 4 keeps transparency.")] = None

    def load(self, labelled: bool = True) -> ImageData:
        """The images, split and read; refused without labels where those are needed."""
        from exitprint.data import load_data

        options = asdict(self)
        images = load_data(options.pop("data"), **options)
        if labelled:
            images.check_labelled()
        return images


def takes_images(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `ImageOptions` in place of its parameter `source`.

    A default of that parameter names the data set that is used when none is given.
    """
    of_images = get_type_hints(ImageOptions, include_extras=True)
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []

    def take(name: str, annotation: Any, default: Any) -> None:
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        )

    for name, parameter in inspect.signature(command).parameters.items():
        if name != SOURCE:
            take(name, hints[name], parameter.default)
            continue
        usual = parameter.default.data if isinstance(parameter.default, ImageOptions) else inspect.Parameter.empty
        take("data", of_images["data"], usual)
        for field in fields(ImageOptions)[1:]:
            take(field.name, of_images[field.name], field.default)

    @wraps(command)
    def with_options(**given: Any) -> None:
        source = ImageOptions(**{field.name: given.pop(field.name) for field in fields(ImageOptions)})
        command(**given, **{SOURCE: source})

    del with_options.__wrapped__
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options
