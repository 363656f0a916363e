"""Verification: one way to ask a suspect, wherever it runs, and to say with an error rate what follows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.evidence.betting import check_probability
from exitprint.evidence.limits import BUDGET, ERROR_RATE
from exitprint.fingerprints.course import Recorder
from exitprint.fingerprints.fingerprint import Fingerprint, Reference
from exitprint.fingerprints.likeness import FAR_WORSE, closest
from exitprint.fingerprints.reasons import reason
from exitprint.fingerprints.shares import share_of_pairs
from exitprint.fingerprints.statistic import Test, run, streams
from exitprint.fingerprints.threshold import check_change, check_size, threshold
from exitprint.fingerprints.verdict import Verdict
from exitprint.suspects.journal import Work
from exitprint.suspects.suspect import BudgetSpent, Suspect
from exitprint.suspects.through import Through, ways
from exitprint.timing.session import Asked, Session, session, timed

LEAST_BUDGET = 50
"""A smaller budget is refused at once, since it decides nothing."""
WARM_UP = 10
"""Requests before the first that counts, while an idle server wakes up."""
METHOD = 3
"""Raised whenever the same seed would ask other inputs than before: older journals do not fit then."""
NEEDS = "fingerprint, suspect, seed or settings"
NOISE = (
    "Noise, load and delay on the way to the suspect may depend on the image, and do not depend on which half of the "
    "fingerprint it is in or whether it was crafted."
)
DRAWN = "The fingerprint's images are draws of one kind, crafted one by one."
KEPT = (
    "A copy keeps what was put into the images. Where that lives in the exits, a copy whose exits were trained again "
    "does not, and can be called independent."
)
"""What clearing rests on, and no claim does."""


def verify(
    fingerprint: Fingerprint,
    suspect: Suspect,
    *,
    alpha: float = ERROR_RATE,
    beta: float = ERROR_RATE,
    budget: int = BUDGET,
    journal: Path | None = None,
    resume: bool = False,
    seed: int = 0,
    subject: str = "",
    references: Mapping[str, Suspect] | Sequence[Reference] = (),
    through: str | Through | None = None,
) -> Verdict:
    """Is the suspect a copy of the network that the fingerprint was made for? Asked until that is sure enough.

    What `alpha` and `beta` are promised for is said in `exitprint.fingerprints.statistic` and in docs/verification.md.
    Each verdict names the assumptions that it rests on.

    Parameters
    ----------
    fingerprint
        The owner's fingerprint. What can be computed from it is computed, and thresholds are the verifier's.
    suspect
        What can be asked: in this process, in ONNX Runtime, at an address, or on a cost model's clock.
    alpha, beta
        Bounds on the probabilities of a false claim and of a miss.
    budget
        Most requests in all, of all kinds, repeated ones and those of earlier runs included.
    journal
        File that keeps every answer, so that a run that was cut off can be resumed.
    resume
        Whether to go on with the journal that is there, without asking again what it has an answer to; the budget may
        be another one than before, everything else must be the same.
    seed
        Of which inputs are compared and in what order.
    subject
        What the suspect is called, for the journal: one of another subject is refused.
    references
        Networks that the verifier knows to be independent, by name, on a cost model's clock (`CostModel`), or what they
        came to (`asked_references`): the threshold follows from them as well.
    through
        What is done to every image before it is sent, as `Through` reads it, such as ``jpeg:90``; the clock starts
        after it.

    Returns
    -------
    Verdict
        ``inconclusive`` where the budget is spent first, or the suspect's time does not follow its input; its reason
        says which.

    Raises
    ------
    ExitprintError
        If no outcome could decide (too few samples or requests, a pool too small), the fingerprint holds what no
        crafting gives, the journal cannot be used, or the suspect fails for good.
    Interrupted
        On Ctrl-C; what was answered is in the journal.
    """
    if not isinstance(fingerprint, Fingerprint):
        raise ExitprintError(
            f"verify takes a fingerprint and then a suspect, and no {type(fingerprint).__name__}: pass "
            "load_fingerprint(file)."
        )
    check_settings(alpha, beta, budget)
    fingerprint.check()
    fingerprint.check_change()
    way = None if through is None else ways([through])[0]
    seen = asked_references(fingerprint, references, way) if isinstance(references, Mapping) else references
    check_change(fingerprint, seen)
    limit = threshold(fingerprint, seen)
    check_size(fingerprint, limit.p0, alpha, beta)
    words: dict[str, Any] = {"subject": subject, "alpha": alpha, "beta": beta, "p0": limit.p0, "seed": seed}
    if way is not None:
        words["through"] = way.text
    work = Work("verification", run_digest(fingerprint, **words), Asked, NEEDS, words)
    with session(
        suspect, inputs(fingerprint, way), work, expected=budget, budget=budget, journal=journal, resume=resume
    ) as asking:
        parts = streams(fingerprint)
        test = Test(limit.p0, alpha, beta, nature=len(parts) > 1)
        recorder = Recorder(test)
        like: float | None = None
        spent = True
        with suppress(BudgetSpent):
            first = np.resize(np.arange(parts[0].sizes[0]), WARM_UP)
            asking.warm_up(parts[0].slow, np.random.default_rng([seed, 0]).permutation(first))
            for stream in run(parts, test, asking.ask, seed, lambda: asking.clock != "cost-model"):
                recorder.note(stream, asking.requests)
                if stream == "crafted" and like is None:
                    like = _likeness(fingerprint, asking)
                    if like is not None and like < FAR_WORSE:
                        break
            spent = False
        like = _likeness(fingerprint, asking) if like is None else like
        return Verdict(
            decision=test.decision,
            kind=fingerprint.kind,
            share=test.claim.mean,
            interval=test.claim.interval() if test.claim.observations else None,
            p0=limit.p0,
            nature=test.nature.mean if test.nature else None,
            nature_interval=test.nature.interval() if test.nature and test.nature.observations else None,
            e_value=float(np.exp(min(test.log_e, 690.0))),
            p_value=float(np.exp(-test.log_e)),
            e_value_independent=float(np.exp(min(test.log_e_clear, 690.0))),
            alpha=alpha,
            beta=beta,
            requests=asking.requests,
            seconds=asking.elapsed,
            bytes=asking.bytes,
            clock=asking.clock,
            reason=reason(test, asking, like, spent),
            assumptions=(*limit.assumptions, NOISE, DRAWN, *[KEPT] * (test.decision == "independent")),
            floor=asking.floor,
            seed=seed,
            timings=asking.timings(),
            course=recorder.course(asking),
        )


def check_settings(alpha: float, beta: float, budget: int) -> None:
    """Refuse error rates that are none, and a budget with which nothing could be decided.

    Raises `ExitprintError` with the one that is wrong.
    """
    check_probability("alpha", alpha)
    check_probability("beta", beta)
    if budget < LEAST_BUDGET:
        raise ExitprintError(f"{budget} requests cannot decide anything: allow at least {LEAST_BUDGET}.")


def inputs(fingerprint: Fingerprint, way: Through | None = None) -> dict[str, Tensor]:
    """What a suspect is asked, by kind: images in [0, 1], after what is done to them before they are sent."""
    late = fingerprint.late
    x, benign = (way(x) if way else x for x in (fingerprint.x, fingerprint.benign))
    if fingerprint.kind == "paper":
        return {"sample": x, "original": benign}
    return {"late": x[late], "early": x[~late], "late original": benign[late], "early original": benign[~late]}


def run_digest(fingerprint: Fingerprint, **words: Any) -> str:
    """A digest of what a run's askings depend on: not of the budget, since the test may stop at any time."""
    content = sha256(json.dumps({**words, "method": METHOD}, sort_keys=True).encode())
    for part in (fingerprint.samples, fingerprint.originals, fingerprint.late):
        content.update(part.contiguous().numpy().tobytes())
    return content.hexdigest()


def _likeness(fingerprint: Fingerprint, asking: Session) -> float | None:
    """How far the suspect's answers to the originals agree with the owner's; None where that cannot be told."""
    late = fingerprint.late
    kinds = {"late original": late, "early original": ~late, "original": late}
    seen = [
        (int(place), asked.label)
        for kind, chosen in kinds.items()
        for index, place in enumerate(chosen.nonzero()[:, 0])
        if (asked := asking.first(kind, index)) is not None and asked.label is not None
    ]
    answers = fingerprint.answers.view(len(fingerprint), -1)[[place for place, _ in seen]]
    return closest(answers.T.tolist(), [label for _, label in seen])


def asked_references(
    fingerprint: Fingerprint, references: Mapping[str, Suspect], way: Through | None = None
) -> tuple[Reference, ...]:
    """What the samples come to on networks that a verifier knows to be independent, by name.

    They are asked as the suspect is, and as sent and behind each way that the fingerprint was made for.

    Raises `ExitprintError` if one does not answer on a cost model's clock.
    """
    asked = [way] if way else [None, *fingerprint.through]
    return tuple(
        Reference(name, tuple(_asked(fingerprint, name, each, one) for one in asked), "other")
        for name, each in references.items()
    )


def _asked(fingerprint: Fingerprint, name: str, reference: Suspect, way: Through | None) -> float:
    """The share of pairs that the samples come to on a verifier's reference."""
    answers = [timed(reference, way(x) if way else x) for x in (fingerprint.x, fingerprint.benign)]
    if answers[0].clock != "cost-model":
        raise ExitprintError(f"the reference {name!r} must answer on a cost model's clock: pass CostModel(network).")
    samples, originals = (torch.from_numpy(answer.seconds) for answer in answers)
    return share_of_pairs(fingerprint.kind, samples, originals, fingerprint.late)
