"""The policies that a fingerprint is made for where its owner names none."""

from __future__ import annotations

from functools import partial

from exitprint.data import Images
from exitprint.fingerprints.fingerprint import Kind
from exitprint.fingerprints.shares import Rule, logits_of
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.training import policy_with_room

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
        Images that thresholds are calibrated on, best with labels.
    """
    own = network.policy

    def with_room(value: tuple[float, float], network: MultiExitNetwork) -> ExitPolicy:
        rad, share = value
        return policy_with_room(network, held_out, rad, share, *own.rule)

    named: list[Rule] = [policy_of_its_own] if tells_images_apart(network, images) else []
    if kind == "contrast":
        return [*named, partial(with_room, STRICTER), partial(with_room, LOOSER)]
    return named or [partial(with_room, LOOSER)]


def policy_of_its_own(network: MultiExitNetwork) -> ExitPolicy:
    """The rule by which every network keeps the policy that it has."""
    return network.policy


def tells_images_apart(network: MultiExitNetwork, images: Images) -> bool:
    """Whether these images leave at more than one exit under the network's own policy."""
    return len(network.policy.exits(logits_of(network, images.pixels)).unique()) > 1
