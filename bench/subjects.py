"""What the comparisons are made on: CIFAR-10 where EXITPRINT_DATA_DIR has it, else digits; a network trained on it."""

from __future__ import annotations

import os
from functools import cache

from exitprint.data import ImageData, load_data
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.training import calibrated_policy, recipe, train_network


@cache
def data() -> ImageData:
    """5,000 images of CIFAR-10, or digits."""
    if os.environ.get("EXITPRINT_DATA_DIR"):
        return load_data("cifar10", limit=5000)
    return load_data("digits")


@cache
def network() -> MultiExitNetwork:
    """A ResNet-20 with 9 internal classifiers, of width 16 for CIFAR-10 and 8 for digits."""
    images = data()
    real = images.name == "cifar10"
    arch = architecture("resnet20", images.input_shape, images.classes, width=16 if real else 8)
    trained = train_network(arch, images, recipe("fast", "resnet", images.name, epochs=8 if real else None), seed=0)
    trained.policy = calibrated_policy(trained, images.calibration, 5) if real else ExitPolicy(0.9)
    return trained


def described() -> str:
    """On what a comparison was made."""
    return f"ResNet-20, {data().name}, {len(data().train):,} images"
