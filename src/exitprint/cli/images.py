"""Where a command's images come from: one parameter in the code, several options on the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from exitprint.cli.grouped import grouped
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


takes_images = grouped(SOURCE, ImageOptions)
"""Give a command the options of `ImageOptions` in place of its parameter `source`, whose default is theirs."""
