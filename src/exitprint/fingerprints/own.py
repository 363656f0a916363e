"""Whether a finished fingerprint tells the network that it was made for, and that network in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence

from exitprint.data import Images
from exitprint.errors import ExitprintError
from exitprint.fingerprints.fingerprint import Fingerprint
from exitprint.fingerprints.shares import Rule, policy_of, shares
from exitprint.fingerprints.threshold import threshold
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.networks.integer import quantise_layers
from exitprint.tampering.rebuild import range_images

ROOM = 0.05
"""How far beyond the threshold of a claim a fingerprint has to come on its own network."""


def check_own(
    network: MultiExitNetwork, images: Images, fingerprint: Fingerprint, policies: Sequence[ExitPolicy | Rule]
) -> None:
    """Refuse a fingerprint that does not tell its own network, or that network in 8 bits, by the cost model.

    It has to tell them under each of the policies, or rules for them; the benign images set the ranges of the 8-bit
    copy. Raises `ExitprintError` with the policy and the share of pairs; if no threshold is left for a claim, as
    `threshold` says.
    """
    wanted = threshold(fingerprint).p0 + ROOM
    suspects = {"the network itself": network}
    if not network.integers:
        suspects["the network in 8 bits"] = in_8_bits(network, images)
    for name, suspect in suspects.items():
        made = (fingerprint.samples, fingerprint.originals, fingerprint.late)
        reached = shares(suspect, policies, fingerprint.kind, *made, fingerprint.through)
        asked = [(given, way) for way in (None, *fingerprint.through) for given in policies]
        worst, (given, way) = min(zip(reached, asked, strict=True), key=lambda pair: pair[0])
        if worst < wanted:
            T_c = min(policy_of(suspect, given).thresholds)
            behind = f" behind {way}" if way else ""
            raise ExitprintError(
                f"the fingerprint does not tell even {name}{behind}: where images leave at T_c = {T_c:.3f} the slower "
                f"sample of a pair is the right one in {worst:.0%} of pairs, and {wanted:.0%} are needed, so it was "
                "not written; choose policies under which images leave early and late (--leave 0.4, --threshold), or "
                "the other --kind."
            )


def in_8_bits(network: MultiExitNetwork, images: Images) -> MultiExitNetwork:
    """A copy, on the CPU, whose convolutions and linear layers run in 8-bit integers, its exits as they are."""
    copy = network.copy().eval().cpu()
    quantise_layers(copy, range_images(images))
    return copy
