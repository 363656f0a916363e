"""Networks that are sure of themselves, on images like MNIST's: what cannot be told is refused, the rest is crafted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.nn import functional as F

from exitprint.data import ImageData, Images
from exitprint.errors import ExitprintError
from exitprint.fingerprints import (
    Fingerprint,
    PaperMethod,
    contrast_fingerprint,
    default_policies,
    paper_fingerprint,
)
from exitprint.fingerprints.own import check_own, in_8_bits
from exitprint.fingerprints.shares import shares
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.training import all_logits, has_room, recipe, train_network

KINDS = ("as trained", "saturated", "label-smoothed")


@pytest.fixture(scope="module")
def like_mnist(digits) -> ImageData:
    """Digits of 28 × 28 pixels on black."""

    def enlarged(images: Images) -> Images:
        pixels = images.pixels.repeat_interleave(3, 2).repeat_interleave(3, 3)
        return Images(F.pad(pixels, (2, 2, 2, 2)), images.labels)

    return replace(
        digits,
        train=enlarged(digits.train)[:700],
        calibration=enlarged(digits.calibration),
        test=enlarged(digits.test),
        mean=(0.15,),
        std=(0.3,),
    )


@pytest.fixture(scope="module")
def networks(like_mnist) -> dict[str, MultiExitNetwork]:
    """A BranchyNet whose early exits are as good as the last, one with ten times its logits, one of smoothed labels."""
    arch = architecture("branchynet", like_mnist.input_shape, like_mnist.classes, width=8)
    trained = train_network(arch, like_mnist, recipe("fast", "branchynet", "digits", epochs=4), seed=0)
    saturated, smoothed = trained.copy(), trained.copy()
    for head in saturated.heads:
        last = [layer for layer in head.modules() if isinstance(layer, torch.nn.Linear)][-1]
        with torch.no_grad():
            last.weight.mul_(10)
            last.bias.mul_(10)
    optimiser = torch.optim.Adam(smoothed.parameters(), 1e-3)
    for pixels, labels in zip(like_mnist.train.x.split(100), like_mnist.train.labels.split(100), strict=True):
        for exit in smoothed(pixels).unbind(1):
            F.cross_entropy(exit, labels, label_smoothing=0.3).backward(retain_graph=True)
        optimiser.step()
        optimiser.zero_grad()
    return dict(zip(KINDS, (trained, saturated, smoothed), strict=True))


def strict_and_loose(network: MultiExitNetwork, data: ImageData) -> list[ExitPolicy]:
    return [rule(network) for rule in default_policies("contrast", network, data.test, data.calibration)[-2:]]


@pytest.fixture(scope="module")
def contrast_of(networks, like_mnist) -> Callable[[str], Fingerprint]:
    """The contrast of each kind of network, crafted once."""

    @cache
    def made(kind: str) -> Fingerprint:
        network = networks[kind]
        return contrast_fingerprint(network, like_mnist.test, strict_and_loose(network, like_mnist), 12)

    return made


@pytest.mark.parametrize("kind", KINDS)
def test_policies_with_room_are_found_where_rad_gives_none(networks, like_mnist, kind):
    network = networks[kind]
    logits = all_logits(network, like_mnist.test)
    assert not has_room(ExitPolicy(0.0, network.policy.criterion), logits)
    stricter, looser = strict_and_loose(network, like_mnist)
    assert has_room(stricter, logits) and has_room(looser, logits)
    assert looser.thresholds <= stricter.thresholds
    assert looser.exits(logits).double().mean() <= stricter.exits(logits).double().mean()


@pytest.mark.parametrize("kind", KINDS)
def test_a_contrast_tells_the_network_and_its_8_bit_copy_under_every_policy(networks, like_mnist, contrast_of, kind):
    network, made = networks[kind], contrast_of(kind)
    policies = strict_and_loose(network, like_mnist)
    assert made.reached.all() and (made.l2 > 0).all()
    for suspect in (network, in_8_bits(network, like_mnist.test)):
        assert min(shares(suspect, policies, "contrast", made.samples, made.originals, made.late)) >= 0.85


@pytest.mark.parametrize("kind", KINDS)
def test_the_papers_kind_reaches_its_goal_where_an_answer_is_sure(networks, like_mnist, kind):
    network = networks[kind]
    policy = strict_and_loose(network, like_mnist)[1]
    made = paper_fingerprint(network, like_mnist.test, [policy], samples=16, method=PaperMethod(steps=300))
    assert made.reached.double().mean() > 0.85


def test_a_policy_under_which_nothing_is_told_is_refused_by_name(networks, like_mnist, contrast_of):
    network, made = networks["as trained"], contrast_of("as trained")
    policies = strict_and_loose(network, like_mnist)
    shut = ExitPolicy(2.0, network.policy.criterion)
    with pytest.raises(
        ExitprintError, match=r"the network itself: where images leave at T_c = 2\.000.*50%.*85%.*--leave"
    ):
        check_own(network, like_mnist.test, made, [*policies, shut])
    check_own(network, like_mnist.test, made, policies)


def test_the_8_bit_copy_has_to_be_told_too(networks, like_mnist, monkeypatch):
    network = networks["as trained"]
    policies = strict_and_loose(network, like_mnist)
    stranger = networks["label-smoothed"].copy()
    for layer in stranger.modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            layer.reset_parameters()
    monkeypatch.setattr("exitprint.fingerprints.own.in_8_bits", lambda *_: stranger)
    with pytest.raises(ExitprintError, match="the network in 8 bits"):
        contrast_fingerprint(network, like_mnist.test, policies, samples=10)


def test_images_that_pass_every_exit_unchanged_are_no_fingerprint(networks, like_mnist):
    network = networks["as trained"]
    strict = ExitPolicy(0.999999, network.policy.criterion)
    with pytest.raises(ExitprintError, match=r"unchanged|does not tell even"):
        paper_fingerprint(network, like_mnist.test, [strict], samples=10, method=PaperMethod(steps=50))
    kept = paper_fingerprint(network, like_mnist.test, [strict], samples=10, method=PaperMethod(steps=50), check=False)
    assert len(kept) == 10
