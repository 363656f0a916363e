"""What a page says about itself: when, by which program, and about which files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from exitprint.files import file_digest


def provenance(files: Mapping[str, Path | None]) -> dict[str, str]:
    """Date, version, and the SHA-256 of every file, by what it is; what is no file (an address) has none.

    Raises
    ------
    ExitprintError
        If a file cannot be read.
    """
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "program": f"exitprint {metadata.version('exitprint')}",
        **{
            f"SHA-256 of the {what}": file_digest(path)
            for what, path in files.items()
            if path is not None and path.is_file()
        },
    }
