"""The study of promises: what its tables make of rows, and rows of networks at hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exitprint.fingerprints import ContrastMethod, Reference, Strength, contrast_fingerprint
from exitprint.fingerprints.promises import Theft
from exitprint.networks import ExitPolicy
from exitprint_studies.ours import strength as study

STRANGER = Reference("stranger", (0.1,), "other")
PAIR = ((0.9, 0.95), (0.9, 0.95))
PROMISE = Theft(name="as it is", keeps=1, share=(1, 1), claimed=PAIR, cleared=((0, 0), (0, 0)))


def row(**other):
    plain = {
        "case": "one",
        "suspect": "copy",
        "truth": "stolen",
        "right": 0.9,
        "keeps": 1.0,
        "T_c": 0.9,
        "samples": 100,
        "share": 0.9,
        "promised share": 0.95,
        "promised": 0.95,
        "claimed": 1.0,
        "cleared": 0.0,
        "refused": 0.0,
    }
    return plain | other


def test_cells_average_over_the_seeds_of_a_theft_and_leave_out_useless_copies():
    rows = [row(claimed=1.0), row(claimed=0.8), row(suspect="useless", keeps=0.5), row(suspect="other", claimed=0.3)]
    cells = {cell["suspect"]: cell["claimed"] for cell in study.cells_of(rows)}
    assert cells == {"copy": pytest.approx(0.9), "other": 0.3}


def test_calibration_says_which_cell_is_farthest_off():
    rows = [row(), row(suspect="b", promised=1.0, claimed=0.7), row(suspect="c", promised=0.05, claimed=0.0)]
    never, sure = study.calibration(rows)
    assert (never["promised"], never["cells"], never["mean claimed"]) == ("0% to 10%", 1, 0.0)
    assert (sure["cells"], sure["mean promised"], sure["mean claimed"]) == (2, 0.975, 0.85)
    assert "b" in sure["farthest off"] and (sure["promised there"], sure["claimed there"]) == (1.0, 0.7)


def test_strangers_are_counted_and_promises_are_kept_apart_from_the_rest():
    rows = [
        row(),
        row(suspect="b", promised=0.5, claimed=0.4),
        row(suspect="s", truth="stranger", promised=None, claimed=0.1, share=0.6),
    ]
    (said,) = study.summary(rows)
    assert (said["promised cells"], said["of them claimed"], said["other cells"], said["of these claimed"]) == (
        1,
        1.0,
        1,
        0.4,
    )
    assert (said["verdicts on strangers"], said["strangers claimed"], said["largest share of a stranger"]) == (
        10,
        1,
        0.6,
    )


def test_every_suspect_is_verified_under_every_policy(target, independent, digits):
    rules = [lambda network: network.policy, lambda network: ExitPolicy(0.93)]
    made = contrast_fingerprint(target, digits.test, rules, 100, 1, ContrastMethod(margin_log_odds=0.05))
    sizes = {"samples": 100, "sizes": (100, 200), "policies": (0.9, 0.93)}
    table = Strength(**sizes, thefts=(PROMISE,), exits=(), images=10, seeds=1)
    asking = study.Asking("digits", replace(made, strength=table, references=(STRANGER,)), rules, 0.99)
    own = list(study.rows_on(asking, "copy", PROMISE, target, 0.99))
    other = list(study.rows_on(asking, "stranger", None, independent, 0.98))
    assert [(each["T_c"], each["samples"]) for each in own] == [(0.9, 100), (0.93, 100)]
    assert {(each["share"], each["claimed"]) for each in own} == {(1.0, 1.0)} and {
        each["promised"] for each in own
    } == {0.9}
    assert all(each["claimed"] == 0 and each["promised"] is None for each in other)
