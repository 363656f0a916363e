"""`python -m exitprint`."""

from __future__ import annotations

from exitprint.cli import main

main()
