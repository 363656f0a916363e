"""What was made before is not made again: the same seed and the same files give the same file."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from exitprint.data import ImageData
from exitprint.networks import Architecture, MultiExitNetwork, load_network, save_network
from exitprint.networks.policy import Criterion
from exitprint.training import Recipe

VERBS = ("train", "tamper", "fingerprint")


def remembered(arguments: list[str], store: Path, run: Callable[[], object]) -> object:
    """What `run` gives, or, where the same command was run before, only its file and what it printed.

    Parameters
    ----------
    arguments
        Of `exitprint`.
    store
        Folder of what was made before.
    run
        Runs the command.
    """
    if arguments[0] not in VERBS or "--out" not in arguments or "--save-every" in arguments:
        return run()
    place = arguments.index("--out") + 1
    out, kept = Path(arguments[place]), store / _key([*arguments[:place], *arguments[place + 1 :]])
    store.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{kept}.lock"):
        if kept.is_dir():
            shutil.copy(kept / "file", out)
            print((kept / "printed").read_text().replace((kept / "name").read_text(), str(out)), end="")
            return 0
        return _kept(kept, out, run)


def _kept(kept: Path, out: Path, run: Callable[[], object]) -> object:
    """What `run` gives; its file and what it printed are kept if it succeeds."""
    printed = io.StringIO()
    code: object = 0
    try:
        with contextlib.redirect_stdout(printed):
            code = run()
    except SystemExit as end:
        code = end.code
    print(printed.getvalue(), end="")
    if not code and out.is_file():
        kept.mkdir()
        for name, text in (("printed", printed.getvalue()), ("name", str(out))):
            (kept / name).write_text(text)
        shutil.copy(out, kept / "file")
    return code


def trained_once(train: Callable[..., MultiExitNetwork], store: Path) -> Callable[..., MultiExitNetwork]:
    """`train_network`, which trains what a page's command or its Python has trained before no second time."""

    def trained(
        arch: Architecture,
        data: ImageData,
        how: Recipe,
        seed: int = 0,
        rad: float = 5,
        checkpoint: Path | None = None,
        criterion: Criterion | None = None,
    ) -> MultiExitNetwork:
        parts = [part for images in (data.train, data.calibration) for part in (images.pixels, images.labels)]
        words = [data.name, data.flips, arch.model_dump_json(), how.model_dump_json(), seed, float(rad), criterion]
        digest = hashlib.sha256(json.dumps(words).encode())
        for part in parts:
            digest.update(part.numpy().tobytes())
        kept = store / digest.hexdigest()
        store.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{kept}.lock"):
            if not kept.exists():
                save_network(train(arch, data, how, seed, rad, checkpoint, criterion), kept)
        return load_network(kept)

    return trained


def _key(words: list[str]) -> str:
    """A digest of the words of a command, and of the files that they name."""
    files = {word: hashlib.sha256(Path(word).read_bytes()).hexdigest() for word in words if Path(word).is_file()}
    return hashlib.sha256(json.dumps([words, files]).encode()).hexdigest()
