"""The policies that a fingerprint is made for: defaults where its owner names none, and those that leave room."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from exitprint.data import Images
from exitprint.errors import ExitprintError
from exitprint.fingerprints.fingerprint import Kind
from exitprint.fingerprints.goals import least_certainty
from exitprint.fingerprints.shares import Rule, logits_of
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.training import calibrated_policy, leaving_policy, policy_with_room

NEARLY_CERTAIN, NEARLY_CHANCE = 0.98, 0.05
CALIBRATED_ON = 2000
"""Held-out images at most that default policies are calibrated on, since each simulated copy is calibrated anew."""
STRICTER, LOOSER = (0.0, 0.3), (15.0, 0.7)
"""Two policies, by RAD in per cent, and by the share of images that leave early where that RAD leaves no room."""


def default_policies(kind: Kind, network: MultiExitNetwork, images: Images, held_out: Images) -> list[Rule]:
    """How a network gets the policies of a fingerprint for which none are given.

    The first is the network's own, unless all images leave at one exit under it. A contrast has two more, those of RAD
    0 and 15; where nearly all images leave at one exit for such a RAD, or there are no labels, those under which 30 and
    70 % leave in the first half of the network's cost. The paper's kind has the latter where it lacks the first.

    Parameters
    ----------
    kind
        Of the fingerprint.
    network
        The owner's network.
    images
        Benign images that the fingerprint is made from.
    held_out
        Images that thresholds are calibrated on, best with labels; of more than `CALIBRATED_ON` so many, by chance.
    """
    some = for_calibration(held_out)
    stricter, looser = (
        partial(policy_with_room, images=some, rad=rad, share=share, rule=network.policy.rule)
        for rad, share in (STRICTER, LOOSER)
    )
    named: list[Rule] = [policy_of_its_own] if tells_images_apart(network, images) else []
    return [*named, stricter, looser] if kind == "contrast" else named or [looser]


def for_calibration(held_out: Images) -> Images:
    """`CALIBRATED_ON` of these images, always the same, or all where there are fewer."""
    if len(held_out) <= CALIBRATED_ON:
        return held_out
    shuffled = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(0))
    return held_out.part(shuffled[:CALIBRATED_ON].sort().values)


def asked_policies(
    network: MultiExitNetwork,
    held_out: Images,
    rads: Sequence[float],
    thresholds: Sequence[float],
    shares: Sequence[float],
) -> list[ExitPolicy | Rule]:
    """Policies as an owner asks for them: by RAD in per cent, by threshold, by the share of images that leave early."""
    rule = network.policy.rule
    return [
        *(partial(calibrated_policy, images=held_out, rad=rad, rule=rule) for rad in rads),
        *(ExitPolicy(value, *rule) for value in thresholds),
        *(partial(leaving_policy, images=held_out, share=share, rule=rule) for share in shares),
    ]


def policy_of_its_own(network: MultiExitNetwork) -> ExitPolicy:
    """The rule by which every network keeps the policy that it has."""
    return network.policy


def tells_images_apart(network: MultiExitNetwork, images: Images) -> bool:
    """Whether these images leave at more than one exit under the network's own policy."""
    return len(network.policy.exits(logits_of(network, images.pixels)).unique()) > 1


def usable_policies(network: MultiExitNetwork, policies: Sequence[ExitPolicy]) -> tuple[list[ExitPolicy], list[str]]:
    """Those policies under which some images leave early and some late, and a warning for each weak one.

    Raises `ExitprintError` if there is no policy, they differ in criterion, or none is left.
    """
    if len({(policy.criterion, policy.temperature) for policy in policies}) != 1:
        raise ExitprintError(
            "a contrast fingerprint needs policies of one criterion and temperature: the strictest and the loosest."
        )
    floor = least_certainty(policies[0].criterion, network.classes)
    kept, warnings = [], []
    for policy in policies:
        T_c = policy.for_exits(network.num_exits - 1)
        if min(T_c) <= floor or min(T_c) >= 1:
            who = "every image leaves at the first such exit" if min(T_c) <= floor else "no image leaves early"
            warnings.append(f"With a threshold of {min(T_c):.3f} {who}: no contrast is possible there.")
            continue
        kept.append(policy)
        if min(T_c) > NEARLY_CERTAIN:
            warnings.append(
                f"The threshold {min(T_c):.3f} is close to 1: few images leave early by nature, and a small change of "
                "the network closes its early exits."
            )
        if min(T_c) < floor + NEARLY_CHANCE:
            warnings.append(
                f"The threshold {min(T_c):.3f} is close to chance ({floor:.3f}): there is little room to make images "
                "late."
            )
    if not kept:
        raise ExitprintError(
            "under these policies every image leaves at the same exit, so none can be made later or earlier: choose "
            "policies with thresholds between chance and 1."
        )
    return kept, warnings
