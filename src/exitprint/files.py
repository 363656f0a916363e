"""Files that are whole or absent: `.safetensors` with one JSON header, written atomically, read without trust.

safetensors keeps its metadata as an unordered map, so everything goes under one key: the same content gives the
same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from exitprint.errors import ExitprintError, check_there, told

HEADER_KEY = "exitprint"
ONNX_PRODUCER = b"exitprint"
"""What ONNX models that we write name as their producer, in their first bytes."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`; put it in place when the block succeeds, remove it otherwise.

    A symbolic link stays, and what it points to is replaced.

    Raises `ExitprintError` when the file cannot be written (a full disk, a missing folder, a device); an older file at
    `path` stays as it was.
    """
    target = place_of(path)
    with told(f"cannot write to {str(target.parent)!r} ({{why}}): choose another folder.", OSError):
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent or Path("."))
        os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        kept = " (the file that was there is unchanged)" if target.exists() else ""
        raise ExitprintError(
            f"could not write {str(target)!r}: {error.strerror}{kept}; free some space or choose another path."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def place_of(path: str | os.PathLike[str]) -> Path:
    """Where a file of this name is written: behind symbolic links.

    Raises `ExitprintError` if something is there that is no file: a folder, a pipe, a device, a circle of links.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        raise ExitprintError(f"cannot write to {str(path)!r} ({error.strerror}): choose another path.") from error
    if stat.S_ISDIR(mode):
        raise ExitprintError(f"{str(path)!r} is a folder: give the name of a file.")
    if not stat.S_ISREG(mode):
        raise ExitprintError(f"{str(path)!r} is no regular file (a pipe or a device): give the name of a file.")
    return Path(os.path.realpath(path))


def kind_of(path: Path) -> str | None:
    """What a file holds, told by its first bytes, in the words of its writer; None where that cannot be told."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"\x89PNG\r\n"):
        return "picture"
    if start.lstrip()[:14].lower() == b"<!doctype html":
        return "page"
    try:
        return str(read_header(path)["kind"])
    except ExitprintError:
        return "ONNX model" if start[:1] == b"\x08" and ONNX_PRODUCER in start else None


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises `ExitprintError` if it cannot be read.
    """
    with told(f"cannot read {str(path)!r} ({{why}}): check the path.", OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def save_tensors(
    path: str | os.PathLike[str], kind: str, header: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> None:
    """Write `tensors` and a JSON `header` as one `.safetensors` file of the given `kind`, whole or not at all."""
    text = json.dumps({"kind": kind, **header}, sort_keys=True, separators=(",", ":"))
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(content, metadata={HEADER_KEY: text}))


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the header of one of our files; no tensor is read and no code is run.

    Raises `ExitprintError` if the file is missing, is no safetensors file, is truncated, or is not one of ours.
    """
    with _opened(path) as file:
        return _header(file, path)


def load_tensors(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read header and tensors of a file of the given `kind`.

    Raises `ExitprintError` as `read_header` does, and if the file is of another kind.
    """
    with _opened(path) as file:
        header = _header(file, path)
        if header["kind"] != kind:
            raise ExitprintError(
                f"{str(path)!r} is a {header['kind']} file where a {kind} file is needed: check the order of arguments."
            )
        return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    source = Path(path)
    check_there(source)
    try:
        with safe_open(source, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ExitprintError(_why_unreadable(source)) from error


def _why_unreadable(source: Path) -> str:
    try:
        str(source).encode()
    except UnicodeEncodeError:
        return f"the name {str(source)!r} is not in UTF-8, so .safetensors cannot be read from it: rename the file."
    start = source.read_bytes()[:4]
    if start[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return (
            f"{str(source)!r} is a pickle (torch.save), which could run code when opened, so it is not read: "
            "offer a .safetensors file."
        )
    return f"{str(source)!r} is not a readable .safetensors file (truncated, damaged or renamed): get a whole copy."


def _header(file: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        header = json.loads((file.metadata() or {})[HEADER_KEY])
        if isinstance(header["kind"], str):
            return dict(header)
    except (KeyError, TypeError, ValueError, RecursionError):
        pass
    raise ExitprintError(
        f"{str(path)!r} was not written by exitprint (it has no exitprint header): offer one of its files."
    )
