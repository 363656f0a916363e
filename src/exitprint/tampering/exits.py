"""What a thief does to the exits of a copy: train them anew, take some away, put some in, leave by another rule."""

from __future__ import annotations

from collections.abc import Sequence

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.networks.policy import Criterion
from exitprint.tampering.rebuild import (
    HeadKind,
    calibrated,
    interruptible,
    shared,
    train_new_heads,
    with_exits,
    with_fresh_heads,
    working_copy,
)
from exitprint.training import HeadRecipe


@interruptible
def retrain_exits(
    network: MultiExitNetwork,
    data: ImageData,
    *,
    kind: HeadKind = "own",
    share: float = 1.0,
    heads: HeadRecipe | None = None,
    rad: float | None = 5,
    seed: int = 0,
) -> MultiExitNetwork:
    """Train all internal classifiers from scratch on the frozen backbone (Dong et al., section 4.1, change 2).

    Classifiers that build on each other share what they learn with the stages between them; that part stays.

    Parameters
    ----------
    network
        The stolen network; it is not changed.
    data
        The thief's images.
    kind
        ``own`` for classifiers of the kind that the network has, drawn anew from its architecture or from the captured
        module (a network without a record of either gets SDN heads); ``sdn`` for SDN heads in their place.
    share
        Share of the training images that the thief has.
    heads
        How they are trained, by default as preset ``fast`` does.
    rad
        Relative accuracy drop, in per cent, that the policy is calibrated for; ``None`` keeps the policy.
    seed
        Of initial weights, order, and the choice that `share` makes.

    Raises
    ------
    ExitprintError
        If `share` or `rad` is out of range, or no classifier has anything of its own to learn.
    Interrupted
        On Ctrl-C.
    """
    stages = network.exit_stages[:-1]
    copy = with_fresh_heads(working_copy(network), stages, seed, kind)
    if stages and not any(True for head in list(copy.heads)[:-1] for _ in head.parameters()):
        raise ExitprintError(
            "all that the exits of this network learn lies in its stages, as later exits build on it: train SDN heads "
            "in their place (--set kind=sdn)."
        )
    used = train_new_heads(copy, stages, shared(data, share, seed), heads, seed)
    copy.record(
        "exits retrained", data=data.name, kind=kind, share=share, heads=used.model_dump(mode="json"), seed=seed
    )
    return calibrated(copy, data, rad)


def exits_again(
    network: MultiExitNetwork,
    data: ImageData,
    retrain_heads: bool,
    heads: HeadRecipe | None,
    rad: float | None,
    seed: int,
    share: float = 1.0,
) -> MultiExitNetwork:
    """How tampering with a backbone ends: its exits trained again, or left as they are, and a policy for this RAD."""
    if retrain_heads:
        return retrain_exits(network, data, share=share, heads=heads, rad=rad, seed=seed)
    return calibrated(network, data, rad)


@interruptible
def remove_exits(
    network: MultiExitNetwork,
    data: ImageData,
    *,
    which: Sequence[int] | None = None,
    every: int | None = None,
    rad: float | None = 5,
) -> MultiExitNetwork:
    """Take internal classifiers away (section 4.1, change 1).

    Parameters
    ----------
    network
        The stolen network; it is not changed.
    data
        Images to calibrate with.
    which
        The internal classifiers to remove, counted from 0.
    every
        Instead of `which`: remove every k-th (2 removes the second, the fourth, …).
    rad
        Relative accuracy drop, in per cent, that the policy is calibrated for; ``None`` keeps the thresholds.

    Raises
    ------
    ExitprintError
        If not exactly one of `which` and `every` is given, or they name no internal classifier.
    """
    internal = network.num_exits - 1
    if (which is None) == (every is None):
        raise ExitprintError("say which exits to remove: either their numbers (which) or every k-th (every), not both.")
    if every is not None and not 1 <= every <= internal:
        raise ExitprintError(f"every must be from 1 to {internal} (the internal classifiers), and not {every}.")
    gone = set(which) if which is not None else set(range(every - 1, internal, every)) if every else set()
    if not gone or not gone <= set(range(internal)):
        raise ExitprintError(
            f"this network has internal classifiers 0 to {internal - 1}, so {sorted(gone)} cannot be removed."
        )
    copy = working_copy(network)
    kept = [
        (stage, head)
        for exit, (stage, head) in enumerate(zip(copy.exit_stages, copy.heads, strict=True))
        if exit not in gone
    ]
    copy = with_exits(copy, kept)
    copy.record("exits removed", exits=sorted(gone))
    return calibrated(copy, data, rad)


@interruptible
def add_exits(
    network: MultiExitNetwork,
    data: ImageData,
    *,
    stages: Sequence[int] | None = None,
    heads: HeadRecipe | None = None,
    rad: float | None = 5,
    seed: int = 0,
) -> MultiExitNetwork:
    """Train SDN heads after stages that have none; the others stay as they are (section 4.1, change 1).

    Parameters
    ----------
    network
        The stolen network; it is not changed.
    data
        The thief's images.
    stages
        Stages, counted from 0, to put an internal classifier after; by default all that have none.
    heads, rad, seed
        As in `retrain_exits`. With ``rad=None`` the new exits stay closed.

    Raises
    ------
    ExitprintError
        If there is no such stage or it has an exit already.
    Interrupted
        On Ctrl-C.
    """
    free = [stage for stage in range(len(network.stages) - 1) if stage not in network.exit_stages]
    if not free:
        raise ExitprintError(
            "this network has an exit after each of its stages, so none can be added: remove some exits first."
        )
    wanted = free if stages is None else sorted(set(stages))
    if not wanted or not set(wanted) <= set(free):
        raise ExitprintError(f"exits can be added after stages {', '.join(map(str, free))}, and not {wanted}.")
    copy = with_fresh_heads(working_copy(network), wanted, seed)
    used = train_new_heads(copy, wanted, data, heads, seed)
    copy.record("exits added", data=data.name, stages=wanted, heads=used.model_dump(mode="json"), seed=seed)
    return calibrated(copy, data, rad)


@interruptible
def change_criterion(
    network: MultiExitNetwork,
    data: ImageData,
    *,
    rad: float | None = None,
    threshold: float | None = None,
    criterion: Criterion = "confidence",
) -> MultiExitNetwork:
    """Let inputs leave by another criterion or at another threshold T_c (section 4.1, change 3).

    Parameters
    ----------
    network
        The stolen network; it is not changed.
    data
        Images to calibrate with.
    rad
        Relative accuracy drop, in per cent, that the common threshold is calibrated for.
    threshold
        Instead of `rad`: the common threshold itself.
    criterion
        ``confidence``, ``entropy``, ``margin`` or ``patience``.

    Raises
    ------
    ExitprintError
        If not exactly one of `rad` and `threshold` is given, or one is out of range.
    """
    if (rad is None) == (threshold is None):
        raise ExitprintError("say when inputs shall leave: give either a RAD or a threshold, not both.")
    copy = working_copy(network)
    if threshold is not None:
        copy.policy = ExitPolicy(threshold, *copy.policy.rule._replace(criterion=criterion))
        copy.record("criterion changed", threshold=threshold, criterion=criterion)
    return calibrated(copy, data, rad, criterion)
