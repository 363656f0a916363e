"""The paper's fingerprint: images that pass every exit of the owner's network (Dong et al., section 3.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor

from exitprint.data import Images
from exitprint.errors import ExitprintError, when_stopped
from exitprint.fingerprints.fingerprint import Fingerprint, distinct
from exitprint.fingerprints.optimise import STOPPED, AdamOnTanh, Crafted, optimise
from exitprint.fingerprints.own import check_own
from exitprint.fingerprints.policies import default_policies
from exitprint.fingerprints.shares import Rule, logits_of, measured, named, policy_of
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.networks.policy import lowest

SAMPLES = 100
"""N in the paper, by default."""
SURE = 4.0
"""Log-odds beyond which an answer's gradient fades: a surer one gets that of an answer so sure."""


def kl_from_uniform(logits: Tensor) -> Tensor:
    """D_KL(f(x), u) = log n_y − H(f(x)), shape (...,) from logits (..., classes)."""
    log_f = logits.log_softmax(-1)
    return math.log(logits.shape[-1]) + (log_f.exp() * log_f).sum(-1)


def L_f(logits: Tensor) -> Tensor:
    """Equation 1: Σ_{i<n} D_KL(f_i(x), u) − D_KL(f_n(x), u), shape (batch,), from logits (batch, exits, classes)."""
    divergence = kl_from_uniform(logits)
    return divergence[:, :-1].sum(1) - divergence[:, -1]


def less_sure(logits: Tensor) -> Tensor:
    """The same logits, but no surer than `SURE`: those of a surer answer are scaled down to it."""
    top, index = logits.detach().max(-1, keepdim=True)
    gap = top - logits.detach().scatter(-1, index, -torch.inf).logsumexp(-1, keepdim=True)
    return logits * (SURE / gap.clamp(min=SURE))


@dataclass(frozen=True)
class PaperMethod:
    """How the paper's fingerprint is crafted.

    Attributes
    ----------
    c
        Weight of L_f beside the L2 of the change, pixels in [0, 1]; 10 in the paper.
    learning_rate
        Adam's, on w of x′ = (tanh w + 1) / 2; 0.01 in the paper.
    steps
        The most steps; the paper takes 1,000 (2,000 for ResNet-56) for every sample.
    margin_certainty
        How far below its threshold every internal classifier's certainty has to be, in the certainty's own units (for
        confidence a probability), and half-way from the threshold to chance where that is less.
    stop_early
        Stop each sample as soon as it passes every exit with that margin, and see that an exit that is sure of itself
        has a gradient; False takes all steps of equation 2 as it stands, as the paper does.
    """

    c: float = 10.0
    learning_rate: float = 0.01
    steps: int = 1000
    margin_certainty: float = 0.15
    stop_early: bool = True


def craft_paper(
    network: MultiExitNetwork, x: Tensor, policy: ExitPolicy, method: PaperMethod = PaperMethod()
) -> Crafted:
    """Minimise L(x′) = ‖x − x′‖₂ + c·L_f(x′) (equation 2) for each image.

    Parameters
    ----------
    network
        The owner's network.
    x
        Benign images in [0, 1], float32, shape (samples, channels, height, width).
    policy
        The strictest policy the samples have to pass: the lowest thresholds.
    method
        Weights, steps and margin.

    Raises
    ------
    ExitprintError
        If a threshold is so low that no image can stay below it.
    """
    internal = network.num_exits - 1
    T_c = torch.tensor(policy.for_exits(internal))
    floor = 1 / network.classes if policy.criterion == "confidence" else 0.0
    if (T_c <= floor).any():
        raise ExitprintError(
            f"with a threshold of {T_c.min():.3f} every image leaves at the first exit, so none can be made slow: "
            "choose a policy with a higher threshold (--threshold, --leave 0.4)."
        )
    limit = torch.maximum(T_c - method.margin_certainty, (T_c + floor) / 2).to(network.mean.device)
    x = x.to(network.mean.device)
    weighed = less_sure if method.stop_early else (lambda logits: logits)

    def loss(x_crafted: Tensor, logits: Tensor, indices: Tensor) -> Tensor:
        return (x[indices] - x_crafted).flatten(1).norm(dim=1) + method.c * L_f(weighed(logits))

    def passes_every_exit(logits: Tensor, indices: Tensor) -> Tensor:
        return (policy.certainty(logits[:, :-1]) < limit).all(1)

    variable = AdamOnTanh(x, method.learning_rate)
    return optimise(network, variable, loss, passes_every_exit, method.steps, method.stop_early)


def paper_fingerprint(
    network: MultiExitNetwork,
    images: Images,
    policies: Sequence[ExitPolicy | Rule] | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    method: PaperMethod = PaperMethod(),
    references: Mapping[str, MultiExitNetwork] | Sequence[MultiExitNetwork] = (),
    check: bool = True,
    held_out: Images | None = None,
) -> Fingerprint:
    """Craft the paper's fingerprint from a seeded choice of benign images.

    Parameters
    ----------
    network
        The owner's network.
    images
        Benign images to choose from.
    policies
        Policies that the samples have to pass, or rules for them; samples are crafted for the lowest of their
        thresholds. By default the network's own, see `default_policies`.
    samples
        Number of samples, N in the paper: 100.
    seed
        Of the choice.
    method
        How to craft.
    references
        Networks known to be independent, with their names or without; the fingerprint says what it comes to on each
        under each policy.
    check
        Refuse a fingerprint that does not tell the network itself and its 8-bit copy, and leave out samples that pass
        every exit unchanged; False to measure with all of them anyway, as the paper does.
    held_out
        Images that default policies are calibrated on, where they are needed; by default `images`.

    Raises
    ------
    ExitprintError
        If there are too few images, no image can pass that policy, or the fingerprint does not tell its own network.
    Interrupted
        On Ctrl-C; nothing was written.
    """
    network.check_images(images.pixels[:1])
    if not 1 <= samples <= len(images):
        raise ExitprintError(f"{samples} samples cannot be crafted from {len(images)} images: ask for fewer.")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    chosen = order[torch.isin(order, distinct(images.pixels))][:samples]
    if len(chosen) < samples:
        raise ExitprintError(f"only {len(chosen)} of these images differ from each other: ask for fewer samples.")
    if policies is None:
        policies = default_policies("paper", network, images, images if held_out is None else held_out)
    policy = lowest([policy_of(network, given) for given in policies], network.num_exits - 1)
    with when_stopped(STOPPED):
        crafted = craft_paper(network, images[chosen].x, policy, method)
    kept = (crafted.samples != images.pixels[chosen]).flatten(1).any(1) | (not check)
    if not kept.any():
        raise ExitprintError(
            "every image passes all exits unchanged under this policy, so none can be made slower: choose one with a "
            "lower threshold (--threshold, a larger --rad)."
        )
    left_out = int((~kept).sum())
    crafted, chosen = crafted.only(kept), chosen[kept]
    originals = images.pixels[chosen]
    made = Fingerprint(
        kind="paper",
        samples=crafted.samples,
        originals=originals,
        late=torch.ones(len(chosen), dtype=torch.bool),
        reached=crafted.reached,
        steps=crafted.steps,
        chosen=chosen,
        pool=len(images),
        answers=policy.answered(logits_of(network, originals)),
        record={
            "method": asdict(method),
            "passes": crafted.passes,
            "policy": policy.described(),
            "seed": seed,
            "warnings": [f"{left_out} of {samples} samples left out: they pass every exit unchanged."] * bool(left_out),
        },
    )
    made = replace(made, references=measured(made, named(references), network, policies))
    if check:
        check_own(network, images, made, policies)
    return made
