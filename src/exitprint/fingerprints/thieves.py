"""Simulated thieves at work: one after the other, or side by side in processes of their own."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from exitprint.data import ImageData
from exitprint.fingerprints.thefts import PARTS, Copy, Thief, number_for_exits
from exitprint.networks import MultiExitNetwork, exit_flops, load_network, save_network
from exitprint.processes import processes

WORTH = 5e10
"""FLOPs of one pass of a thief's images through the network from which on processes save more time than it takes to
begin them."""
MOST = 8
"""Processes; each holds PyTorch and a thief's images."""

Saved = tuple[str, Path, bool]
"""A `Copy` whose network is in a file."""


def simulated(
    network: MultiExitNetwork, data: ImageData, seeds: Sequence[int], jobs: int = 1
) -> Generator[Copy | str, None, None]:
    """The copies of one thief for each seed; in place of one that does not fit the network, a sentence that says so.

    Who stops early closes it, and the processes are gone.

    Parameters
    ----------
    network
        The owner's network; it is not changed.
    data
        The owner's images, with labels.
    seeds
        Of everything random.
    jobs
        In how many processes at most: for work that is long enough, on the CPU, of a network that can be saved.

    Raises
    ------
    ExitprintError
        If one of the processes was killed.
    """
    thieves = [Thief.of(network, data, seed) for seed in seeds]
    long = exit_flops(network)[-1] * number_for_exits(network, data) >= WORTH
    if jobs > 1 and long and network.architecture is not None and network.mean.device.type == "cpu":
        yield from _side_by_side(network, thieves, min(jobs, MOST))
        return
    for thief in thieves:
        for part in PARTS:
            yield from thief.copies(part)


def _side_by_side(network: MultiExitNetwork, thieves: Sequence[Thief], jobs: int) -> Iterator[Copy | str]:
    with TemporaryDirectory() as name, processes(jobs) as pool:
        folder = Path(name)
        save_network(network, folder / "owner")
        at_work = [
            pool.submit(_at_work, folder, thief.seed, images, part)
            for thief in thieves
            for images in [_carried(thief)]
            for part in PARTS
        ]
        for work in at_work:
            for copy in work.result():
                yield copy if isinstance(copy, str) else Copy(copy[0], load_network(copy[1]), copy[2])


def _at_work(folder: Path, seed: int, images: bytes, part: str) -> list[Saved | str]:
    thief = Thief(load_network(folder / "owner"), seed, *pickle.loads(images))
    made: list[Saved | str] = []
    for number, copy in enumerate(thief.copies(part)):
        if isinstance(copy, Copy):
            path = folder / f"{seed} {PARTS.index(part)} {number}"
            save_network(copy.network, path)
            made.append((copy.theft, path, copy.new_exits))
        else:
            made.append(copy)
    return made


def _carried(thief: Thief) -> bytes:
    """The images that thieves train on, in bytes, since PyTorch hands tensors over in shared memory, which may be
    little."""
    all_images = (thief.for_backbones, thief.for_exits, thief.few)
    return pickle.dumps(
        [
            replace(each, train=each.train[:], calibration=each.calibration[:0], test=each.test[:0])
            for each in all_images
        ]
    )
