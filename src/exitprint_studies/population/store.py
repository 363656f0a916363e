"""Artefacts found again by what they depend on: each is one file, whole or absent, made by one process at a time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.training.checkpoint import digest

CODE_VERSION = 1
"""Raised whenever the same specification would give another result than before."""


@dataclass(frozen=True)
class Store:
    """A folder of artefacts.

    An artefact's name is the hash of its specification and of `CODE_VERSION`. Beside each lies a `.json` with the
    specification in words and the seconds that it took. Any number of processes may use one folder.

    Attributes
    ----------
    root
        The folder; it is made when something is put into it.
    """

    root: Path

    def path(self, specification: Mapping[str, Any], suffix: str = ".safetensors") -> Path:
        """Where the artefact of this specification lies, whether it is there or not."""
        key = digest({"code": CODE_VERSION, "specification": specification})
        return self.root / key[:2] / f"{key}{suffix}"

    def has(self, specification: Mapping[str, Any], suffix: str = ".safetensors") -> bool:
        """Whether the artefact is there."""
        return self.path(specification, suffix).is_file()

    def get(
        self,
        specification: Mapping[str, Any],
        make: Callable[[Path], None],
        suffix: str = ".safetensors",
    ) -> Path:
        """The artefact's file; it is made first if it is not there.

        Parameters
        ----------
        specification
            Everything the artefact depends on, as plain JSON.
        make
            Writes the artefact to the path it is given, whole or not at all. It is not called where the artefact is
            there, and by one process at a time: a second one that wants the same artefact waits and finds it.
        suffix
            Of the file's name.

        Raises
        ------
        ExitprintError
            If the folder cannot be written to.
        """
        path = self.path(specification, suffix)
        if path.is_file():
            return path
        with self._locked(path):
            if path.is_file():
                return path
            for orphan in path.parent.glob(f".{path.stem}.*.tmp"):
                orphan.unlink(missing_ok=True)
            start = time.process_time()
            new = path.with_suffix(".new")
            make(new)
            note = {"specification": specification, "seconds": round(time.process_time() - start, 3)}
            write_bytes(path.with_suffix(".json"), json.dumps(note, sort_keys=True, indent=1).encode())
            os.replace(new, path)
        return path

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        lock = FileLock(path.with_suffix(".lock"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise ExitprintError(
                f"cannot write to {str(self.root)!r} ({error.strerror}): free some space or choose another folder."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def seconds(self, specification: Mapping[str, Any]) -> float | None:
        """CPU seconds that making the artefact took, where that is known."""
        try:
            note = json.loads(self.path(specification, ".json").read_bytes())
            return float(note["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
