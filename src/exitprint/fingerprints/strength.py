"""Strength: thefts simulated on the owner's network, and what a finished fingerprint comes to on each copy."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import torch
from torch import Tensor

from exitprint.data import ImageData, Images
from exitprint.errors import Interrupted
from exitprint.fingerprints.fingerprint import Fingerprint
from exitprint.fingerprints.policies import default_policies, for_calibration, usable_policies
from exitprint.fingerprints.promises import PROMISED, Exit, Strength, Theft, WhichExits
from exitprint.fingerprints.replay import Exits, chances, needed
from exitprint.fingerprints.shares import Rule, logits_of, policy_of, share_of_pairs
from exitprint.fingerprints.thefts import OWN, SDN, number_for_backbones, number_for_exits, steps
from exitprint.fingerprints.thieves import simulated
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.progress import progress
from exitprint.threads import single_thread, too_small_for_threads
from exitprint.training import policy_accuracy

SIZES = (100, 200, 400)
SEEDS = 2
AS_IT_IS = "the network as it is"
TELLS = 0.1
"""An exit says something if samples and originals are ordered otherwise in so many more of the pairs."""


def strength(
    fingerprint: Fingerprint,
    network: MultiExitNetwork,
    data: ImageData,
    policies: Sequence[ExitPolicy | Rule] | None = None,
    seed: int = 0,
    jobs: int = 1,
) -> Strength:
    """Simulate thefts of a network, and say what a fingerprint made for it comes to on each copy.

    Thefts are those of `exitprint.fingerprints.thefts`, each from two seeds. Everything is by the cost model, on a
    clock without noise: a real service takes more samples or repeats.

    Parameters
    ----------
    fingerprint
        A finished fingerprint of the network; it is not changed.
    network
        The owner's network; it is not changed.
    data
        Labelled images, of which a thief would have some for training.
    policies
        Those that the fingerprint was made for, by default those of `default_policies`; each copy gets its own by a
        rule.
    seed
        Of the thefts.
    jobs
        In how many processes at most, where that saves time; what is said is the same. With more than one, a script
        of yours needs its ``if __name__ == "__main__":``.

    Returns
    -------
    Strength
        ``dataclasses.replace(fingerprint, strength=...)`` keeps it in the fingerprint's file.

    Raises
    ------
    ExitprintError
        If the images have no labels, no policy is left under which images leave at several exits, or a process was
        killed.
    Interrupted
        On Ctrl-C.
    """
    data.check_labelled()
    if policies is None:
        policies = default_policies(fingerprint.kind, network, data.test, data.calibration)
    own = [policy_of(network, given) for given in policies]
    usable = usable_policies(network, own)[0] if fingerprint.kind == "contrast" else own
    used = [given for given, policy in zip(policies, own, strict=True) if policy in usable]
    sizes = tuple(sorted({*SIZES, len(fingerprint)}))
    judged_on = for_calibration(data.calibration)
    found: dict[str, list[tuple[float, list[Exits]]]] = {}
    heads: list[Tensor] = []
    left_out: list[str] = []
    try:
        with (
            single_thread(too_small_for_threads(network.input_shape)),
            progress("simulating thefts", SEEDS * steps(network)) as advance,
            closing(simulated(network, data, range(seed + 1, seed + 1 + SEEDS), jobs)) as copies,
        ):
            mine = _Seen(fingerprint, network, used)
            found[AS_IT_IS] = [mine.left(judged_on)]
            for copy in copies:
                if isinstance(copy, str):
                    left_out += [copy] * (copy not in left_out)
                    continue
                seen = _Seen(fingerprint, copy.network, used)
                found.setdefault(copy.theft, []).append(seen.left(judged_on))
                if copy.new_exits:
                    heads.append(torch.tensor(seen.agreeing(own[0])))
                advance(1)
        thefts = [_theft(fingerprint, name, each, found[AS_IT_IS][0][0], sizes) for name, each in found.items()]
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped while simulating thefts, no fingerprint was written: a rerun starts clean.") from (
            stop
        )
    enough, too_little = zip(*(needed(fingerprint, size, PROMISED) for size in sizes), strict=True)
    return Strength(
        samples=len(fingerprint),
        sizes=sizes,
        enough=enough,
        too_little=too_little,
        policies=tuple(min(policy_of(network, given).thresholds) for given in used),
        thefts=tuple(thefts),
        exits=tuple(_exits(mine, heads, own[0])) if heads else (),
        images=number_for_exits(network, data),
        fine_tuned_on=number_for_backbones(network, data),
        seeds=SEEDS,
        left_out=tuple(left_out),
    )


class _Seen:
    """What one network does with samples and originals."""

    def __init__(
        self, fingerprint: Fingerprint, network: MultiExitNetwork, policies: Sequence[ExitPolicy | Rule]
    ) -> None:
        self.fingerprint, self.network = fingerprint, network
        self.policies = [policy_of(network, given) for given in policies]
        self.samples = logits_of(network, fingerprint.samples)
        self.originals = logits_of(network, fingerprint.originals)

    def left(self, images: Images) -> tuple[float, list[Exits]]:
        """Accuracy on these images under the first policy, and under each policy where samples and originals leave."""
        judged = self.network.copy()
        judged.policy = self.policies[0]
        exits = [(policy.exits(self.samples), policy.exits(self.originals)) for policy in self.policies]
        return policy_accuracy(judged, images), exits

    def agreeing(self, policy: ExitPolicy) -> list[float]:
        """For each internal classifier the share of pairs in which it is less certain of the late sample."""
        crafted, benign = (-policy.certainty(logits)[:, :-1] for logits in (self.samples, self.originals))
        kind, late = self.fingerprint.kind, self.fingerprint.late
        return [share_of_pairs(kind, x, x0, late) for x, x0 in zip(crafted.T, benign.T, strict=True)]

    def natural(self, policy: ExitPolicy) -> list[float]:
        """The same of the originals."""
        benign = -policy.certainty(self.originals)[:, :-1]
        return [share_of_pairs(self.fingerprint.kind, x, x, self.fingerprint.late) for x in benign.T]


def _theft(
    fingerprint: Fingerprint,
    name: str,
    copies: Sequence[tuple[float, list[Exits]]],
    own_accuracy: float,
    sizes: Sequence[int],
) -> Theft:
    by_policy = list(zip(*(exits for _, exits in copies), strict=True))
    cells = [[chances(fingerprint, each, size) or (None, None) for size in sizes] for each in by_policy]
    kind, late = fingerprint.kind, fingerprint.late
    return Theft(
        name=name,
        keeps=_mean([accuracy for accuracy, _ in copies]) / max(own_accuracy, 1e-9),
        shares=tuple(tuple(share_of_pairs(kind, x, x0, late) for x, x0 in each) for each in by_policy),
        claimed=tuple(tuple(claimed for claimed, _ in row) for row in cells),
        cleared=tuple(tuple(cleared for _, cleared in row) for row in cells),
        exits=_which(name),
    )


def _which(theft: str) -> WhichExits:
    return "sdn" if SDN in theft else "own" if OWN in theft else "kept"


def _exits(mine: _Seen, heads: Sequence[Tensor], policy: ExitPolicy) -> list[Exit]:
    leaves = torch.stack([each.exits(mine.samples) for each in mine.policies])
    described = []
    anew = torch.stack(list(heads)).mean(0).tolist()
    for number, (own, new, natural) in enumerate(zip(mine.agreeing(policy), anew, mine.natural(policy), strict=True)):
        if own - natural < TELLS:
            continue
        head = min(max((own - new) / (own - natural), 0.0), 1.0)
        described.append(Exit(number=number + 1, leaves=float((leaves == number).double().mean()), head=head))
    return described


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
