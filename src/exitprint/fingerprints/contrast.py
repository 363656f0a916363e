"""The contrast fingerprint: naturally early images made late, and naturally late images made early."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from exitprint.data import Images
from exitprint.errors import ExitprintError, when_stopped
from exitprint.fingerprints.choice import choose, least_changed, natural_order, share_of_distance, weak_contrast
from exitprint.fingerprints.crafting import ContrastMethod, craft_contrast
from exitprint.fingerprints.exits_anew import check_copies
from exitprint.fingerprints.fingerprint import LARGEST_CHANGE as LARGEST
from exitprint.fingerprints.fingerprint import Fingerprint, distinct
from exitprint.fingerprints.goals import Goals, contrast_goals, joined
from exitprint.fingerprints.optimise import STOPPED
from exitprint.fingerprints.own import check_own
from exitprint.fingerprints.policies import default_policies, usable_policies
from exitprint.fingerprints.shares import Rule, logits_of, measured, named, policy_of
from exitprint.fingerprints.threshold import LARGE_PART, LARGEST_PART, check_front_door, pool_needed
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.networks.unstaged import as_network
from exitprint.suspects.through import Through, ways

FEWEST = 2
"""Samples of each half, at least."""
WARNED_CHANGE = 0.25
"""Crafting warns of a change whose mean L2 is above this share of the median distance of an image to its nearest
neighbour."""
LARGEST_CHANGE = {True: LARGEST, False: 0.6}
"""The largest such share that is crafted at all, with networks known to be independent and without."""
MARGINS = {False: (1.0, 0.5, 0.25, 0.1), True: (1.5, 0.5, 0.3, 0.1)}
"""Margins that are tried without and with references until the change is small enough (docs/results/same-maker.md)."""
SAMPLES, PART = 200, 5
"""So many samples by default, and no more than one of so many images, which are then extreme by nature."""


class ChangeTooLarge(ExitprintError):  # noqa: N818
    """A contrast would change its images by so much that independent networks would follow it."""


def contrast_fingerprint(
    network: MultiExitNetwork | Callable[[Tensor], Any],
    images: Images,
    policies: Sequence[ExitPolicy | Rule] | None = None,
    samples: int | None = None,
    seed: int = 0,
    method: ContrastMethod | None = None,
    references: Mapping[str, MultiExitNetwork] | Sequence[MultiExitNetwork] = (),
    check: bool = True,
    held_out: Images | None = None,
    through: Sequence[str | Through] = (),
    copies: Sequence[MultiExitNetwork] = (),
) -> Fingerprint:
    """Craft a contrast fingerprint: half of the samples late, half early.

    Parameters
    ----------
    network
        The owner's network; or a module, or a function from images in [0, 1] to every exit's logits, that is
        differentiable and cannot be captured.
    images
        Benign images to choose from; those that leave earliest are made late, and those that leave latest early.
    policies
        The policies under which the contrast has to hold; a rule gives the network and each reference a policy of its
        own. By default the network's own and those of RAD 0 and 15, see `default_policies`.
    samples
        Number of samples, both halves together; by default 200, or a fifth of the images where there are fewer than
        1,000.
    seed
        Of the choice.
    method
        How to craft. By default with a margin of 1, of 1.5 with references, and with less where that would change the
        images by too much.
    references
        Networks known to be independent, if the owner has some, on which the change is to show as little as possible;
        with their names, or without. The fingerprint says what it came to on each.
    check
        Refuse a fingerprint that does not tell the network itself and its 8-bit copy; False to measure with it anyway.
    held_out
        Images that default policies are calibrated on; by default `images`.
    through
        What a service may do to an image before its network sees it, as `Through` reads it: goals hold as sent and
        behind each way, and so does what is checked. That needs references, since networks of other origin follow
        so much larger a change. The record says what it costs, against the same images crafted without.
    copies
        The network with exits that were trained anew on its backbone: images are chosen by what all of them do, and
        goals hold on each.

    Raises
    ------
    ExitprintError
        If there are too few images, every policy makes all images leave at the same exit, the change is so large that
        independent networks would follow it, or it does not tell its own network under one of the policies.
    Interrupted
        On Ctrl-C; nothing was written.
    """
    network = as_network(network, images[:2].x)
    if policies is None:
        policies = default_policies("contrast", network, images, images if held_out is None else held_out)
    wanted = max(2, min(SAMPLES, len(images) // PART)) if samples is None else samples
    if method is None:
        *larger, smallest = (ContrastMethod(margin_log_odds=margin) for margin in MARGINS[bool(references)])
        for each in larger:
            with suppress(ChangeTooLarge):
                return contrast_fingerprint(
                    network, images, policies, wanted, seed, each, references, check, through=through, copies=copies
                )
        method = smallest
    if not 0 <= method.margin_log_odds <= 5:
        raise ExitprintError(f"the margin of a contrast is in log-odds, from 0 to 5, and not {method.margin_log_odds}.")
    network.check_images(images.pixels[:1])
    if not 2 <= wanted <= len(images):
        raise ExitprintError(
            f"{wanted} samples cannot be crafted from {len(images)} images: ask for at least two, and at most as many "
            "as there are images."
        )
    pool = (
        f"{wanted} samples from {len(images)} images are not extreme by nature, and strangers come nearer to them: "
        f"this needs a pool of at least {pool_needed(wanted):,} images, or fewer samples."
    )
    if check and wanted > LARGEST_PART * len(images):
        raise ExitprintError(pool)
    doors = ways(through)
    check_copies(network, copies)
    known = named(references)
    if check:
        check_front_door(doors, known)
    for reference in known.values():
        reference.check_images(images.pixels[:1])
    own = [policy_of(network, given) for given in policies]
    usable, warnings = usable_policies(network, own)
    policies = [given for given, policy in zip(policies, own, strict=True) if policy in usable]
    if wanted > LARGE_PART * len(images):
        warnings.append(pool)
    with when_stopped(STOPPED):
        logits = logits_of(network, images.pixels)
        as_seen = [logits, *(logits_of(network, images.pixels, way) for way in doors)]
        certainties = [usable[0].certainty(each) for each in as_seen]
        by_way = [torch.stack([policy.exits_of_certainty(c) for policy in usable]) for c in certainties]
        exits = by_way[0]
        internal = network.num_exits - 1
        margin = (method.margin_log_odds, method.early_exits)
        goals = [contrast_goals(usable, exits, internal, network.classes, *margin)]
        for copy in copies:
            own, _ = usable_policies(copy, [policy_of(copy, given) for given in policies])
            certainties.append(own[0].certainty(logits_of(copy, images.pixels)))
            by_way.append(torch.stack([policy.exits_of_certainty(certainties[-1]) for policy in own]))
            goals.append(contrast_goals(own, by_way[-1], internal, network.classes, *margin))
        order = natural_order(torch.stack(certainties).mean(0), torch.cat(by_way))
        order = order[torch.isin(order, distinct(images.pixels))]
        if wanted > len(order):
            raise ExitprintError(f"only {len(order)} of these images differ from each other: ask for fewer samples.")
        chosen, late = choose(order, min(wanted * method.candidates_per_sample, len(order)), method.extreme_share, seed)
        wanted_of_all = joined(goals)
        crafted = craft_contrast(
            network, images[chosen].x, late, wanted_of_all, method, list(known.values()), doors, copies, wanted
        )
    kept = least_changed(crafted, images.pixels[chosen], late, wanted)
    if min(int(late[kept].sum()), int((~late[kept]).sum())) < FEWEST:
        raise ExitprintError(
            "crafting could not or need not change these images, so there is no contrast: choose policies under which "
            "images leave early and late (--leave, --threshold), or use --kind paper."
        )
    if len(kept) < wanted:
        warnings.append(
            f"{wanted - len(kept)} of {wanted} samples left out: of the {len(chosen)} images that were tried, "
            "crafting could not or need not change more."
        )
    crafted, chosen, late = crafted.only(kept), chosen[kept], late[kept]
    answers = torch.stack([usable[0].answered(each[chosen]) for each in as_seen], 1)
    share = share_of_distance(crafted.samples, images.pixels[chosen], images)
    if share > LARGEST_CHANGE[bool(known)]:
        raise ChangeTooLarge(
            f"a contrast would have to change these images by {share:.0%} of the distance between an image and its "
            "nearest neighbour, and independent networks would follow that: use a smaller --margin, policies with a "
            f"higher --threshold, {'' if known else 'networks known to be independent (--reference), '}or --kind paper."
        )
    if share > WARNED_CHANGE:
        warnings.append(
            f"The change is {share:.0%} of the distance between an image and its nearest neighbour, so large that "
            "independent networks may follow it"
            + ("." if known else ": give networks known to be independent (--reference), or use --kind paper.")
        )
    made = Fingerprint(
        kind="contrast",
        samples=crafted.samples,
        originals=images.pixels[chosen],
        late=late,
        reached=crafted.reached,
        steps=crafted.steps,
        chosen=chosen,
        pool=len(images),
        answers=answers if doors else answers[:, 0].contiguous(),
        through=doors,
        record={
            "method": asdict(method),
            "passes": crafted.passes,
            "policies": [policy.described() for policy in usable],
            "seed": seed,
            "warnings": [*warnings, *weak_contrast(exits, chosen, late)],
        },
    )
    made = replace(made, references=measured(made, known, network, policies))
    if doors:
        with when_stopped(STOPPED):
            made.record["without through"] = _without(made, network, goals[0], method, known, policies)
    if check:
        check_own(network, images, made, policies)
    return made


def _without(
    made: Fingerprint,
    network: MultiExitNetwork,
    goals: Goals,
    method: ContrastMethod,
    references: Mapping[str, MultiExitNetwork],
    policies: Sequence[ExitPolicy | Rule],
) -> dict[str, Any]:
    """What the same images would have cost as sent alone: L2, passes, and the shares of pairs on each reference."""
    crafted = craft_contrast(network, made.benign, made.late, goals, method, list(references.values()))
    as_sent = replace(made, samples=crafted.samples, through=(), answers=made.answers[:, 0])
    return {
        "L2": float(as_sent.l2.mean()),
        "passes": crafted.passes,
        "references": {each.name: list(each.share) for each in measured(as_sent, references, network, policies)},
    }
