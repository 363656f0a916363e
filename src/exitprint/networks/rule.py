"""An owner's rule in his own words, such as ``confidence > 0.9`` or ``entropy < 0.5``, as a policy."""

from __future__ import annotations

import math
import re

import numpy as np

from exitprint.errors import ExitprintError, told
from exitprint.networks.policy import Answer, Criterion, ExitPolicy, patience_threshold

NAMES: dict[str, tuple[Criterion, bool]] = {
    "confidence": ("confidence", True),
    "margin": ("margin", True),
    "entropy": ("entropy", False),
    "normalised entropy": ("entropy", False),
    "patience": ("patience", True),
}
"""What a rule compares: the policy's criterion, and whether inputs leave above the threshold."""
RULE = re.compile(r"\s*([a-z ]+?)\s*(>=|<=|>|<)\s*(.+)")
FORM = (
    "a rule reads 'confidence > 0.9', 'margin >= 0.5', 'entropy < 0.5' (in nats), 'normalised entropy < 0.2' or "
    "'patience >= 3', with one number or one for each early exit (0.9, 0.8, 0.7)"
)


def policy_of_rule(rule: str, classes: int, answer: Answer = "exit", temperature: float = 1.0) -> ExitPolicy:
    """The policy under which inputs leave as the rule says.

    Certainties are compared as 32-bit numbers, and ``>`` is ``>=`` of the next such number.

    Raises `ExitprintError` if it is no such rule.

    Parameters
    ----------
    rule
        A criterion, ``>``, ``>=``, ``<`` or ``<=``, and a threshold or one for each early exit.
    classes
        Number of classes, by which entropy in nats is normalised.
    answer, temperature
        Whose answer an input gets, and what logits are divided by.
    """
    read = RULE.fullmatch(rule.lower())
    with told(f"{rule!r} is no rule: {FORM}.", (KeyError, ValueError)):
        name, sign = (read[1], read[2]) if read else ("", "")
        numbers = [float(part) for part in read[3].split(",")] if read else []
        criterion, above = NAMES[name.replace("normalized", "normalised")]
    if (sign[0] == ">") is not above:
        way = "above" if above else "below"
        raise ExitprintError(f"inputs leave {way} a threshold of {name}, and {rule!r} says otherwise: {FORM}.")
    if not all(math.isfinite(number) for number in numbers):
        raise ExitprintError(f"{rule!r} has a threshold that is no number: {FORM}.")
    if name == "entropy":
        numbers = [1 - number / math.log(classes) for number in numbers]
    elif criterion == "entropy":
        numbers = [1 - number for number in numbers]
    elif criterion == "patience":
        numbers = [patience_threshold(max(1, round(number + (sign == ">")))) for number in numbers]
    if len(sign) == 1 and criterion != "patience":
        numbers = [float(np.nextafter(np.float32(number), np.float32(np.inf))) for number in numbers]
    return ExitPolicy(numbers, criterion, answer, temperature)
