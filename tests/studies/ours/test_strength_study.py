"""The study of promises: what its tables make of rows, and rows of networks at hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from exitprint.fingerprints import ContrastMethod, Reference, Strength, contrast_fingerprint
from exitprint.fingerprints.promises import Theft
from exitprint.networks import ExitPolicy
from exitprint_studies.ours.strength import asked as module
from exitprint_studies.ours.strength import cases, page_of
from exitprint_studies.ours.strength.asked import Asking, Suspect, rows_on
from exitprint_studies.ours.strength.cases import name_of
from exitprint_studies.ours.strength.plot import drawn
from exitprint_studies.ours.strength.tables import calibration, of_copies, summary
from exitprint_studies.population.store import Store
from exitprint_studies.study import Run

STRANGER = Reference("stranger", (0.1,), "other")
PAIR = ((0.9, 0.95), (0.9, 0.95))
PROMISE = Theft(name="copy", keeps=1, shares=((1, 1), (1, 1)), claimed=PAIR, cleared=((0, 0), (0, 0)), exits="sdn")


def row(**other):
    plain = {
        "case": "one",
        "suspect": "copy",
        "made by": "seed 101",
        "truth": "stolen",
        "right": 0.9,
        "keeps": 1.0,
        "T_c": 0.9,
        "samples": 100,
        "simulated share": 0.95,
        "share": 0.9,
        "simulated claims": 0.95,
        "word": "promised",
        "claimed": 1.0,
        "cleared": 0.0,
        "refused": 0.0,
    }
    return plain | other


STRANGE = row(suspect="s", truth="stranger", word=None, **{"simulated claims": None}, claimed=0.1, share=0.6)


def test_for_each_word_the_cell_that_is_farthest_off_is_named():
    rows = [
        row(),
        row(suspect="b", claimed=0.7),
        row(suspect="c", word="escapes", claimed=0.2),
        row(keeps=0.5),
        STRANGE,
    ]
    promised, escapes = calibration(rows)
    assert (promised["word"], promised["cells"], promised["claimed"]) == ("promised", 2, pytest.approx(0.85))
    assert promised["farthest off"].startswith("b (seed 101)") and promised["claimed there"] == 0.7
    assert promised["simulated claims"] == promised["simulated claims there"] == 0.95
    assert (escapes["word"], escapes["cells"], escapes["claimed there"]) == ("escapes", 1, 0.2)


def test_strangers_are_counted_and_promises_are_kept_apart_from_the_rest():
    (said,) = summary([row(), row(suspect="b", word="uncertain", claimed=0.4), STRANGE])
    assert (said["promised"], said["uncertain"], said["escapes"]) == (1, 1, 0)
    assert [said[f"{word}: claimed"] for word in ("promised", "uncertain", "escapes")] == [1, 0.4, None]
    assert (said["verdicts on strangers"], said["strangers claimed"], said["largest share of a stranger"]) == (
        10,
        1,
        0.6,
    )


def test_useless_copies_and_strangers_are_not_among_the_copies():
    assert [each["suspect"] for each in of_copies([row(), row(suspect="useless", keeps=0.5), STRANGE])] == ["copy"]


def test_the_picture_is_a_png_and_the_page_shows_it():
    assert drawn([row(), STRANGE]).startswith(b"\x89PNG")
    assert "](dots.png)" in page_of([row(), STRANGE], {}, "dots.png")


def test_at_most_half_of_the_independents_are_references_and_none_is_a_stranger_too():
    for case in cases():
        known, unseen = set(map(name_of, case.references)), set(map(name_of, case.strangers))
        assert not known & unseen and name_of(case.target) not in known | unseen
        assert len(known) <= len(unseen)


def by_entropy(network):
    copy = network.copy()
    copy.policy = ExitPolicy(0.8, "entropy")
    return copy


def test_every_suspect_is_verified_under_every_policy(target, independent, digits):
    rules = [lambda network: network.policy, lambda network: ExitPolicy(0.93)]
    made = contrast_fingerprint(target, digits.test, rules, 100, 1, ContrastMethod(margin_log_odds=0.05))
    sizes = {"samples": 100, "sizes": (100, 200), "enough": (0.9, 0.9), "too_little": (0.8, 0.8)}
    itself = PROMISE.model_copy(update={"name": "as it is", "exits": "kept"})
    table = Strength(**sizes, policies=(0.9, 0.93), thefts=(itself, PROMISE), exits=(), images=10, seeds=2)
    asking = Asking("digits", replace(made, strength=table, references=(STRANGER,)), rules, 0.99)
    own = list(rows_on(asking, Suspect("copy", "seed 101", PROMISE, target), 0.99))
    unsaid = list(rows_on(asking, Suspect("by entropy", "", None, by_entropy(target)), 0.99))
    other = list(rows_on(asking, Suspect("stranger", "", None, independent, stolen=False), 0.98))
    assert [(each["T_c"], each["samples"]) for each in own] == [(0.9, 100), (0.93, 100)]
    assert {(each["share"], each["claimed"]) for each in own} == {(1.0, 1.0)}
    assert {(each["word"], each["simulated claims"]) for each in own} == {("promised", 0.9)}
    assert {(each["truth"], each["word"]) for each in unsaid} == {("stolen", "not simulated")}
    assert len(unsaid) == 1, "a policy of the owner's criterion says nothing of a copy that leaves by another"
    assert all(each["claimed"] == 0 and each["word"] is None for each in other)


def test_who_was_asked_once_is_not_asked_again(tmp_path, monkeypatch):
    case = replace(cases()[0], name="one")
    images = SimpleNamespace(test=())
    bench = SimpleNamespace(
        key=lambda _: {"case": 1}, images=lambda _: images, run=Run("laptop", tmp_path, Store(tmp_path))
    )
    asked = []
    monkeypatch.setattr(module, "evaluate", lambda *_: SimpleNamespace(exit_accuracies=[0.9]))
    monkeypatch.setattr(module.Asking, "of", lambda *_: SimpleNamespace(table=SimpleNamespace(thefts=[PROMISE])))
    monkeypatch.setattr(module, "strangers", lambda *_: [Suspect("stranger", "", None, None, stolen=False)])
    monkeypatch.setattr(module, "copies", lambda *_: [Suspect("copy", made, PROMISE, None) for made in ("a", "b")])
    monkeypatch.setattr(module, "rows_on", lambda _, suspect, right: asked.append(suspect.made) or [row(right=right)])
    first = list(module.rows_of(case, bench))
    assert asked == ["", "a", "b"] and first == list(module.rows_of(case, bench)) == [row()] * 3
    assert len(asked) == 3
