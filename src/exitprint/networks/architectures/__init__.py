"""Backbones by name: each is a list of stages, so that a network can stop between any two."""

from __future__ import annotations

from exitprint.networks.architectures.architecture import Architecture, Backbone, architecture

__all__ = ["Architecture", "Backbone", "architecture"]
