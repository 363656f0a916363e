"""The paper's own protocol: T_N of a fingerprint's samples, each timed ten times; a measurement and no test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

from exitprint.fingerprints.fingerprint import Fingerprint
from exitprint.fingerprints.score import longest_time, t_n
from exitprint.suspects.suspect import Suspect
from exitprint.timing import Timings, measure

REPEATS = 10
"""How often the paper times each input (section 4.1)."""


@dataclass(frozen=True)
class TNMeasurement:
    """T_N as measured; what it says of the suspect's origin is for whoever knows other networks to compare it with.

    Attributes
    ----------
    T_N
        Of the fingerprint's samples: 0 where all take the longest time (section 3.3).
    benign_T_N
        Of the images that they were made from.
    requests, seconds
        What it cost.
    clock
        ``measured`` or ``cost-model``.
    timings
        The runtimes, ``fingerprint`` and ``benign``, in the order of the samples.
    """

    T_N: float
    benign_T_N: float  # noqa: N815
    requests: int
    seconds: float
    clock: str
    timings: Mapping[str, Timings] = field(repr=False, compare=False)


def measure_t_n(fingerprint: Fingerprint, suspect: Suspect, *, repeats: int = REPEATS, seed: int = 0) -> TNMeasurement:
    """T_N of a fingerprint on a suspect by the paper's protocol (section 3.3), without a verdict.

    The paper compares T_N with a threshold T_f. Which T_f parts copies from strangers depends on how well the networks
    are trained, so none is given here; `verify` decides with an error rate.

    Parameters
    ----------
    fingerprint
        Of either kind; of a contrast the late half is meant by T_N.
    suspect
        What can be asked.
    repeats
        How often each input is timed on a measured clock; the paper takes 10.
    seed
        Of the order of requests.

    Raises
    ------
    ExitprintError
        If `repeats` is not positive, or the suspect fails for good.
    """
    start = perf_counter()
    timings = measure(suspect, {"fingerprint": fingerprint.x, "benign": fingerprint.benign}, repeats, seed)
    late = fingerprint.late.numpy()
    samples, benign = (timings[group].per_input for group in ("fingerprint", "benign"))
    longest = longest_time(benign)
    return TNMeasurement(
        T_N=t_n(samples[late], longest),
        benign_T_N=t_n(benign[late], longest),
        requests=sum(part.requests for part in timings.values()),
        seconds=perf_counter() - start,
        clock=timings["fingerprint"].clock,
        timings=timings,
    )
