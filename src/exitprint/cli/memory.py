"""Memory that is freed is kept for the next step, which asks for as much again."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Names and numbers of glibc's malloc.h."""
KEPT, AT_ONCE = 2**30, 2**26
"""At most so many freed bytes are kept, and so many are asked for at once."""


def keep_freed_memory() -> None:
    """Tell glibc not to give every large tensor's memory back to the system; elsewhere nothing is done.

    Without it each pass of a network maps its tensors anew, and the system clears every page of them before it is used.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, KEPT)
        mallopt(M_TOP_PAD, AT_ONCE)
