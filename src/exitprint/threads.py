"""How many threads PyTorch uses: one, where more would only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALLEST_SIDE_FOR_THREADS = 28
"""Smaller images are computed on one thread: more would wait for each other."""


@contextmanager
def single_thread(when: bool = True) -> Iterator[None]:
    """One thread for PyTorch while the block runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if when else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def too_small_for_threads(input_shape: tuple[int, ...]) -> bool:
    """Whether images are so small that a second thread costs more than it brings."""
    return input_shape[-1] < SMALLEST_SIDE_FOR_THREADS
