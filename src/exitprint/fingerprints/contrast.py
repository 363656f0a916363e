"""The contrast fingerprint: naturally early images made late, and naturally late images made early."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from exitprint.data import Images, batch_size, unit_range
from exitprint.errors import ExitprintError, Interrupted
from exitprint.fingerprints.exits_anew import all_exits, check_copies
from exitprint.fingerprints.fingerprint import LARGEST_CHANGE as LARGEST
from exitprint.fingerprints.fingerprint import Fingerprint, distinct
from exitprint.fingerprints.optimise import AdamOnTanh, Crafted, Look, StepsOfLength, frozen, looks, optimise
from exitprint.fingerprints.own import check_own
from exitprint.fingerprints.policies import default_policies
from exitprint.fingerprints.shares import Rule, logits_of, measured, named, policy_of
from exitprint.fingerprints.threshold import LARGE_PART, LARGEST_PART, check_front_door, pool_needed
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.networks.policy import CERTAINTY, LEAST, Criterion, in_log_odds
from exitprint.networks.unstaged import as_network
from exitprint.suspects.through import Through, ways

FEWEST = 2
"""Samples of each half, at least."""
EARLY_QUANTILE = 0.25
"""An image counts as early under a policy if no more than this share of benign images leaves before it."""
NEARLY_CERTAIN, NEARLY_CHANCE = 0.98, 0.05
MOST_SAME = 0.25
WARNED_CHANGE, COMPARED = 0.25, 1000
"""Crafting warns of a change whose mean L2 is above this share of the median distance of an image to its nearest
neighbour among so many images."""
LARGEST_CHANGE = {True: LARGEST, False: 0.6}
"""The largest such share that is crafted at all, with networks known to be independent and without."""
EVERY = 2
"""In one of so many steps one reference is asked."""
NEAREST = 1e-7
"""A threshold counts as this far from 1 at least: nearer, 32-bit probabilities are rounded to 1."""
SURE = 15.0
"""Log-odds from which on the part of the likeliest class in the entropy is what is missing to its certainty."""


@dataclass(frozen=True)
class ContrastMethod:
    """How a contrast is crafted; `docs/contrast.md` says what each part is worth.

    Attributes
    ----------
    margin_log_odds
        How far certainties have to be beyond the threshold, in log-odds.
    early_exits
        At how many exits in a row an early image has to be certain, beginning where a quarter of benign images has
        left.
    extreme_share
        Each half is chosen among this share of the images, the most extreme ones; among as many as there are
        candidates where that is more.
    candidates_per_sample
        So many images are crafted for each sample that is wanted; those with the smallest change are kept.
    step_l2
        L2 of one step, pixels in [0, 1].
    steps
        The most steps for an image.
    reference_weight
        Weight of the penalty on what the change does to networks known to be independent, where there are some.
    adam_learning_rate
        Learning rate of Adam on tanh, as the paper crafts, in place of steps of one length.
    """

    margin_log_odds: float = 0.5
    early_exits: int = 3
    extreme_share: float = 0.1
    candidates_per_sample: int = 2
    step_l2: float = 0.06
    steps: int = 200
    reference_weight: float = 2.0
    adam_learning_rate: float | None = None


MARGINS = {False: (1.0, 0.5, 0.25, 0.1), True: (1.5, 0.5, 0.3, 0.1)}
"""Margins that are tried without and with references until the change is small enough (docs/results/same-maker.md)."""
SAMPLES, PART = 200, 5
"""So many samples by default, and no more than one of so many images, which are then extreme by nature."""


class ChangeTooLarge(ExitprintError):  # noqa: N818
    """A contrast would change its images by so much that independent networks would follow it."""


@dataclass(frozen=True)
class Goals:
    """What the certainty of every internal classifier has to become, in log-odds.

    Attributes
    ----------
    below
        A late image's certainty has to stay under it, shape (exits - 1,).
    above
        An early image's certainty has to be over it, shape (exits - 1,); minus infinity where it does not matter.
    criterion, temperature
        The criterion of certainty, and what logits are divided by for it.
    """

    below: Tensor
    above: Tensor
    criterion: Criterion
    temperature: float = 1.0

    def log_odds(self, logits: Tensor) -> Tensor:
        """Log-odds of the certainty at every internal classifier, (images, exits - 1), from logits of every exit."""
        return log_odds(logits / self.temperature, self.criterion)

    def met(self, logits: Tensor, late: Tensor) -> Tensor:
        """Which images meet their goal, bool, shape (images,), from every exit's logits (images, exits, classes)."""
        c = self.log_odds(logits)
        return torch.where(late, (c < self.below).all(1), (c > self.above).all(1))

    def distance(self, logits: Tensor, late: Tensor) -> Tensor:
        """How much certainty is too much or missing, summed over exits, shape (images,); 0 where the goal is met."""
        c = self.log_odds(logits)
        return torch.where(late, (c - self.below).relu().sum(1), (self.above - c).relu().sum(1))


def joined(goals: Sequence[Goals]) -> Goals:
    """The goals of several sets of exits as those of one set, one after another."""
    below, above = (torch.cat([getattr(each, side) for each in goals]) for side in ("below", "above"))
    return replace(goals[0], below=below, above=above)


def log_odds(logits: Tensor, criterion: Criterion) -> Tensor:
    """Log-odds of the certainty at every internal classifier, (images, exits - 1), from logits of every exit.

    They are taken from logits: a probability near one is rounded to one, and has no gradient left where a network is
    sure of itself.
    """
    internal = logits[:, :-1]
    if criterion == "patience":
        return in_log_odds(CERTAINTY[criterion](internal))
    top = internal.topk(2, -1)
    others = internal.scatter(-1, top.indices[..., :1], -torch.inf).logsumexp(-1)
    first, second = top.values.unbind(-1)
    if criterion == "confidence":
        return first - others
    certain = CERTAINTY[criterion](internal).clamp(min=LEAST).log()
    if criterion == "margin":
        return certain - (torch.logaddexp(others, second) - internal.logsumexp(-1))
    return certain - _log_entropy(internal, top.indices[..., :1], first - others) + math.log(math.log(logits.shape[-1]))


def _log_entropy(logits: Tensor, largest: Tensor, gap: Tensor) -> Tensor:
    """log H(p), (...,), from logits (..., classes), the index of the largest (..., 1), and its log-odds (...,)."""
    log_p = logits.log_softmax(-1)
    terms = log_p + (-log_p).clamp(min=1e-30).log()
    sure = -gap.clamp(min=SURE)
    unsure = torch.nn.functional.softplus(-gap.clamp(max=SURE)).log() - torch.nn.functional.softplus(-gap)
    return terms.scatter(-1, largest, torch.where(gap > SURE, sure, unsure)[..., None]).logsumexp(-1)


def craft_contrast(
    network: MultiExitNetwork,
    x: Tensor,
    late: Tensor,
    goals: Goals,
    method: ContrastMethod | None = None,
    references: Sequence[MultiExitNetwork] = (),
    through: Sequence[Through] = (),
    copies: Sequence[MultiExitNetwork] = (),
) -> Crafted:
    """Make some images late and the others early, each with the smallest change that meets its goal.

    Parameters
    ----------
    network
        The owner's network.
    x
        Benign images in [0, 1], float32, shape (samples, channels, height, width).
    late
        Which of them are to be late, bool, shape (samples,); the others are made early.
    goals
        When an image is late or early enough; see `contrast_goals`.
    method
        Length and number of steps.
    references
        Networks known to be independent, for the same images: their certainty is to stay as it is.
    through
        What may be done to an image before a network sees it: goals are met as sent and behind each way.
    copies
        The network with other exits, whose `goals` come one after another, after its own.
    """
    method = method or ContrastMethod()
    adam = method.adam_learning_rate
    device = network.mean.device
    x, late = x.to(device), late.to(device)
    goals = replace(goals, below=goals.below.to(device), above=goals.above.to(device))
    with frozen(*references, *copies):
        return optimise(
            network,
            StepsOfLength(x, method.step_l2) if adam is None else AdamOnTanh(x, adam),
            lambda _, logits, indices: goals.distance(logits, late[indices]),
            lambda logits, indices: goals.met(logits, late[indices]),
            method.steps,
            pull=Reluctance(references, x, late, goals, method.reference_weight, through) if references else None,
            seen=looks(all_exits(network, copies) if copies else network, through),
        )


class Reluctance:
    """The pull against what the change does to references: in every other step one of them is asked, in turn.

    What it said last holds until it is its turn again.

    Parameters
    ----------
    references
        Networks known to be independent.
    x, late
        The images as they were, shape (samples, channels, height, width), and which are to be late, shape (samples,).
    goals
        Whose criterion and temperature certainty has.
    weight
        Of the penalty.
    through
        What may be done to an image before a network sees it: a reference is asked as sent and behind each way.
    """

    def __init__(
        self,
        references: Sequence[MultiExitNetwork],
        x: Tensor,
        late: Tensor,
        goals: Goals,
        weight: float,
        through: Sequence[Through] = (),
    ) -> None:
        self.references, self.late, self.goals, self.weight = references, late, goals, weight
        self.seen = [looks(reference.eval(), through) for reference in references]
        self.natural = [[_log_odds_of(look, x, goals) for look in each] for each in self.seen]
        self.pulls = [torch.zeros_like(x) for _ in references]

    def __call__(self, x: Tensor, indices: Tensor, step: int) -> Tensor:
        """The gradient of the penalty at the images x′ with these indices; before the first step there is none."""
        turn, rest = divmod(step - 1, EVERY)
        if step and not rest:
            self._ask(turn % len(self.references), x, indices)
        return torch.stack([pull[indices] for pull in self.pulls]).sum(0)

    def _ask(self, number: int, x: Tensor, indices: Tensor) -> None:
        batch = batch_size(x.shape)
        for part, those in zip(x.split(batch), indices.split(batch), strict=True):
            part = part.clone().requires_grad_()
            pulls = torch.zeros_like(part)
            for look, natural in zip(self.seen[number], self.natural[number], strict=True):
                change = self.goals.log_odds(look(part)) - natural[those]
                followed = torch.where(self.late[those, None], -change, change).relu().mean(1)
                pulls += torch.autograd.grad(self.weight * followed.sum(), part)[0]
            self.pulls[number][those] = pulls


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
    try:
        logits = logits_of(network, images.pixels)
        certainties = [usable[0].certainty(logits)]
        certainties += [usable[0].certainty(logits_of(network, images.pixels, way)) for way in doors]
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
            network, images[chosen].x, late, wanted_of_all, method, list(known.values()), doors, copies
        )
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped while crafting, no fingerprint was written: a rerun starts clean.") from stop
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
    share = share_of_distance(crafted.samples, images.pixels[chosen], images)
    if share > LARGEST_CHANGE[bool(known)]:
        raise ChangeTooLarge(
            f"a contrast would have to change these images by {share:.0%} of the distance between an image and its "
            "nearest neighbour, and independent networks would follow that: use --kind paper, give networks known to "
            "be independent (--reference), or policies with a higher threshold (--rad)."
        )
    if share > WARNED_CHANGE:
        warnings.append(
            f"The change is {share:.0%} of the distance between an image and its nearest neighbour, so large that "
            "independent networks may follow it"
            + ("." if known else ": give networks known to be independent (--reference), or use --kind paper.")
        )
    try:
        without = _without(network, images.pixels[chosen], late, goals[0], method, known, policies) if doors else {}
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped while crafting, no fingerprint was written: a rerun starts clean.") from stop
    made = Fingerprint(
        kind="contrast",
        samples=crafted.samples,
        originals=images.pixels[chosen],
        late=late,
        reached=crafted.reached,
        steps=crafted.steps,
        chosen=chosen,
        pool=len(images),
        answers=usable[0].answered(logits[chosen]),
        references=measured(known, network, policies, "contrast", crafted.samples, images.pixels[chosen], late, doors),
        through=doors,
        record={
            "method": asdict(method),
            "passes": crafted.passes,
            **without,
            "policies": [policy.described() for policy in usable],
            "seed": seed,
            "warnings": [*warnings, *weak_contrast(exits, chosen, late)],
        },
    )
    if check:
        check_own(network, images, made, policies)
    return made


def _without(
    network: MultiExitNetwork,
    originals: Tensor,
    late: Tensor,
    goals: Goals,
    method: ContrastMethod,
    references: Mapping[str, MultiExitNetwork],
    policies: Sequence[ExitPolicy | Rule],
) -> dict[str, Any]:
    """What the same images would have cost as sent alone: L2, passes, and the shares of pairs on each reference."""
    crafted = craft_contrast(network, unit_range(originals), late, goals, method, list(references.values()))
    L2 = (unit_range(crafted.samples) - unit_range(originals)).flatten(1).norm(dim=1).mean()
    followed = measured(references, network, policies, "contrast", crafted.samples, originals, late)
    return {
        "without through": {
            "L2": float(L2),
            "passes": crafted.passes,
            "references": {each.name: list(each.share) for each in followed},
        }
    }


def usable_policies(network: MultiExitNetwork, policies: Sequence[ExitPolicy]) -> tuple[list[ExitPolicy], list[str]]:
    """Those policies under which some images leave early and some late, and a warning for each weak one.

    Raises
    ------
    ExitprintError
        If there is no policy, they differ in criterion, or none is left.
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


def least_certainty(criterion: Criterion, classes: int) -> float:
    """The certainty of a uniform answer."""
    return 1 / classes if criterion == "confidence" else 0.0


def most_certainty(criterion: Criterion, internal: int) -> Tensor:
    """The largest certainty that each internal classifier can have, shape (exits - 1,)."""
    runs = torch.arange(1, internal + 1, dtype=torch.float64)
    return 1 - 1 / runs if criterion == "patience" else torch.ones_like(runs)


def contrast_goals(
    policies: Sequence[ExitPolicy],
    exits: Tensor,
    internal: int,
    classes: int,
    margin: float = 0.5,
    early_exits: int = 3,
) -> Goals:
    """The certainties that make an image late, and early, under all of these policies.

    A late image is never certain enough to leave before the last exit. An early one is, under each policy, certain
    enough where benign images begin to leave under that policy: asking more of it would take a larger change.

    Parameters
    ----------
    policies
        The policies, of one criterion.
    exits
        The exit of each benign image under each policy, shape (policies, images).
    internal, classes
        Number of internal classifiers and of classes.
    margin, early_exits
        As in `ContrastMethod`. Where a threshold is close to chance, a late image has to come half-way to chance only;
        where it is close to the largest certainty that an exit can have, an early one half-way to that.
    """
    T_c = torch.tensor([policy.for_exits(internal) for policy in policies])
    limits = T_c.double().clamp(LEAST, 1 - NEAREST).logit().float()
    chance = torch.tensor(least_certainty(policies[0].criterion, classes)).clamp(min=LEAST).logit()
    most = most_certainty(policies[0].criterion, internal).clamp(LEAST, 1 - LEAST**2).logit().float()
    strictest = limits.amin(0)
    above = torch.full_like(T_c, -torch.inf)
    for row, thresholds, limit, left in zip(above, T_c, limits, exits, strict=True):
        open_exits = (thresholds < 1).nonzero()[:, 0]
        begin = int((open_exits < left.double().quantile(EARLY_QUANTILE).long()).sum())
        aimed = open_exits[min(begin, len(open_exits) - 1) :][:early_exits]
        row[aimed] = torch.minimum(limit + margin, torch.maximum((limit + most) / 2, limit))[aimed]
    below = torch.maximum(strictest - margin, (strictest + chance) / 2)
    return Goals(below, above.amax(0), policies[0].criterion, policies[0].temperature)


@torch.no_grad()
def _log_odds_of(look: Look, x: Tensor, goals: Goals) -> Tensor:
    return torch.cat([goals.log_odds(look(part)) for part in x.split(batch_size(x.shape))])


def natural_order(certainty: Tensor, exits: Tensor) -> Tensor:
    """Indices of benign images, the earliest first, shape (images,).

    Images are ordered by their exit, averaged over policies, and where that is the same by their certainty, averaged
    over exits.

    Parameters
    ----------
    certainty
        Of each image at every exit, shape (images, exits).
    exits
        The exit of each image under each policy, shape (policies, images).
    """
    by_certainty = certainty[:, :-1].mean(1).argsort(descending=True, stable=True)
    return by_certainty[exits.double().mean(0)[by_certainty].argsort(stable=True)]


def choose(order: Tensor, samples: int, choice: float, seed: int) -> tuple[Tensor, Tensor]:
    """A seeded choice among the earliest and the latest images.

    Parameters
    ----------
    order
        Indices of the images, the earliest first, shape (images,).
    samples
        How many to choose, both halves together.
    choice
        Share of the images to choose each half among.
    seed
        Of the choice.

    Returns
    -------
    chosen, late
        Indices of the images, and whether each is to be made late (it is early by nature), shape (samples,).
    """
    generator = torch.Generator().manual_seed(seed)
    later, earlier = samples - samples // 2, samples // 2
    pool = min(max(later, int(choice * len(order))), len(order) // 2)
    pool = max(pool, later)
    made_late = order[:pool][torch.randperm(pool, generator=generator)[:later]]
    made_early = order[-pool:][torch.randperm(pool, generator=generator)[:earlier]]
    return torch.cat([made_late, made_early]), torch.arange(samples) < later


def least_changed(crafted: Crafted, originals: Tensor, late: Tensor, samples: int) -> Tensor:
    """Indices of `samples` of the crafted images, late ones first: those that reached their goal by the smallest L2.

    Those that did not reach it come last, and those that were not changed tell nobody anything: they are left out.
    """
    L2 = (unit_range(crafted.samples) - unit_range(originals)).flatten(1).norm(dim=1)
    order = (L2 + torch.where(crafted.reached, 0.0, torch.inf)).argsort(stable=True)
    order = order[L2[order] > 0]
    halves = [order[late[order] == half] for half in (True, False)]
    wanted = (samples - samples // 2, samples // 2)
    return torch.cat([half[:n].sort().values for half, n in zip(halves, wanted, strict=True)])


def share_of_distance(samples: Tensor, originals: Tensor, images: Images) -> float:
    """Mean L2 of the change over the median distance of an image to its nearest neighbour.

    It says how large the change is for any network that tells these images apart.
    """
    L2 = (unit_range(samples) - unit_range(originals)).flatten(1).norm(dim=1).mean()
    x = images[:COMPARED].x.flatten(1)
    distances = torch.cdist(x, x).fill_diagonal_(torch.inf)
    return float(L2 / distances.amin(1).median().clamp(min=1e-9))


def weak_contrast(exits: Tensor, chosen: Tensor, late: Tensor) -> list[str]:
    """A warning for each policy under which the chosen images differ little by nature.

    Parameters
    ----------
    exits
        The exit of each benign image under each policy, shape (policies, images).
    chosen, late
        As `choose` gives them.
    """
    warnings = []
    for number, taken in enumerate(exits[:, chosen], 1):
        same = float((taken[late][:, None] >= taken[~late]).double().mean())
        if same > MOST_SAME:
            warnings.append(
                f"Under policy {number} the late image of a pair leaves no later than the early one by nature in "
                f"{same:.0%} of all pairs, so an independent network comes nearer to 0.5 there: give more images to "
                "choose from, or leave that policy out."
            )
    return warnings
