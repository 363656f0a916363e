"""Backbones, exit heads and thresholds, trained on images in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from exitprint.training.again import seconds_of_training, train_again
from exitprint.training.backbone import train_backbone
from exitprint.training.compute import best_device
from exitprint.training.evaluate import (
    all_logits,
    calibrated_policy,
    evaluate,
    exit_accuracies,
    has_room,
    leaving_policy,
    policy_accuracy,
    policy_with_room,
    spread_policy,
)
from exitprint.training.heads import train_heads
from exitprint.training.jointly import train_jointly
from exitprint.training.recipe import BackboneRecipe, HeadRecipe, Recipe, recipe
from exitprint.training.train import new_exits, train_network

if TYPE_CHECKING:
    from exitprint.training.estimator import MultiExitClassifier

__getattr__, _, _ = lazy_loader.attach(__name__, submod_attrs={"estimator": ["MultiExitClassifier"]})

__all__ = [
    "BackboneRecipe",
    "HeadRecipe",
    "MultiExitClassifier",
    "Recipe",
    "all_logits",
    "best_device",
    "calibrated_policy",
    "evaluate",
    "exit_accuracies",
    "has_room",
    "leaving_policy",
    "new_exits",
    "policy_accuracy",
    "policy_with_room",
    "recipe",
    "seconds_of_training",
    "spread_policy",
    "train_again",
    "train_backbone",
    "train_heads",
    "train_jointly",
    "train_network",
]
