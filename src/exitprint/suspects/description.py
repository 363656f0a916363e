"""What an image upload is: a TOML file that says how a service is asked, and where its answer stands."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from exitprint.errors import ExitprintError
from exitprint.strict import Strict
from exitprint.suspects.address import Address, taken_apart
from exitprint.suspects.environment import FIELD_NAME, sendable

Scalar = str | int | float | bool
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Body(Strict):
    """How the image is sent.

    Attributes
    ----------
    kind
        ``multipart`` for a form with a file, ``raw`` for the file alone, ``json`` for base64 in JSON.
    field
        Of the form: the file's field.
    at
        In JSON: where the base64 text stands, as in ``instances.0.image``.
    prefix
        In JSON: what stands before the base64 text, as in ``data:image/png;base64,``.
    with
        What is sent beside the image: further fields of the form, or members of the JSON.
    several
        Whether one request may hold several images: the field is repeated, or a list stands at `at`.
    """

    kind: Literal["multipart", "raw", "json"]
    field: Text = "file"
    at: Text = "image"
    prefix: str = ""
    beside: dict[str, Any] = Field(default_factory=dict, alias="with")
    several: bool = False

    @model_validator(mode="after")
    def _check(self) -> Body:
        if self.kind == "raw" and (self.several or self.beside):
            raise ValueError("a raw body is one image and nothing else: leave out several and with")
        return self


class Picture(Strict):
    """The file that an image becomes.

    Attributes
    ----------
    format, quality
        ``png``, or ``jpeg`` of a quality from 1 to 100.
    resize
        Height and width that it is enlarged or shrunk to.
    """

    format: Literal["png", "jpeg"] = "png"
    quality: int = Field(default=95, ge=1, le=100)
    resize: tuple[Annotated[int, Field(gt=0, le=8192)], Annotated[int, Field(gt=0, le=8192)]] | None = None


class Reading(Strict):
    """Where the answer stands in the JSON that comes back; without any of it only the time counts.

    Attributes
    ----------
    label
        Path to the label, a number or one of `classes`.
    probabilities
        Path to a list of numbers, or to an object of numbers by class.
    classes
        The classes' names in the order of their numbers.
    """

    label: Text | None = None
    probabilities: Text | None = None
    classes: tuple[str, ...] = ()


class Description(Strict):
    """An upload as its TOML file describes it.

    Attributes
    ----------
    address, method, headers
        Of the request. A header's value ``$NAME`` is taken from the environment.
    body, image, answer
        See `Body`, `Picture` and `Reading`.
    """

    address: Text
    method: Literal["POST", "PUT"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    body: Body
    image: Picture = Picture()
    answer: Reading = Reading()

    def sent_headers(self) -> dict[str, str]:
        """The headers, with what the environment holds put in.

        Raises `ExitprintError` if the environment lacks a variable, or a header cannot be sent.
        """
        headers = {}
        for name, value in self.headers.items():
            if not FIELD_NAME.fullmatch(name):
                raise ExitprintError(f"{name!r} can be no header's name: correct it under [headers].")
            if value.startswith("$"):
                if value[1:] not in os.environ:
                    raise ExitprintError(
                        f"the header {name!r} is to be {value}, which is not set: set it, or write it out."
                    )
                value = os.environ[value[1:]]
            headers[name.lower()] = sendable(value, f"the header {name!r}")
        return headers

    def taken_apart(self) -> Address:
        """The address; refused where it is none for HTTP."""
        address = taken_apart(self.address)
        if address.scheme not in ("http", "https"):
            raise ExitprintError(f"an image is uploaded to an http or https address, and not to {address.scheme!r}.")
        return address


def read_description(path: str | os.PathLike[str]) -> Description:
    """Read an upload's description.

    Raises `ExitprintError` if the file is missing, no TOML, or lacks or misspells something: that is named, with its
    line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ExitprintError(f"cannot read {str(path)!r} ({why}): check the path.") from error
    try:
        return Description.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ExitprintError(f"{str(path)!r} is not TOML: {error}.") from error
    except RecursionError as error:
        raise ExitprintError(f"{str(path)!r} is nested too deeply to be the description of an upload.") from error
    except ValidationError as error:
        raise ExitprintError(_why(str(path), text, error)) from error


def _why(path: str, text: str, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    keys = [str(key) for key in first["loc"]]
    line = _line(text, keys)
    name = ".".join(keys) or "the description"
    what = {
        "missing": f"{name!r} is missing",
        "extra_forbidden": f"{name!r} is not known here",
    }.get(first["type"], f"{name!r} cannot be used: {first['msg'].removeprefix('Value error, ')}")
    return f"{path!r}, line {line}: {what}; exitprint describe-service writes a commented example."


def _line(text: str, keys: Sequence[str]) -> int:
    """Where a key stands, or the table that it is missing from; 1 for a table that is not there."""
    table, found = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
        if header:
            table = header[1]
            if keys[:-1] and table.split(".") == list(keys[: len(table.split("."))]):
                found = number
        key = re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line)
        if key and [*filter(None, table.split(".")), key[1]] == list(keys[: len(table.split(".")) + 1 if table else 1]):
            return number
    return found
