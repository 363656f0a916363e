"""Finding out how a service takes an image, and where its answer stands: a description that somebody can go on with."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.suspects.description import Body, Description, Picture, Reading
from exitprint.suspects.upload import UploadSuspect

CANDIDATES: tuple[Body, ...] = (
    Body(kind="multipart", field="file"),
    Body(kind="multipart", field="image"),
    Body(kind="raw"),
    Body(kind="json", at="image"),
)
LABELS = ("label", "class", "class_id", "prediction", "predicted_class", "index", "category", "name")
DEEPEST = 6
"""Depth to which labels and probabilities are looked for in a JSON answer."""


@dataclass(frozen=True)
class Seen:
    """What a service answered to one image.

    Attributes
    ----------
    description
        With where the answer seems to stand.
    body
        What it answered.
    seconds
        How long it took; None where the request had to be repeated.
    requests
        Sent to find out.
    times
        Headers in which it says a time of its own.
    refused
        What was tried before, and what the service said to it.
    """

    description: Description
    body: bytes
    seconds: float | None
    requests: int
    times: tuple[str, ...]
    refused: tuple[str, ...]


def try_service(description: Description, x: Tensor, bodies: Sequence[Body], look: bool, timeout: float = 30.0) -> Seen:
    """Ask a service once, with one image in [0, 1], for each way of sending that may be right, until it answers.

    The bodies are tried in place of the description's. `look` looks for where the answer stands, in place of what is
    described. Raises `ExitprintError` if the service cannot be reached within `timeout` seconds, refuses every way, or
    has not answered where it is described.
    """
    requests, refused = 0, []
    for body in bodies:
        tried = description.model_copy(update={"body": body})
        with UploadSuspect(tried, timeout=timeout, patience=timeout if len(bodies) == 1 else 0) as suspect:
            try:
                answer, seconds, headers = suspect.exchange(x)
            except ExitprintError as error:
                if len(bodies) == 1 or not suspect.pace.reached:
                    raise
                refused.append(f"{named(body)}: {error}")
                continue
            finally:
                requests += suspect.requests
            if look:
                tried = tried.model_copy(update={"answer": reading_of(answer)})
            else:
                suspect.read(answer)
            times = tuple(name for name in headers if name == "server-timing" or name.endswith(("-time", "-time-ms")))
            return Seen(tried, answer, seconds, requests, times, tuple(refused))
    raise ExitprintError(f"the service refused every way of sending that was tried ({'; '.join(refused)}).")


def named(body: Body) -> str:
    """A body in a few words."""
    if body.kind == "multipart":
        return f"a form with the file in {body.field!r}"
    return "the file alone" if body.kind == "raw" else f"JSON with base64 at {body.at!r}"


def reading_of(answer: bytes) -> Reading:
    """Where label and probabilities seem to stand in an answer."""
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return Reading()
    places = list(_places(said, "", 0))
    label = next((path for name in LABELS for path, value in places if _is_label(path, name, value)), None)
    rows = [path for path, value in places if _are_probabilities(value)]
    return Reading(label=label, probabilities=rows[0] if rows else None)


def _places(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if path:
        yield path, value
    if depth < DEEPEST and isinstance(value, dict):
        for name, each in value.items():
            if name and "." not in name:
                yield from _places(each, f"{path}.{name}" if path else name, depth + 1)
    elif depth < DEEPEST and isinstance(value, list) and value:
        yield from _places(value[0], f"{path}.0" if path else "0", depth + 1)


def _is_label(path: str, name: str, value: Any) -> bool:
    last = [step for step in path.split(".") if not step.isdecimal()][-1:]
    return last == [name] and isinstance(value, int | str) and not isinstance(value, bool)


def _are_probabilities(value: Any) -> bool:
    numbers = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(numbers, list) or len(numbers) < 2:
        return False
    if not all(isinstance(each, int | float) and not isinstance(each, bool) and each >= 0 for each in numbers):
        return False
    return math.isclose(sum(numbers), 1, abs_tol=0.02)


def written(description: Description) -> str:
    """The description as a TOML file with comments, in which everything that can be said stands."""
    body, image, answer = description.body, description.image, description.answer
    headers = "".join(f"{_key(name)} = {_text(value)}\n" for name, value in description.headers.items())
    beside = "".join(f"{_key(name)} = {_value(value)}\n" for name, value in body.beside.items())
    size = f"resize = [{image.resize[0]}, {image.resize[1]}]" if image.resize else "# resize = [224, 224]"
    return f"""\
# How a service takes an image, for exitprint verify, probe and steal. Only the time of the answer is evidence.
address = {_text(description.address)}
method = {_text(description.method)}  # or "PUT"

[headers]
# authorization = "$MY_TOKEN"  # a value that begins with $ is taken from the environment
{headers}
[body]
kind = {_text(body.kind)}  # "multipart": a form; "raw": the file alone; "json": base64 in JSON
field = {_text(body.field)}  # multipart: the form's field
at = {_text(body.at)}  # json: where the base64 text stands, as in "instances.0.image"
prefix = {_text(body.prefix)}  # json: what stands before it, as in "data:image/png;base64,"
several = {str(body.several).lower()}  # whether one request may hold several images: then --amplification works

[body.with]  # sent beside the image: fields of the form, or members of the JSON
{beside}# top_k = 1

[image]
format = {_text(image.format)}  # "png" is exact; "jpeg" changes pixels, and with them what was crafted
quality = {image.quality}  # of a JPEG
{size}  # height and width that are sent; left out: as the fingerprint has them

[answer]  # where things stand in the JSON that comes back; steal needs one of them, verify none
{_line("label", answer.label)}
{_line("probabilities", answer.probabilities)}
{f"classes = {json.dumps(list(answer.classes), ensure_ascii=False)}" if answer.classes else '# classes = ["cat", "dog"]'}  # names in the order of their numbers, where labels are words
"""  # noqa: E501


def _line(name: str, path: str | None) -> str:
    return f'# {name} = "path.to.it"' if path is None else f"{name} = {_text(path)}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)


def described(address: str, image: Picture) -> Description:
    """A description to begin with; refused where the address can be none."""
    description = Description(address=address, body=CANDIDATES[0], image=image)
    description.taken_apart()
    return description
