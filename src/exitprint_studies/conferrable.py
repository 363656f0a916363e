"""Conferrable adversarial examples: images that copies of a network mislabel as it does, and other networks do not.

Lukas, Zhang and Kerschbaum, "Deep Neural Network Fingerprinting by Conferrable Adversarial Examples" (ICLR 2021), as
Dong et al. use it for a baseline: crafted on an ensemble, verified by the share of expected labels returned.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from exitprint.data import Images, eight_bit, unit_range
from exitprint.errors import ExitprintError, when_stopped
from exitprint.files import load_tensors, save_tensors
from exitprint.fingerprints.fingerprint import l2_changes
from exitprint.fingerprints.optimise import STOPPED
from exitprint.networks import MultiExitNetwork
from exitprint.progress import progress
from exitprint.suspects import Suspect
from exitprint.threads import single_thread, too_small_for_threads
from exitprint.training.backbone import final_logits

FILE_KIND = "label fingerprint"
LEAST = 1e-30
CANDIDATES = 1.25
"""So many images are crafted for each that is wanted; the most conferrable are kept."""


@dataclass(frozen=True)
class LabelFingerprint:
    """Crafted images and the labels that a copy gives them.

    Attributes
    ----------
    samples, originals
        Crafted images and what they were crafted from, uint8, shape (samples, channels, height, width).
    labels
        The expected label of each, int64, shape (samples,).
    conferrability
        Of each sample on the networks it was crafted with, float32, shape (samples,); see `conferrability`.
    record
        How it was made, plain JSON.
    """

    samples: Tensor
    originals: Tensor
    labels: Tensor
    conferrability: Tensor
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def x(self) -> Tensor:
        """Samples as float32 in [0, 1]."""
        return unit_range(self.samples)

    @property
    def l2(self) -> Tensor:
        """‖x − x′‖₂ of each sample, pixels in [0, 1], shape (samples,)."""
        return l2_changes(self.x, unit_range(self.originals))


def conferrability(surrogates: Tensor, references: Tensor) -> Tensor:
    """Confer(x; t) = Pr_surrogates[t] · (1 − Pr_references[t]) for every class t (Lukas et al., section 4).

    Parameters
    ----------
    surrogates, references
        Probabilities that the networks of each kind give each class on average, shape (batch, classes).

    Returns
    -------
    Tensor
        Shape (batch, classes), in [0, 1].
    """
    return surrogates * (1 - references)


def craft_conferrable(
    network: MultiExitNetwork,
    surrogates: Sequence[MultiExitNetwork],
    references: Sequence[MultiExitNetwork],
    x: Tensor,
    learning_rate: float = 0.01,
    steps: int = 500,
    epsilon: float = 0.1,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
    dropout: float = 0.3,
    enough: float = 0.95,
    seed: int = 0,
) -> Tensor:
    """Minimise α H(1, Confer(x′; t)) + β H(t, M(x′)) + γ H(M(x′), S(x′)) by Adam, for each image x.

    M is the owner's network and S the mean of the surrogates; each network answers at its last exit. In the ensemble
    behind Confer every network is left out with probability `dropout` at every step, for every image anew. The target t
    is the most conferrable class of x other than M(x).

    Lukas et al. print α H(1, max_t softmax(Confer(x′))_t) − β H(M(x), M(x′)) + γ H(M(x′), S(x′)). Where networks are
    certain, as on images that they were trained for, the gradients of its first two terms vanish and no image moves;
    with the target fixed and no second softmax the same optimum is reached.

    Parameters
    ----------
    network, surrogates, references
        The owner's network, copies that he made of it himself, and networks that he trained independently of it.
    x
        Benign images in [0, 1], float32, shape (samples, channels, height, width).
    learning_rate, steps
        Of Adam, the most steps for an image; 0.01 and 500 in Dong et al.
    epsilon
        Largest change of a pixel.
    alpha, beta, gamma
        Weights of the three terms.
    dropout
        Of the ensemble.
    enough
        An image whose conferrability is this high is done; Lukas et al. keep those above 0.95.
    seed
        Of what is dropped.

    Returns
    -------
    Tensor
        8-bit images, uint8, the shape of `x`.
    """
    generator = torch.Generator().manual_seed(seed)
    delta = torch.zeros_like(x)
    crafted = eight_bit(x)
    active = torch.arange(len(x), device=x.device)
    optimiser = torch.optim.Adam([delta], lr=learning_rate)

    def mean(probabilities: Tensor) -> Tensor:
        kept = torch.rand(probabilities.shape[:2], generator=generator).to(x.device) >= dropout
        kept |= ~kept.any(0)
        return (probabilities * (kept / kept.sum(0))[..., None]).sum(0)

    for each in (network, *surrogates, *references):
        each.eval()
    alone = single_thread(too_small_for_threads(network.input_shape))
    with alone, progress("crafting conferrable examples (steps)", steps) as advance:
        with torch.no_grad():
            certain = final_logits(network, x).argmax(1, keepdim=True)
            score = conferrability(answers(surrogates, x).mean(0), answers(references, x).mean(0))
            t = score.scatter(1, certain, -1.0).argmax(1, keepdim=True)
        for _ in range(steps):
            moved = delta[active].requires_grad_()
            changed = x[active] + moved
            M = final_logits(network, changed).log_softmax(1)
            S, R = answers(surrogates, changed), answers(references, changed)
            confer = conferrability(mean(S), mean(R)).clamp_min(LEAST).log()
            agreement = (M.exp() * S.mean(0).log()).sum(1)
            loss = -(alpha * confer + beta * M).gather(1, t[active])[:, 0] - gamma * agreement
            reached = conferrability(S.mean(0), R.mean(0)).gather(1, t[active])[:, 0].detach() >= enough
            reached &= M.argmax(1) == t[active, 0]
            (gradient,) = torch.autograd.grad(loss.sum(), moved)
            delta.grad = torch.zeros_like(delta).index_copy(0, active, gradient)
            crafted[active[reached]] = eight_bit(changed.detach()[reached])
            active = active[~reached]
            if not len(active):
                break
            optimiser.step()
            delta.clamp_(-epsilon, epsilon)
            delta.copy_((x + delta).clamp(0, 1) - x)
            advance(1)
    crafted[active] = eight_bit((x + delta)[active])
    return crafted


def conferrable_fingerprint(
    network: MultiExitNetwork,
    surrogates: Sequence[MultiExitNetwork],
    references: Sequence[MultiExitNetwork],
    images: Images,
    samples: int = 100,
    seed: int = 0,
    learning_rate: float = 0.01,
    steps: int = 500,
    epsilon: float = 0.1,
) -> LabelFingerprint:
    """Craft conferrable adversarial examples from a seeded choice of benign images and keep the most conferrable.

    Parameters
    ----------
    network, surrogates, references
        As in `craft_conferrable`; none of them is among the suspects later.
    images
        Benign images to choose from; a quarter more than are kept are crafted, where there are so many.
    samples
        How many to keep.
    seed
        Of the choice, and of what is dropped.
    learning_rate, steps, epsilon
        As in `craft_conferrable`.

    Raises
    ------
    ExitprintError
        If there are too few images, or no surrogate or no reference.
    Interrupted
        On Ctrl-C; nothing was written.
    """
    network.check_images(images.pixels[:1])
    if not surrogates or not references:
        raise ExitprintError("conferrable examples need at least one surrogate and one reference network.")
    if not 1 <= samples <= len(images):
        raise ExitprintError(f"{samples} samples cannot be crafted from {len(images)} images: ask for fewer.")
    candidates = min(round(CANDIDATES * samples), len(images))
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:candidates]
    device = network.mean.device
    method = {"learning_rate": learning_rate, "steps": steps, "epsilon": epsilon}
    with when_stopped(STOPPED):
        x = images[chosen].x.to(device)
        crafted = craft_conferrable(network, surrogates, references, x, seed=seed, **method)  # type: ignore[arg-type]
    with torch.no_grad():
        x = unit_range(crafted)
        labels = final_logits(network, x).argmax(1)
        scores = conferrability(answers(surrogates, x).mean(0), answers(references, x).mean(0))
        scores = scores.gather(1, labels[:, None])[:, 0]
        changed = labels != final_logits(network, images[chosen].x.to(device)).argmax(1)
    best = (scores * changed).argsort(descending=True, stable=True)[:samples].sort().values.cpu()
    return LabelFingerprint(
        samples=crafted.cpu()[best],
        originals=images.pixels[chosen[best]],
        labels=labels.cpu()[best],
        conferrability=(scores * changed).cpu()[best],
        record={
            "method": method,
            "surrogates": len(surrogates),
            "references": len(references),
            "candidates": candidates,
            "seed": seed,
        },
    )


def answers(networks: Sequence[MultiExitNetwork], x: Tensor) -> Tensor:
    """Probabilities at each network's last exit, shape (networks, batch, classes), none of them 0."""
    logits = torch.stack([final_logits(network, x) for network in networks])
    return logits.softmax(2).clamp_min(LEAST)


def share_of_labels(fingerprint: LabelFingerprint, suspect: Suspect) -> float:
    """Share of the samples to which the suspect gives the expected label.

    Raises
    ------
    ExitprintError
        If the suspect gives no labels.
    """
    labels = suspect.ask(fingerprint.x).labels
    if labels is None:
        raise ExitprintError("the baseline compares labels, and this suspect gives none: ask it for its answers.")
    return float((labels == fingerprint.labels.numpy()).mean())


def save_labels(fingerprint: LabelFingerprint, path: str | os.PathLike[str]) -> None:
    """Write a label fingerprint to one `.safetensors` file, whole or not at all."""
    parts = ("samples", "originals", "labels", "conferrability")
    save_tensors(path, FILE_KIND, {"record": fingerprint.record}, {part: getattr(fingerprint, part) for part in parts})


def load_labels(path: str | os.PathLike[str]) -> LabelFingerprint:
    """Read a label fingerprint; no code from the file is run.

    Raises
    ------
    ExitprintError
        If the file is missing, damaged or of another kind.
    """
    header, tensors = load_tensors(path, FILE_KIND)
    samples, originals, labels, scores = (
        tensors.get(part) for part in ("samples", "originals", "labels", "conferrability")
    )
    if samples is None or originals is None or labels is None or scores is None:
        raise ExitprintError(f"the label fingerprint {str(path)!r} is incomplete: get a whole copy.")
    if samples.shape != originals.shape or samples.ndim != 4 or not labels.shape == scores.shape == samples.shape[:1]:
        raise ExitprintError(f"the parts of the label fingerprint {str(path)!r} do not fit: get a whole copy.")
    return LabelFingerprint(samples, originals, labels.long(), scores, dict(header.get("record") or {}))
