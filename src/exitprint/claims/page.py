"""The page for a judge: one file, which prints on paper."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from exitprint.claims.case import Case
from exitprint.claims.control import Again
from exitprint.claims.replay import Replayed
from exitprint.claims.statement import now
from exitprint.evidence.limits import Decision
from exitprint.reports.charts import Lane, strip_chart
from exitprint.reports.page import page
from exitprint.reports.text import count, power_of_ten, probability

GLOSSARY = (
    ("claim", "a signed file in which the owner committed to his network and his fingerprints without showing them"),
    ("commitment", "a digest that fixes a file and, thanks to a secret salt, says nothing about it until it is opened"),
    ("copy", "a network whose weights come from the owner’s, changed or not"),
    ("digest, SHA-256", "a number computed from a file; nobody can make another file that has the same"),
    ("e-value", "how much a bet against “of other origin” has won: a thousandfold win is rarer than one in a thousand"),
    ("fingerprint", "the images that were made so that copies of one network give themselves away by their time"),
    ("journal", "every answer with its time, in order; each line holds the digest of the one before"),
    ("panel", "networks of which the judge knows that they are no copies, asked the same"),
    ("p-value", "how likely such a result is if the suspect is of other origin; it is not the chance of innocence"),
    ("register", "every verification that was begun under the claim"),
    ("seed", "the number that the order of the questions follows from; it follows from the commitments"),
    ("time stamp", "an authority’s signature under the claim’s digest and a time (RFC 3161)"),
)


def judge_page(case: Case) -> str:
    """A claim in plain words, with all that it rests on, as HTML that loads nothing from anywhere."""
    claim = case.checked.claim
    verdicts = [each.verdict for each in case.ours if each.verdict is not None]
    panel = () if case.panel is None else case.panel.found
    again = () if case.again is None else case.again.found
    return page(
        "judge.html",
        case=case,
        claim=claim,
        lead=verdicts[0].reason if len(verdicts) == 1 and verdicts[0].decision == case.decision else _lead(case),
        computed=any(verdict.clock == "cost-model" for verdict in verdicts),
        contrast=any(made.kind == "contrast" for made in case.fingerprints.values()),
        assumptions=list(dict.fromkeys(each for verdict in verdicts for each in verdict.assumptions)),
        e_value=e_value(case.log_e),
        strip=strip_chart([_lane(case, case.ours[0]), *(_lane(case, each) for each in panel)]) if panel else None,
        again=case.again and again_in_words(case.again, case.by_journals),
        smallest=probability(1 / (1 + len(panel))),
        account=[
            _row(what, each)
            for what, found in (("suspect", case.runs), ("again", again), ("panel", panel))
            for each in found
        ],
        hashes=_hashes(case),
        glossary=GLOSSARY,
    )


def e_value(log_e: float) -> str:
    """An e-value in words, from its logarithm."""
    if log_e < math.log(1e6):
        return f"{math.exp(log_e):,.3g}" if log_e < math.log(1000) else f"{math.exp(log_e):,.0f}"
    return f"{math.exp(log_e % math.log(10)):.1f} × {power_of_ten(int(log_e // math.log(10)))}"


def again_in_words(again: Again, by_journals: Decision) -> str:
    """What the judge's own asking came to, beside what the owner's journals say, in sentences."""
    said = (
        f"Asked again by the judge, the suspect is {again.decision} by itself, with an e-value of "
        f"{e_value(again.log_e)}; {again.alike} of {again.both} images that both asked got the same answer."
    )
    if again.decision == by_journals:
        return f"{said} This rests on nothing that the owner kept."
    return (
        f"{said} The owner's journals say {by_journals}, which this does not confirm: the suspect or the way to it is "
        "not what it was, or they were invented."
    )


def _lead(case: Case) -> str:
    if case.again is not None and case.again.decision != case.by_journals:
        return f"By the owner’s journals the suspect is {case.by_journals}; the judge’s own asking does not confirm it."
    if case.decision != case.by_journals:
        return "What the suspect answered would be a claim; what the judge’s own networks answered takes it back."
    return f"{count(len(case.ours), 'verification')} of the suspect, all that were begun, count together."


def _lane(case: Case, each: Replayed) -> Lane:
    verdict = each.verdict
    needed = -math.log(case.checked.claim.alpha)
    decision: Decision = "derived" if each.log_e >= needed else "inconclusive"
    if verdict is None:
        return Lane(each.begun.suspect, None, None, 1.0, decision)
    return Lane(each.begun.suspect, verdict.share, verdict.interval, verdict.p0, verdict.decision)


def _row(what: str, each: Replayed) -> dict[str, Any]:
    verdict = each.verdict
    return {
        "name": f"{what} {each.begun.number}",
        "begun": f"{datetime.fromisoformat(each.begun.begun):%Y-%m-%d %H:%M:%S}",
        "suspect": each.begun.suspect,
        "requests": "–" if verdict is None else f"{each.requests:,}",
        "e_value": e_value(each.log_e),
        "decision": "its fingerprint stays secret" if verdict is None else verdict.decision,
    }


def _hashes(case: Case) -> list[tuple[str, str]]:
    claim, stamped = case.checked.claim, case.checked.stamped
    rows = [
        ("this page was made", f"{now():%Y-%m-%d %H:%M:%S} UTC"),
        ("the claim was made, it says", f"{claim.made:%Y-%m-%d %H:%M:%S} UTC"),
        ("the claim was there, says the authority", f"{stamped:%Y-%m-%d %H:%M:%S} UTC" if stamped else "not stamped"),
        ("program", f"exitprint {claim.program.version}, sources SHA-256 {claim.program.sha256}"),
        ("claim, SHA-256", case.digest),
        ("public key (Ed25519)", claim.key),
        ("network, commitment", claim.network),
        *(
            ("fingerprint, commitment", f"{each}{'' if each in case.fingerprints else ' (not opened)'}")
            for each in claim.fingerprints
        ),
        ("images", f"{claim.data.name}, {claim.data.part}, {claim.data.images:,}; list SHA-256 {claim.data.sha256}"),
        ("seed", str(claim.seed)),
        ("alpha, beta, budget", f"{claim.alpha:g}, {claim.beta:g}, {claim.budget:,} requests each"),
    ]
    for each in case.runs:
        for brought in each.begun.references:
            rows.append((f"reference {brought.name} of verification {each.begun.number}, SHA-256", brought.sha256))
        rows.append((f"journal of verification {each.begun.number}, last line SHA-256", each.head))
    for each in () if case.again is None else case.again.found:
        rows.append(("journal of the judge’s own asking, last line SHA-256", each.head))
    for each in () if case.panel is None else case.panel.found:
        rows.append((f"journal of {each.begun.suspect}, last line SHA-256", each.head))
    return rows
