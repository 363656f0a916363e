"""What comparisons are made on: CIFAR-10 where EXITPRINT_DATA_DIR has it, else digits of its size, and a network."""

from __future__ import annotations

import os
from functools import cache

import torch
from torch import Tensor

from exitprint.data import ImageData, Images, image_data, load_data
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.training import calibrated_policy, recipe, train_network

IMAGES, EPOCHS = 5000, 8


@cache
def data() -> ImageData:
    """5,000 images of CIFAR-10, or the embedded digits as 32×32 images of three channels."""
    if os.environ.get("EXITPRINT_DATA_DIR"):
        return load_data("cifar10", limit=IMAGES)
    digits = load_data("digits")
    return image_data("digits, 32×32", _enlarged(digits.train), _enlarged(digits.test), 10, flips=False)


def _enlarged(images: Images) -> Images:
    pixels = images.pixels.repeat_interleave(4, 2).repeat_interleave(4, 3).repeat(1, 3, 1, 1)
    return Images(pixels, images.labels)


@cache
def network() -> MultiExitNetwork:
    """A ResNet-20 with 9 internal classifiers, its thresholds at RAD=5."""
    arch = architecture("resnet20", data().input_shape, data().classes)
    trained = train_network(arch, data(), recipe("fast", "resnet", data().name, epochs=EPOCHS), seed=0)
    trained.policy = calibrated_policy(trained, data().calibration, rad=5)
    return trained


@torch.inference_mode()
def even_policy(network: MultiExitNetwork, x: Tensor) -> ExitPolicy:
    """Thresholds under which about as many of these images leave at every exit."""
    certainty = network.policy.certainty(network(x))
    waiting = torch.ones(len(x), dtype=torch.bool)
    thresholds = []
    for exit in range(network.num_exits - 1):
        values = certainty[waiting, exit].sort(descending=True).values
        leaving = round(len(values) / (network.num_exits - exit))
        thresholds.append(float(values[leaving - 1 : leaving + 1].mean()) if leaving else 2.0)
        waiting &= certainty[:, exit] < thresholds[-1]
    return ExitPolicy(thresholds)


def described() -> str:
    """On what a comparison was made."""
    return f"ResNet-20, {data().name}, {len(data().train):,} images"
