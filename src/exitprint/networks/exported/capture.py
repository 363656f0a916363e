"""A module's forward pass, as `torch.export` sees it: the form that is asked for, and what is said where it cannot."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from exitprint.errors import ExitprintError, in_short, told
from exitprint.networks.exported.answer import leaves, nothing_in
from exitprint.networks.exported.plain import inline, plain_copy
from exitprint.networks.exported.reading import Capture, Reading

SWITCH = re.compile("infer|early|exit|adapt|fast|dynamic|train", re.IGNORECASE)
"""What the name of an attribute holds that says whether a module leaves early."""


class _Leaves(nn.Module):
    """A module that answers every tensor in a module's answer that may be logits."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module, self.method = module, method
        self.training = False

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor for _, tensor in leaves(getattr(self.module, self.method)(x)))


@torch.no_grad()
def exits_in_training(module: nn.Module, x: Tensor) -> tuple[int, list[str]]:
    """How many logits a module answers when it is told that it is trained, and which settings tell it.

    Beside it itself, those of its parts are told that hold layers and ask whether they are trained; no layer is.
    """
    parts = [name for name, part in module.named_modules() if name and _asks_whether_trained(part)]
    settings = ["training", *[f"{name}.training" for name in parts]]
    copied = plain_copy(module)
    _set(copied, dict.fromkeys(settings, True))
    try:
        widths = [tensor.shape[-1] for _, tensor in leaves(copied(x)) if tensor.ndim == 2]
    except Exception:  # the user's module raises what it likes
        widths = []
    exits = max((widths.count(width) for width in widths), default=0)
    return (exits, settings) if exits > 1 else (0, [])


def _asks_whether_trained(part: nn.Module) -> bool:
    if next(part.children(), None) is None:
        return False
    try:
        return "self.training" in inspect.getsource(type(part).forward)
    except (OSError, TypeError):  # no source at hand
        return False


@contextlib.contextmanager
def no_fast_path() -> Iterator[None]:
    """Turn off the fused kernels of `nn.TransformerEncoder`, which `torch.export` does not see."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@torch.no_grad()
def capture(
    module: nn.Module, x: Tensor, method: str = "forward", settings: Mapping[str, Any] | None = None
) -> Capture:
    """The operators that a module runs on a batch of images.

    Raises `ExitprintError` if the module takes more than one input, its control flow depends on the data, it works for
    one batch size only, it runs an operator that cannot be kept, or it does not return logits.

    Parameters
    ----------
    module
        Any module that returns logits; it is copied, and the copy is put into evaluation mode.
    x
        Images as the module wants them, shape (batch, channels, height, width), at least two.
    method
        What is called with them.
    settings
        Attributes that the copy gets before, by their names in the module (``part.name`` of a part's).
    """
    copied = plain_copy(module)
    _set(copied, settings or {})
    call = getattr(copied, method, None)
    if not callable(call):
        raise ExitprintError(
            f"this module has no method {method!r}: it has {', '.join(_methods(copied)) or 'forward'}."
        )
    _check_one_input(call)
    with told("this module cannot answer the example: {why}"):
        answer = copied(x) if method == "forward" else call(x)
    if not leaves(answer):
        raise ExitprintError(nothing_in(answer))
    program = _exported(_Leaves(copied, method), x)
    inline(program)
    return Reading(program, copied, x, answer).result(call)


def _set(module: nn.Module, settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        where, _, attribute = name.rpartition(".")
        part = dict(module.named_modules()).get(where)
        if part is None or not hasattr(part, attribute):
            likely = ", ".join(_switches(module)) or "none that looks like one"
            raise ExitprintError(f"this module has no setting {name!r}; of its switches it has {likely}.")
        setattr(part, attribute, value)


def _switches(module: nn.Module) -> dict[str, bool]:
    """Attributes that are true or false and by their names say when the module leaves early."""
    found = {}
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, bool) and name != "training" and SWITCH.search(name):
                found[f"{path}.{name}" if path else name] = value
    return found


def _methods(module: nn.Module) -> list[str]:
    """Methods of the user's that take images in place of `forward`."""
    found = []
    for name, value in vars(type(module)).items():
        if inspect.isfunction(value) and name != "forward" and (name.lstrip("_").startswith("forward")):
            required = [p for p in inspect.signature(value).parameters.values() if p.default is p.empty]
            if len(required) == 2:
                found.append(name)
    return found


def _other_forms(module: nn.Module, x: Tensor) -> str:
    """How to reach the form of a module that computes every exit."""
    ways = []
    if settings := exits_in_training(module, x)[1]:
        ways.append(" ".join(f"--set {name}=True" for name in settings))
    ways += [f"--set {name}={not value}" for name, value in list(_switches(module).items())[:3]]
    ways += [f"--method {name}" for name in _methods(module)[:3]]
    return f" (here perhaps {', '.join(ways)})" if ways else ""


def _check_one_input(call: Any) -> None:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    wanted = [p.name for p in inspect.signature(call).parameters.values() if p.kind in kinds and p.default is p.empty]
    if len(wanted) > 1:
        raise ExitprintError(
            f"this module takes {len(wanted)} inputs ({', '.join(wanted)}) where one, the images, is needed: wrap a "
            "module that takes images and fixes the others."
        )


def _exported(module: _Leaves, x: Tensor) -> torch.export.ExportedProgram:
    quiet = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), no_fast_path(), contextlib.redirect_stderr(io.StringIO()):
            return torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.AUTO},), strict=False)
    except Exception as error:
        text = f"{type(error).__name__} {error}"
        if "data-dependent" in text.lower() or "DataDependent" in text:
            raise ExitprintError(
                "the control flow of this module depends on the data (an `if` or a loop over what was computed), so it "
                "cannot be cut into stages: give the form that computes every exit, as training uses it"
                f"{_other_forms(module.module, x)}, or compute both ways and choose with torch.where."
            ) from error
        raise ExitprintError(f"torch.export cannot follow this module: {in_short(error, 300)}") from error
    finally:
        logging.disable(quiet)
