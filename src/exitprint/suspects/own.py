"""A user's own function as a suspect: his client for a service that speaks no protocol known here."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np
from torch import Tensor

from exitprint.errors import ExitprintError, check_there
from exitprint.suspects.options import SuspectOptions, options_of
from exitprint.suspects.outputs import read_outputs
from exitprint.suspects.pace import Fault
from exitprint.suspects.paced import Paced
from exitprint.suspects.suspect import Answer, Closing, Metered, WithFloor

OWN = re.compile(r"(?P<module>.+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)")


class TryAgain(Exception):  # noqa: N818
    """Raised by a user's function where asking again may succeed.

    Parameters
    ----------
    why
        What happened, in a few words.
    pause
        How long the service asked to wait, in seconds.
    too_often
        Whether it was asked too often: then it is asked at a lower rate from now on.
    """

    def __init__(self, why: str = "asked to try again", pause: float | None = None, too_often: bool = False) -> None:
        super().__init__(why)
        self.pause = pause
        self.too_often = too_often


class CallableSuspect(Paced):
    """A user's own function as a suspect; whatever it returns, its time counts.

    It may return labels, probabilities or logits, one for each image. What it raises ends the asking, but for
    `TryAgain` and faults of the network (`OSError`, and what httpx and requests raise for them), after which it is
    called again.

    Parameters
    ----------
    send
        Takes what `encode` gives, sends it, waits for the answer. Only this is inside the time.
    encode
        Takes images in [0, 1], float32, shape (batch, channels, height, width), and gives what is sent. Without it,
        `send` takes the images, and whatever it does before sending is inside the time.
    **options
        Of `SuspectOptions`: amplification, rate, budget and patience.

    Attributes
    ----------
    requests, bytes_sent
        Calls of `send` so far, and the bytes that it was given where they are bytes.
    """

    def __init__(
        self, send: Callable[[Any], Any], encode: Callable[[Tensor], Any] | None = None, **options: Any
    ) -> None:
        said: SuspectOptions = options_of(options)
        unused = said.said.keys() - {"amplification", "rate", "budget", "patience"}
        if unused:
            raise ExitprintError(
                f"{', '.join(sorted(unused))}: what a function of your own sends is for itself to say; leave it out."
            )
        self._send = send
        self._encode = encode
        self._name = f"your function {getattr(send, '__qualname__', type(send).__name__)!r}"
        self._bytes: int | None = 0
        super().__init__(said, self._name, "check that the service runs.")

    @property
    def bytes_sent(self) -> int | None:
        """Bytes that `send` was given so far; None where it was given something else."""
        return self._bytes

    @property
    def bytes_received(self) -> None:
        """Nobody counts them."""

    def ask(self, x: Tensor) -> Answer:
        """Encode, call the function, and say how long the call took.

        Raises
        ------
        ExitprintError
            If a function fails for good, or gives what cannot be an answer.
        BudgetSpent
            If the budget allows no further call.
        """
        copies = self.amplification
        x = x.repeat_interleave(copies, 0)
        content = x
        if self._encode is not None:
            with _named("your function 'encode'"):
                content = self._encode(x)
        (said, seconds), at_once = self.pace.insist(lambda: self._once(content))
        times = np.full(len(x) // copies, seconds) if at_once else None
        return Answer(times, "measured", *self._read(said, len(x)))

    def _once(self, content: Any) -> tuple[Any, float]:
        counted = isinstance(content, bytes | bytearray) and self._bytes is not None
        self._bytes = (self._bytes or 0) + len(content) if counted else None
        with _named(self._name):
            start = perf_counter()
            try:
                said = self._send(content)
            except TryAgain as error:
                self.pace.reached = True
                raise Fault(str(error), error.pause, error.too_often) from error
            except Exception as error:
                if _of_the_network(error):
                    raise Fault(f"could not reach the service ({_short(error)})") from error
                raise
            return said, perf_counter() - start

    def _read(self, said: Any, images: int) -> tuple[Any, Any]:
        if inspect.isawaitable(said) or inspect.isgenerator(said) or inspect.isasyncgen(said) or callable(said):
            close = getattr(said, "close", None)
            if close is not None:
                close()
            raise ExitprintError(
                f"{self._name} returned a {type(said).__name__} at once, so nothing can be timed: "
                "let it wait for the answer and return that, or nothing."
            )
        if isinstance(said, Tensor):
            said = said.detach().cpu().numpy()
        try:
            array = np.asarray(said)
        except Exception:
            return None, None
        says = array.ndim > 0 and array.dtype.kind in "fiu"
        return read_outputs([array], images, self.amplification) if says else (None, None)


def _of_the_network(error: Exception) -> bool:
    if isinstance(error, OSError):
        return not isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError)
    httpx = sys.modules.get("httpx")
    return httpx is not None and isinstance(error, httpx.TransportError)


@contextmanager
def _named(function: str) -> Iterator[None]:
    """Turn what a user's code raises into a sentence that says where."""
    try:
        yield
    except (ExitprintError, Fault):
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise ExitprintError(
            f"{function} raised {_short(error)} in line {place.lineno} of {Path(place.filename).name!r}: correct it."
        ) from error


def _short(error: BaseException) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def is_own(argument: str) -> bool:
    """Whether this names a function of the user's: ``file.py:function`` or ``package.module:function``."""
    return OWN.fullmatch(argument) is not None


def own_suspect(argument: str, **options: Any) -> Closing:
    """The suspect that a user's own module makes.

    Raises `ExitprintError` if there is no such thing, or it can be no suspect.

    Parameters
    ----------
    argument
        ``path/file.py:name`` or ``package.module:name``. The name is of a function that takes images; or of a class
        that is made without arguments, and keeps a session: with methods `encode` and `send`, or with `ask` (a
        `Suspect`), or that can be called with images. It is entered and closed where it is a context manager.
    **options
        See `CallableSuspect`.
    """
    found = OWN.fullmatch(argument)
    assert found is not None
    thing: Any = _module(found["module"])
    for part in found["name"].split("."):
        if not hasattr(thing, part):
            names = [name for name, each in vars(thing).items() if callable(each) and not name.startswith("_")]
            raise ExitprintError(
                f"{found['module']!r} has no {found['name']!r}; it has {', '.join(names[:12]) or 'no functions'}."
            )
        thing = getattr(thing, part)
    if inspect.isclass(thing):
        with _named(f"your class {found['name']!r}"):
            thing = thing()
            if hasattr(thing, "__enter__"):
                thing = thing.__enter__()
    if hasattr(thing, "ask"):
        if options_of(options).said:
            raise ExitprintError(f"{argument!r} is a suspect of its own making: leave out {', '.join(options)}.")
        return _as_it_is(thing)
    return _Session(thing, argument, options)


def _as_it_is(thing: Any) -> Closing:
    """A user's own suspect, closed with its block; what else it has of a suspect's is handed on."""
    names = {name for kind in (Metered, WithFloor) for name in dir(kind) if not name.startswith("_")}

    class Own(Closing):
        def close(self) -> None:
            _close(thing)

    for name in filter(partial(hasattr, thing), names):
        setattr(Own, name, property(lambda self, name=name: getattr(thing, name)))  # type: ignore[misc]
    return Own()


def _close(thing: Any) -> None:
    with _named(f"your class {type(thing).__name__!r}"):
        if hasattr(thing, "__exit__"):
            thing.__exit__(None, None, None)
        elif callable(getattr(thing, "close", None)):
            thing.close()


class _Session(CallableSuspect):
    """A function, or an object that holds a session and is closed with the suspect."""

    def __init__(self, thing: Any, argument: str, options: dict[str, Any]) -> None:
        send, encode = getattr(thing, "send", None), getattr(thing, "encode", None)
        if not callable(send) or inspect.isfunction(thing):
            send, encode = thing, None
        for function in (send, encode):
            if function is not None:
                _check_takes_one(function, argument)
        super().__init__(send, encode, **options)
        self._thing = thing

    def close(self) -> None:
        """Close what the user's class holds open."""
        _close(self._thing)


def _check_takes_one(function: Any, argument: str) -> None:
    if not callable(function):
        raise ExitprintError(
            f"{argument!r} is no function but a {type(function).__name__}: name one that takes images."
        )
    if inspect.iscoroutinefunction(function):
        raise ExitprintError(f"{argument!r} is an async function: give one that waits for the answer and returns it.")
    try:
        inspect.signature(function).bind(None)
    except TypeError as error:
        raise ExitprintError(f"{argument!r} does not take one argument, the images ({error}): change it.") from error
    except ValueError:
        pass


def _module(name: str) -> ModuleType:
    path, is_file = Path(name), name.endswith(".py")
    if is_file:
        check_there(name)
    folder = str(path.resolve().parent if is_file else Path.cwd())
    sys.path.insert(0, folder)
    try:
        with _named(f"your {'file' if is_file else 'module'} {name!r}"):
            return _of_file(path) if is_file else importlib.import_module(name)
    finally:
        sys.path.remove(folder)


def _of_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
