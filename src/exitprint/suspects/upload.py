"""A service that takes an image file, as most do: described by a TOML file."""

from __future__ import annotations

import base64
import copy
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from exitprint.errors import ExitprintError, require_extra, told
from exitprint.suspects.description import Body, Description, read_description
from exitprint.suspects.options import SuspectOptions, options_of
from exitprint.suspects.outputs import read_outputs, together
from exitprint.suspects.paced import Paced
from exitprint.suspects.pictures import encoded
from exitprint.suspects.suspect import Answer

BOUNDARY = "exitprint-3f1c9a7e5b2d4860"
APPLYING = frozenset({"amplification", "rate", "budget", "timeout", "patience", "server_clock"})


class UploadSuspect(Paced):
    """A service that takes an image file over HTTP.

    The file is made before the clock starts, the answer read after it stops. Retries, rate, budget and what the
    environment says are as for `KServeSuspect`.

    Parameters
    ----------
    description
        How it is asked, or the TOML file that says so.
    **options
        Of `SuspectOptions`: amplification where the service takes several images in one request, rate, budget,
        timeout, patience, and the server's own clock in a header.

    Attributes
    ----------
    requests, bytes_sent, bytes_received
        What it has cost so far (bytes of bodies, without HTTP headers).

    Raises
    ------
    ExitprintError
        If the description cannot be used.
    """

    def __init__(self, description: Description | str | os.PathLike[str], **options: Any) -> None:
        said: SuspectOptions = options_of(options)
        if unused := said.said.keys() - APPLYING:
            raise ExitprintError(f"{', '.join(sorted(unused))}: the description of the upload says that; leave it out.")
        if not isinstance(description, Description):
            description = read_description(description)
        self.description = description
        if said.amplification > 1 and not description.body.several:
            raise ExitprintError(
                "the service takes one image in a request, so nothing can be amplified: do without, "
                "or say that it takes several (several = true under [body])."
            )
        if said.clock is not None and said.clock.source == "statistics":
            raise ExitprintError("an upload has no statistics: name a header that says the time (--server-clock).")
        require_extra("httpx", "remote")
        from exitprint.suspects.connection import Connection

        address = description.taken_apart()
        super().__init__(said, address.origin)
        query = f"?{address.query}" if address.query else ""
        self._url = f"{address.origin}{address.path}{query}"
        self._connection = Connection(address, said.timeout, self.pace, description.sent_headers())

    def ask(self, x: Tensor) -> Answer:
        """Upload each image, and say how long the exchange took; see `Answer.seconds`.

        Raises `ExitprintError` if the server fails for good, refuses, or answers what is not described; `BudgetSpent`
        if the budget allows no further request.
        """
        return together([self._ask(each) for each in x.split(1)])

    def exchange(self, x: Tensor) -> tuple[bytes, float | None, dict[str, str]]:
        """What the service answers to one image: the body, the seconds, and the headers."""
        picture = self.description.image
        file = encoded(x, picture.format, picture.quality, picture.resize)[0]
        content, kind = body_of(self.description.body, [file] * self.amplification, picture.format)
        reply = self._connection.exchange(
            self.description.method, self._url, content, {"content-type": kind}, also=frozenset({201, 202, 204})
        )
        return reply.body, reply.seconds, {name.lower(): value for name, value in reply.headers.items()}

    def _ask(self, x: Tensor) -> Answer:
        body, seconds, headers = self.exchange(x)
        if self.options.clock is not None and seconds is not None:
            seconds = self.options.clock.read(headers)
        labels, probabilities = self.read(body)
        return Answer(None if seconds is None else np.full(1, seconds), self.clock, labels, probabilities)

    def read(self, body: bytes) -> tuple[Any, Any]:
        """Label and probabilities of the one image, shapes (1,) and (1, classes), where they are described."""
        wanted = self.description.answer
        if wanted.label is None and wanted.probabilities is None:
            return None, None
        with told(
            "the service's answer is not JSON, in which [answer] could find anything: leave [answer] out.",
            (ValueError, RecursionError),
        ):
            said = json.loads(body)
        probabilities = labels = None
        if wanted.probabilities is not None:
            row = self._numbers(found_at(said, wanted.probabilities))
            _, probabilities = read_outputs([np.array([row], np.float64)], 1)
        if wanted.label is not None:
            labels = np.array([self._number(found_at(said, wanted.label))], np.int64)
        elif probabilities is not None:
            labels = probabilities.argmax(1).astype(np.int64)
        return labels, probabilities

    def _numbers(self, value: Any) -> list[float]:
        if isinstance(value, dict):
            classes = self.description.answer.classes or tuple(sorted(value))
            value = [value.get(name, 0.0) for name in classes]
        if value and isinstance(value, list) and isinstance(value[0], list | dict):
            return self._numbers(value[0])
        if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
            raise ExitprintError(
                f"at {self.description.answer.probabilities!r} the service answers no list of numbers: correct "
                "probabilities under [answer]."
            )
        return [float(each) for each in value]

    def _number(self, value: Any) -> int:
        if isinstance(value, list) and value:
            value = value[0]
        classes = self.description.answer.classes
        if isinstance(value, str) and value in classes:
            return classes.index(value)
        if isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ExitprintError(
                f"the service answers the label {str(value)[:60]!r}, which is no number and not among the classes: "
                "name all classes in their order (classes = [...] under [answer])."
            )
        return value


def body_of(body: Body, files: Sequence[bytes], kind: str) -> tuple[bytes, str]:
    """The body of a request with these files, and its content type; equally long files make equally long bodies."""
    if body.kind == "raw":
        return files[0], f"image/{kind}"
    if body.kind == "json":
        texts = [body.prefix + base64.b64encode(file).decode() for file in files]
        content: Any = copy.deepcopy(body.beside)
        content = put_at(content, steps(body.at), texts if body.several else texts[0])
        return json.dumps(content).encode(), "application/json"
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.beside.items()}
    uploads = [(body.field, (f"image.{kind}", file, f"image/{kind}")) for file in files]
    form = f"multipart/form-data; boundary={BOUNDARY}"
    request = require_extra("httpx", "remote").Request(
        "POST", "http://localhost", headers={"content-type": form}, data=fields, files=uploads
    )
    return request.read(), form


def steps(path: str) -> list[str | int]:
    """A path's steps: names, and numbers in lists."""
    return [int(step) if step.isdecimal() else step for step in path.split(".")]


def found_at(said: Any, path: str) -> Any:
    """What stands at a path in an answer.

    Raises `ExitprintError` if there is nothing; the sentence says what there is.
    """
    here = said
    for done, step in enumerate(steps(path)):
        try:
            here = here[step] if isinstance(here, list) and isinstance(step, int) else here[str(step)]
        except (KeyError, IndexError, TypeError) as error:
            there = ", ".join(map(repr, list(here)[:8])) if isinstance(here, dict) else type(here).__name__
            where = ".".join(path.split(".")[:done]) or "the top"
            raise ExitprintError(
                f"the service's answer has nothing at {path!r}; at {where} there is {there}: correct [answer]."
            ) from error
    return here


def put_at(content: Any, path: Sequence[str | int], value: Any) -> Any:
    """The content with a value at a path; lists and objects on the way are made where they are missing."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        content = content if isinstance(content, list) else []
        content += [None] * (step + 1 - len(content))
        content[step] = put_at(content[step], rest, value)
    else:
        content = content if isinstance(content, dict) else {}
        content[step] = put_at(content.get(step), rest, value)
    return content
