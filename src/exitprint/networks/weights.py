"""Weights that somebody else saved, read without running code from them."""

from __future__ import annotations

import json
import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from exitprint.errors import ExitprintError, check_there

USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
"""What weights are usually kept under, in the order of preference where several sets of them fit."""
AVERAGED = ("ema", "averaged", "swa")
WRAPPERS = ("module", "_orig_mod")
"""What `DataParallel`, `AveragedModel` and `torch.compile` put into a name, at any depth."""
TRAINED = ("weight", "bias", "running_mean", "running_var")
DEEPEST = 5
"""Depth of dictionaries in which weights are looked for."""
SHOWN = 4
"""So many names are said in a sentence."""
HEAD = 4096
"""Bytes by which the format of a file is told."""
CONVERT = 'torch.save(torch.load("old.pt", weights_only=False)["state_dict"], "weights.pt")'


@dataclass(frozen=True)
class Loaded:
    """What of a file went into a module.

    Attributes
    ----------
    container
        Under which keys the weights lay, such as ``['ema']['state_dict']``; empty at the top.
    ignored
        Names of tensors beside them that the module has no place for.
    """

    container: str
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        where = f"the weights are those under {self.container}" if self.container else ""
        rest = f"{listed(self.ignored)} of the file belongs to no part of the module and is left out"
        return "; ".join(part for part in (where, rest if self.ignored else "") if part)


@dataclass(frozen=True)
class _Candidate:
    """A set of weights in a file: names as the module has them, and what else lies beside."""

    container: str
    tensors: dict[str, Tensor]
    ignored: list[str]
    missing: list[str]
    wrong: list[str]


def load_weights(module: nn.Module, path: str | os.PathLike[str]) -> Loaded:
    """Put the weights of a file into a module of the user's.

    A `.safetensors` file, or one of `torch.save` read with ``weights_only=True``. The weights may lie within other
    things (``state_dict``, ``model``, ``ema_state_dict``, one in another), beside an optimiser's state, and their names
    may have anything in front that all share, or ``module.`` and ``_orig_mod.`` anywhere. Of several sets that fit the
    one of the usual name is taken rather than an average (EMA).

    Raises `ExitprintError` if the file is missing, damaged or no checkpoint, or its weights do not fit the module.
    """
    source = Path(path)
    check_there(source)
    wanted = module.state_dict()
    found = [_fitted(container, tensors, wanted) for container, tensors in _sets(_content(source), "")]
    if not found:
        raise ExitprintError(f"{str(source)!r} holds no dictionary of weights: save module.state_dict().")
    chosen = _chosen(found, source)
    _check(chosen, wanted, source)
    module.load_state_dict(chosen.tensors, strict=False)
    return Loaded(chosen.container, tuple(chosen.ignored))


def listed(names: Sequence[str]) -> str:
    """A few of these names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more


def _sets(content: Any, where: str) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every dictionary of tensors in a file's content."""
    if not isinstance(content, Mapping) or where.count("[") > DEEPEST:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if tensors:
        yield where, tensors
    for name, value in content.items():
        if isinstance(name, str):
            yield from _sets(value, f"{where}[{name!r}]")


def _bare(name: str) -> str:
    """A name without what wrappers put into it."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _fitted(container: str, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> _Candidate:
    """A set of tensors under the module's names: whatever is in front of them falls away."""
    place = {_bare(name): name for name in wanted}
    bare = {_bare(name): name for name in tensors}
    fronts: dict[str, int] = {"": 0}
    for name in bare:
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in place:
                front = "".join(f"{part}." for part in parts[:cut])
                fronts[front] = fronts.get(front, 0) + 1
    front = max(fronts, key=lambda each: (fronts[each], -len(each)))
    fitted, ignored = {}, []
    for name, original in bare.items():
        target = place.get(name.removeprefix(front)) if name.startswith(front) else None
        if target is None:
            ignored.append(original)
        else:
            fitted[target] = tensors[original]
    counted = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = sorted(set(wanted) - set(fitted) - counted)
    wrong = [name for name, tensor in fitted.items() if tensor.shape != wanted[name].shape]
    return _Candidate(container, fitted, sorted(ignored), missing, wrong)


def _chosen(found: Sequence[_Candidate], source: Path) -> _Candidate:
    """The set that fits the module, or comes nearest."""
    fitting = [each for each in found if not each.missing and not each.wrong]
    if not fitting:
        return max(found, key=lambda each: (len(each.tensors) - len(each.wrong), -len(each.ignored)))
    plain = [each for each in fitting if not any(word in each.container.lower() for word in AVERAGED)] or fitting

    def rank(each: _Candidate) -> int:
        keys = re.findall(r"\['(.*?)'\]", each.container)
        return min((USUAL.index(key) for key in keys if key in USUAL), default=len(USUAL) if keys else -1)

    best = [each for each in plain if rank(each) == min(map(rank, plain))]
    if len(best) > 1 and any(not _same(best[0].tensors, each.tensors) for each in best[1:]):
        places = " and ".join(each.container for each in best)
        raise ExitprintError(f"{str(source)!r} holds several sets of weights that fit, {places}: save the right one.")
    return best[0]


def _same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return all(a[name].shape == b[name].shape and torch.equal(a[name], b[name]) for name in a.keys() & b.keys())


def _check(chosen: _Candidate, wanted: Mapping[str, Tensor], source: Path) -> None:
    first = {_bare(name).split(".")[0] for name in wanted}
    deeper = [
        name
        for name in chosen.ignored
        if name.split(".")[-1] in TRAINED and "." in name and first & set(_bare(name).split(".")[:-1])
    ]
    if chosen.missing or deeper:
        what = [
            *([f"{listed(chosen.missing)} of the module is missing"] if chosen.missing else []),
            *([f"{listed(deeper)} is not in the module"] if deeper else []),
        ]
        raise ExitprintError(
            f"the weights in {str(source)!r} do not fit this module ({'; '.join(what)}; {len(chosen.tensors)} fit): "
            "check that the factory builds the network that they were saved from."
        )
    if chosen.wrong:
        wrong = chosen.wrong[0]
        raise ExitprintError(
            f"the weights in {str(source)!r} do not fit this module: {wrong!r} is {tuple(chosen.tensors[wrong].shape)} "
            f"and should be {tuple(wanted[wrong].shape)}."
        )


def _content(path: Path) -> Any:
    if other := _no_checkpoint(path):
        raise ExitprintError(f"{str(path)!r} is {other}.")
    try:
        return load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)|global ([\w.]+)", str(error))
        thing = f" ({named[1] or named[2]})" if named else ""
        raise ExitprintError(
            f"{str(path)!r} holds more than weights{thing}, which could run code when opened, so it is not read: where "
            f"you trust it, convert it by {CONVERT}, with the key that the weights lie under, or .state_dict() of a "
            "whole module."
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise ExitprintError(f"{str(path)!r} is not a readable file of weights: get a whole copy.") from error


def _no_checkpoint(path: Path) -> str | None:
    """What a file is, where it is clearly no file of weights, and what to do about it."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    text = head.lstrip().lower()
    if not head:
        return "empty: get a whole copy"
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS and not the weights themselves: run `git lfs pull`, or download the file"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page and not the weights: download the file itself, not the page that shows it"
    if text.startswith((b"{", b"[")):
        return _of_json(path)
    if head.startswith(b"\x89HDF"):
        return "an HDF5 file, as Keras writes: save the weights of a torch module as .safetensors"
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return "an archive that is still packed: unpack it first"
    if path.suffix == ".onnx":
        return "an ONNX model, which has no names of a module's weights: give the weights that it was exported from"
    if head.startswith(b"PK"):
        return _of_zip(path)
    return None


def _of_json(path: Path) -> str:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return "text and not weights: give the file of the weights itself"
    if isinstance(content, dict) and isinstance(content.get("weight_map"), dict):
        parts = sorted({str(part) for part in content["weight_map"].values()})
        return f"an index of weights that lie in {listed(parts)}: join them into one .safetensors file"
    return "JSON and not weights: give the file of the weights itself"


def _of_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return None
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return "TorchScript, which holds a program: save the module's state_dict() with torch.save"
    if any(name.endswith("archive_format") or name.endswith("serialized_exported_program.json") for name in names):
        return "a program of torch.export: save the module's state_dict() with torch.save"
    if any(name.endswith(".npy") for name in names):
        return "an archive of NumPy arrays: save the weights as .safetensors under the names that the module has"
    if not any(name.endswith("data.pkl") for name in names):
        return "a ZIP archive of other things: unpack it, and give the file of the weights in it"
    return None
