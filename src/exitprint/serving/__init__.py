"""Answers over KServe v2: a network served as a copy in the wild would be."""

from __future__ import annotations

from exitprint.serving.process import running
from exitprint.serving.server import serve

__all__ = ["running", "serve"]
