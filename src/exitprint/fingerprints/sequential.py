"""Verification that stops as soon as the evidence suffices: for suspects on somebody else's server.

A contrast fingerprint is decided by `SignTest`: pairs of a late and an early input, one right after the other, of which
only the order of the two times counts. So outliers, another processor, a load or any monotone distortion of the clock
can hide a difference and cannot make one. The longer the test takes the more often each input is asked, and the quicker
half of its askings counts. When all inputs are used up without a decision they are matched anew. A paper fingerprint is
decided by `BracketTest`, T_N against T_f.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from exitprint.errors import ExitprintError, Interrupted
from exitprint.fingerprints.asking import Asker, Asking, quiet
from exitprint.fingerprints.bracket import BracketTest
from exitprint.fingerprints.fingerprint import Fingerprint
from exitprint.fingerprints.reasons import contrast_reason, paper_reason, why_silent
from exitprint.fingerprints.score import LONGEST_SHARE, NATURAL, FloatArray, longest_time, t_n
from exitprint.fingerprints.verdict import Verdict
from exitprint.fingerprints.verify import T_F_SHARE
from exitprint.progress import progress
from exitprint.suspects import BudgetSpent, Suspect
from exitprint.suspects.journal import Work, opened
from exitprint.timing.course import Course, InputKind
from exitprint.timing.measure import FLOORS
from exitprint.timing.pairs import draw_pairs
from exitprint.timing.sequential import SequentialTest, SignTest

BUDGET = 2000
LEAST_BUDGET = 50
WARM_UP = 10
BENIGN = 50
REPEATS = 2
NEVER = 1e-12
METHOD = 2
"""Raised whenever the same seed would ask other inputs than before: older journals do not fit then."""
NEEDS = "fingerprint, suspect, seed or settings"


def verify_sequentially(
    fingerprint: Fingerprint,
    suspect: Suspect,
    *,
    alpha: float = 1e-3,
    beta: float = 1e-3,
    budget: int = BUDGET,
    seed: int = 0,
    journal: Path | None = None,
    resume: bool = False,
    subject: str = "",
) -> Verdict:
    """Is the suspect a copy of the network that the fingerprint was made for? Asked until that is sure enough.

    What `alpha` and `beta` are promised for, and why they hold although the test stops when it likes, is said in
    `exitprint.timing.sequential` and in docs/verification.md. The first requests warm the suspect up and are no
    evidence.

    Parameters
    ----------
    fingerprint
        The owner's fingerprint.
    suspect
        What can be asked.
    alpha, beta
        Bounds on the probabilities of a false claim and of a miss.
    budget
        Most requests in all, of all kinds, repeated ones and those of earlier runs included.
    seed
        Of which inputs are compared and in what order.
    journal
        File that keeps every answer, so that a run that was cut off can be resumed.
    resume
        Whether to go on with the journal that is there, without asking again what it has an answer to; the budget may
        be another one than before, everything else must be the same.
    subject
        What the suspect is called, for the journal: one of another subject is refused.

    Returns
    -------
    Verdict
        With its runtimes and its course. Where the budget is spent first, or the suspect's time does not depend on its
        input, it is ``inconclusive``, and its reason says so.

    Raises
    ------
    ExitprintError
        If the budget is too small to decide anything, the journal cannot be used, or the suspect fails for good.
    Interrupted
        On Ctrl-C; what was answered is in the journal.
    """
    if budget < LEAST_BUDGET:
        raise ExitprintError(f"{budget} requests cannot decide anything: allow at least {LEAST_BUDGET}.")
    words: dict[str, Any] = {"subject": subject, "alpha": alpha, "beta": beta, "seed": seed}
    decide = _contrast if fingerprint.kind == "contrast" else _paper
    work = Work("verification", run_digest(fingerprint, **words), Asking, NEEDS, words)
    with (
        opened(journal, work, resume) as kept,
        progress("asking the suspect (requests)", budget) as advance,
    ):
        asker = Asker(suspect, _inputs(fingerprint), budget, kept, advance)
        with _resumable(asker):
            return decide(fingerprint, asker, alpha, beta, seed)


def _contrast(fingerprint: Fingerprint, asker: Asker, alpha: float, beta: float, seed: int) -> Verdict:
    halves = int(fingerprint.late.sum()), int((~fingerprint.late).sum())
    test, at = sign_test(NATURAL, alpha, beta), list[int]()
    with suppress(BudgetSpent):
        _warm_up(asker, len(fingerprint), seed)
        for sign, again in _signs(asker, *halves, test, seed):
            test.update(sign, again)
            at.append(asker.heard.requests)
            if test.decision != "inconclusive":
                break
    heard = asker.heard
    silent = why_silent(heard) if test.decision == "inconclusive" else None
    late, every = heard.quiet_times("late"), heard.quiet_times("late", "early")
    return _verdict(
        asker,
        test,
        at,
        statistic="auc",
        value=test.estimate,
        interval=test.interval(),
        threshold=test.p0,
        t_n=t_n(late, longest_time(every)) if len(late) else float("nan"),
        benign_t_n=float("nan"),
        reason=silent or contrast_reason(test, asker.requests),
    )


def sign_test(p0: float, alpha: float, beta: float) -> SignTest:
    """The test of signs against this threshold of the AUC.

    Only against the natural one can it say `independent`: a copy is then told from noise by inputs that are faster
    twice, which noise does in one pair of four.
    """
    return SignTest(alpha, beta if p0 == NATURAL else NEVER, p0, (1 + p0) / 2)


def _signs(asker: Asker, late: int, early: int, test: SignTest, seed: int) -> Iterator[tuple[int, int | None]]:
    """Both signs of one pair after the other, round after round."""
    for number in count(1):
        if number > 1:
            test.next_round()
        noisy = asker.heard.clock == "measured"
        for late_one, early_one, late_first, often in draw_pairs(late, early, seed, number):
            both: list[tuple[InputKind, int]] = [("late", late_one), ("early", early_one)]
            repeats = often if noisy else 1
            sign = _compared(asker, both, late_first[0], repeats)
            yield sign, _compared(asker, both, late_first[1], repeats) if sign == -1 else None


def _compared(asker: Asker, both: list[tuple[InputKind, int]], in_order: bool, repeats: int) -> int:
    """1 if the first of two inputs takes longer, -1 if the second does, 0 if they take the same time."""
    first, second = _together(asker, both, in_order, repeats)
    return int(np.sign(first - second))


def _together(asker: Asker, both: list[tuple[InputKind, int]], in_order: bool, repeats: int) -> tuple[float, float]:
    """Quiet times of two inputs asked in turns: a, b, b, a, a, b, …, or the other way round."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats):
        for one in (0, 1) if in_order == (repeat % 2 == 0) else (1, 0):
            times[one].append(asker.ask(*both[one]))
    return quiet(times[0]), quiet(times[1])


def _paper(fingerprint: Fingerprint, asker: Asker, alpha: float, beta: float, seed: int) -> Verdict:
    test: BracketTest | None = None
    at: list[int] = []
    silent = None
    with suppress(BudgetSpent):
        _warm_up(asker, len(fingerprint), seed)
        benign, noise = _benign(asker, len(fingerprint), seed)
        silent = why_silent(asker.heard)
        if silent is None:
            test = BracketTest(benign, noise, lambda T_N: T_F_SHARE * T_N, alpha, beta)
            for seconds, control in _drawn(asker, len(fingerprint), seed):
                test.update(seconds, control)
                if test.updates:
                    at.append(asker.heard.requests)
                if test.decision != "inconclusive":
                    break
    nan = float("nan")
    return _verdict(
        asker,
        test or SequentialTest(alpha, beta),
        at,
        statistic="t_n",
        value=test.T_N if test else nan,
        interval=test.interval() if test else (0.0, 1.0),
        threshold=test.T_f if test else nan,
        t_n=test.T_N if test else nan,
        benign_t_n=test.benign_T_N if test else nan,
        reason=silent or paper_reason(test, asker.requests),
    )


def _benign(asker: Asker, inputs: int, seed: int) -> tuple[FloatArray, float]:
    """Quiet times of benign inputs, each taken twice, and by how much noise may lengthen the longest of them."""
    rng = np.random.default_rng([seed, 1])
    chosen = rng.choice(inputs, min(BENIGN, inputs), replace=False)
    if asker.heard.clock == "cost model":
        return np.array([asker.ask("benign", int(one)) for one in chosen]), 0.0
    passes = np.empty((2 * REPEATS, len(chosen)))
    for times in passes:
        for at in rng.permutation(len(chosen)):
            times[at] = asker.ask("benign", int(chosen[at]))
    first, second = (np.apply_along_axis(quiet, 0, part) for part in (passes[:REPEATS], passes[REPEATS:]))
    return np.concatenate([first, second]), float(np.quantile(abs(first - second), LONGEST_SHARE))


def _drawn(asker: Asker, inputs: int, seed: int) -> Iterator[tuple[float, float]]:
    """Quiet times of a fingerprint and a benign input, both drawn at random, again and again."""
    rng = np.random.default_rng([seed, 2])
    repeats = REPEATS if asker.heard.clock == "measured" else 1
    while True:
        sample, control, in_order = rng.integers((inputs, inputs, 2))
        yield _together(asker, [("fingerprint", int(sample)), ("benign", int(control))], bool(in_order), repeats)


def _warm_up(asker: Asker, inputs: int, seed: int) -> None:
    """Requests that are no evidence: the path alone, and benign inputs while an idle server wakes up."""
    asker.ask_floor(FLOORS)
    for one in np.random.default_rng([seed, 0]).permutation(inputs)[:WARM_UP]:
        asker.ask("benign", int(one), warm_up=True)
        if asker.heard.clock == "cost model":
            return


def _verdict(asker: Asker, test: SequentialTest, at: list[int], **judged: Any) -> Verdict:
    heard = asker.heard
    return Verdict(
        decision=test.decision,
        p_value=test.p_value,
        requests=asker.requests,
        seconds=asker.elapsed,
        clock=heard.clock,
        timings=heard.timings(),
        e_value=test.e_value,
        bytes=asker.bytes,
        floor=heard.floor,
        course=Course(test.path, np.array(at), np.array(heard.asked), np.array(heard.seconds)) if at else None,
        **judged,
    )


def _inputs(fingerprint: Fingerprint) -> dict[InputKind, Tensor]:
    x = fingerprint.x
    if fingerprint.kind == "paper":
        return {"fingerprint": x, "benign": fingerprint.benign}
    return {"late": x[fingerprint.late], "early": x[~fingerprint.late], "benign": fingerprint.benign}


def run_digest(fingerprint: Fingerprint, *, subject: str, alpha: float, beta: float, seed: int) -> str:
    """What the askings of a run depend on; the budget is not among it, since the test may stop when it likes."""
    words = {"subject": subject, "alpha": alpha, "beta": beta, "seed": seed}
    settings = {**words, "method": METHOD}
    content = sha256(json.dumps(settings, sort_keys=True).encode())
    for part in (fingerprint.samples, fingerprint.originals, fingerprint.late):
        content.update(part.contiguous().numpy().tobytes())
    return content.hexdigest()


@contextmanager
def _resumable(asker: Asker) -> Iterator[None]:
    """Say what is kept when something stops the run."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(f"stopped; {asker.kept or 'nothing was kept'}.") from stop
    except ExitprintError as error:
        if not asker.kept:
            raise
        raise ExitprintError(f"{str(error).rstrip('.')}; {asker.kept}.") from error
