"""`exitprint describe-service`: a commented description of an image upload, tried with one image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from exitprint.cli.options import out
from exitprint.cli.outputs import check_writable
from exitprint.errors import ExitprintError, told

if TYPE_CHECKING:
    from torch import Tensor

    from exitprint.suspects.describing import Seen

SHOWN = 600


def describe_service(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="The http(s) address that takes an image, or a .toml to try again.")
    ],
    out_file: Annotated[
        Path | None, typer.Option("--out", help="The .toml to write. Default: service.toml, if SERVICE is an address.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="A picture to try it with. Default: one of noise, of --size.")
    ] = None,
    size: Annotated[int, typer.Option(help="Height and width of the noise.")] = 32,
    body: Annotated[
        Literal["multipart", "raw", "json"] | None, typer.Option(help="How it takes the image. Default: found out.")
    ] = None,
    field: Annotated[str | None, typer.Option(help="Field of the form, or path in the JSON.")] = None,
    picture: Annotated[Literal["png", "jpeg"], typer.Option("--format", help="What is sent.")] = "png",
    quality: Annotated[int, typer.Option(help="Of a JPEG, 1 to 100.")] = 95,
) -> None:
    """Find out how a service takes an image, write that down with comments, and say what it answered.

    At most four requests are sent; headers come from EXITPRINT_TOKEN and EXITPRINT_HEADERS.
    """
    from exitprint.files import write_bytes
    from exitprint.suspects.describing import CANDIDATES, described, try_service, written
    from exitprint.suspects.description import Body, Picture, read_description

    x = _image(image, size)
    if service.lower().endswith(".toml"):
        if body or field or out_file:
            raise ExitprintError("SERVICE is a description already: change it there, and leave out the other options.")
        description = read_description(service)
        _say(try_service(description, x, [description.body], look=False))
        return
    target = out_file or Path("service.toml")
    check_writable(target)
    if target.exists():
        raise ExitprintError(f"{str(target)!r} is there already: try it (describe-service {target}), or name another.")
    if field is not None and body not in ("multipart", "json"):
        raise ExitprintError("--field says nothing without --body multipart or json: add it.")
    if not 1 <= quality <= 100:
        raise ExitprintError(f"a quality of {quality} is none from 1 to 100: correct it.")
    bodies = CANDIDATES
    if body is not None:
        usual = Body(kind=body)
        named = {} if field is None else {"at" if body == "json" else "field": field}
        bodies = (usual.model_copy(update=named),)
    seen = try_service(described(service, Picture(format=picture, quality=quality)), x, bodies, look=True)
    write_bytes(target, written(seen.description).encode())
    _say(seen)
    out.print(f"{target} is written: look it over, then give it as the suspect.")


def _image(path: Path | None, size: int) -> Tensor:
    """One image in [0, 1], shape (1, channels, height, width)."""
    import torch

    from exitprint.data import unit_range
    from exitprint.data.picture import Fit, is_grey, pixels_of

    if path is None:
        if not 1 <= size <= 4096:
            raise ExitprintError(f"--size {size} is none from 1 to 4096: correct it.")
        noise = torch.randint(0, 256, (1, 3, size, size), generator=torch.Generator().manual_seed(0))
        return noise / 255
    with told(f"{str(path)!r} cannot be read as a picture (it {{why}})."):
        pixels = pixels_of(path, 1 if is_grey(path) else 3, Fit())
    return unit_range(torch.tensor(pixels).permute(2, 0, 1)[None])


def _say(seen: Seen) -> None:
    from exitprint.reports.text import duration
    from exitprint.suspects.address import printable
    from exitprint.suspects.describing import named

    for each in seen.refused:
        out.print(f"refused {each}")
    took = "an unknown time, after a fault" if seen.seconds is None else duration(seen.seconds)
    tries = "1 request" if seen.requests == 1 else f"{seen.requests} requests"
    out.print(f"It takes {named(seen.description.body)}, and answered after {took} ({tries} in all):")
    out.print(printable(seen.body[:SHOWN].decode(errors="replace"), SHOWN))
    answer = seen.description.answer
    found = [
        f"{what} at {path!r}"
        for what, path in (("a label", answer.label), ("probabilities", answer.probabilities))
        if path
    ]
    out.print(
        f"In it: {' and '.join(found) or 'no label that was recognised; the time is enough to verify'}.", markup=False
    )
    if seen.times:
        out.print(f"It says a time of its own in {', '.join(seen.times)} (--server-clock).")
