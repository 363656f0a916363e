"""What finished samples come to on a network that is at hand: its own, or one known to be independent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor

from exitprint.fingerprints.fingerprint import Fingerprint, Kind, Recipe, Reference
from exitprint.fingerprints.score import auc
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.suspects.through import Through
from exitprint.training.evaluate import logits_of

Rule = Callable[[MultiExitNetwork], ExitPolicy]
"""How a network gets its policy, such as that of a relative accuracy drop: thresholds differ from one to the next."""


def policy_of(network: MultiExitNetwork, given: ExitPolicy | Rule) -> ExitPolicy:
    """The policy that `given` means for a network: its own where `given` is for another number of exits."""
    if not isinstance(given, ExitPolicy):
        return given(network)
    return given if len(given.thresholds) in (1, network.num_exits - 1) else network.policy


def share_of_pairs(kind: Kind, samples: Tensor, originals: Tensor, late: Tensor) -> float:
    """The share of pairs in which the sample that is to be late takes longer, ties counting half.

    A pair of a contrast is a late and an early sample; one of the paper's kind a sample and another sample's original.

    Parameters
    ----------
    kind
        Of the fingerprint.
    samples, originals
        The exit, or the time, of each sample and of each original, shape (samples,).
    late
        Which samples are to be late, bool, shape (samples,).
    """
    if kind == "contrast":
        return auc(samples[late].double().numpy(), samples[~late].double().numpy())
    n = len(samples)
    longer = (samples[:, None] > originals).double() + 0.5 * (samples[:, None] == originals).double()
    return float((longer.sum() - longer.diagonal().sum()) / (n * (n - 1))) if n > 1 else float(np.mean(longer.numpy()))


def shares(
    network: MultiExitNetwork,
    policies: Sequence[ExitPolicy | Rule],
    kind: Kind,
    samples: Tensor,
    originals: Tensor,
    late: Tensor,
    through: Sequence[Through] = (),
) -> tuple[float, ...]:
    """`share_of_pairs` on a network under each policy, by the cost model: a later exit takes longer.

    First as sent, then in the same order behind each way `through` a front door.

    Parameters
    ----------
    network
        Whom to ask.
    policies
        Policies, or rules by which the network gets them.
    kind, late
        As in `share_of_pairs`.
    samples, originals
        8-bit images, shape (samples, channels, height, width).
    through
        What may be done to an image before the network sees it.
    """
    own = [policy_of(network, given) for given in policies]
    seen = [(logits_of(network, samples, way), logits_of(network, originals, way)) for way in (None, *through)]
    return tuple(
        share_of_pairs(kind, policy.exits(crafted), policy.exits(benign), late)
        for crafted, benign in seen
        for policy in own
    )


def recipe_of(network: MultiExitNetwork, reference: MultiExitNetwork) -> Recipe:
    """Whether both were trained from scratch by one recipe, on the same images, with other seeds."""
    records = [{**(each.history or [{}])[0], "seed": None} for each in (network, reference)]
    alike = records[0] == records[1] and network.architecture == reference.architecture
    return "same" if alike and records[0].get("step") == "trained" else "other"


def named(references: Mapping[str, MultiExitNetwork] | Sequence[MultiExitNetwork]) -> dict[str, MultiExitNetwork]:
    """References by name; those without one are numbered."""
    if isinstance(references, Mapping):
        return dict(references)
    return {f"reference {number}": network for number, network in enumerate(references, 1)}


def measured(
    made: Fingerprint,
    references: Mapping[str, MultiExitNetwork],
    network: MultiExitNetwork,
    policies: Sequence[ExitPolicy | Rule],
) -> tuple[Reference, ...]:
    """Each reference with what a fingerprint's samples come to on it; `network` is the owner's."""
    asked = (made.kind, made.samples, made.originals, made.late, made.through)
    return tuple(
        Reference(name, shares(each, policies, *asked), recipe_of(network, each)) for name, each in references.items()
    )
