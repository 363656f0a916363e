"""Verdicts on made-up times with a path, an operator or a fault in between; journals."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from behaviour import EXIT, KNOWN, OverAPath, Show, behaviour, crafted, key
from exitprint.errors import ExitprintError, Interrupted
from exitprint.fingerprints import verify as verify_alone
from exitprint.reports import verification_report
from exitprint.suspects import Answer

verify = partial(verify_alone, references=KNOWN)
"""As somebody verifies who asks the owner's references himself."""
FINGERPRINTS = {"contrast": crafted("contrast"), "paper": crafted("paper")}
CONTRAST, PAPER = FINGERPRINTS["contrast"], FINGERPRINTS["paper"]
TRUTHS = ("derived", "independent")
STUBBORN = ()


@pytest.fixture(autouse=True)
def synced(monkeypatch):
    """How often the disk was waited for, without waiting."""
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    return calls


def suspect_of(fingerprint, truth, show: Show = lambda seconds, number: seconds, **options) -> OverAPath:
    """A copy or an independent over a path."""
    return OverAPath(behaviour(fingerprint, copy=truth == "derived"), show, **options)


def noisy(kind: str, sd: float, seed: int = 0) -> Show:
    """Delays of this standard deviation in seconds."""
    rng = np.random.default_rng(seed)
    draw = {"gaussian": lambda: max(0.0, rng.normal(3 * sd, sd)), "heavy": lambda: rng.pareto(2.5) * sd / 1.49}[kind]
    return lambda seconds, number: seconds + draw()


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize(("kind", "sd"), [("gaussian", 0.0), ("gaussian", 0.001), ("heavy", 0.001)])
def test_right_within_few_requests(truth, kind, sd):
    suspect = suspect_of(CONTRAST, truth, noisy(kind, sd))
    verdict = verify(CONTRAST, suspect)
    assert (verdict.decision, verdict.kind, verdict.clock) == (truth, "contrast", "measured")
    assert verdict.requests == len(suspect.asked) <= 250
    assert (verdict.e_value >= 1000) == (truth == "derived")
    assert (verdict.e_value_independent >= 1000) == (truth == "independent")
    assert verdict.p_value == pytest.approx(1 / verdict.e_value)
    assert verdict.interval[0] <= verdict.share <= verdict.interval[1]
    assert verdict.nature_interval[0] <= verdict.nature <= verdict.nature_interval[1]
    assert verdict.nature_interval[0] > 0.5 and "0.001" in verdict.reason
    assert any("one (0.20), another (0.15)" in assumption for assumption in verdict.assumptions)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("truth", TRUTHS)
def test_noise_as_large_as_the_network_costs_requests_only(truth, seed):
    verdict = verify(CONTRAST, suspect_of(CONTRAST, truth, noisy("gaussian", 0.005, seed)), budget=4000)
    assert verdict.decision in (truth, "inconclusive") and verdict.requests <= 4000
    assert verdict.decision == truth or seed in STUBBORN


def test_a_monotone_distortion_of_the_clock_changes_nothing():
    for truth in TRUTHS:
        plain, bent = (
            verify(CONTRAST, suspect_of(CONTRAST, truth, show))
            for show in (lambda seconds, number: seconds, lambda seconds, number: 3 + seconds**0.3)
        )
        assert (plain.decision, plain.e_value, plain.requests) == (bent.decision, bent.e_value, bent.requests)


def test_the_computed_clock_needs_no_warm_up_and_no_repeats():
    for truth in TRUTHS:
        verdict = verify(CONTRAST, suspect_of(CONTRAST, truth, clock="cost-model"))
        assert (verdict.decision, verdict.clock) == (truth, "cost-model")


def test_the_first_requests_are_slow():
    for truth in TRUTHS:
        slow = suspect_of(CONTRAST, truth, lambda seconds, number: seconds + (1.0 if number <= 10 else 0.0))
        quick = suspect_of(CONTRAST, truth)
        assert verify(CONTRAST, slow).e_value == verify(CONTRAST, quick).e_value
        assert verify(CONTRAST, slow).decision == truth


@pytest.mark.parametrize("made", ["contrast", "paper"])
def test_constant_time_is_inconclusive_for_that_reason(made):
    fingerprint = FINGERPRINTS[made]
    rng = np.random.default_rng(0)
    padded = suspect_of(fingerprint, "derived", lambda seconds, number: max(seconds, 0.05) + rng.exponential(1e-4))
    verdict = verify(fingerprint, padded, budget=400)
    assert verdict.decision == "inconclusive" and "answers in nearly constant time" in verdict.reason
    exact = verify(fingerprint, suspect_of(fingerprint, "derived", lambda seconds, number: 0.05), budget=300)
    assert exact.decision == "inconclusive" and "same time for every input" in exact.reason


def test_a_busy_machine_is_not_taken_for_a_network():
    """A load that comes and goes hits requests in a row alike, and one input's askings agree because they are such."""
    rng = np.random.default_rng(0)

    def show(seconds, number):
        return 0.05 + 0.002 * np.sin(number / 15) + rng.exponential(1e-4)

    verdict = verify(CONTRAST, suspect_of(CONTRAST, "derived", show), budget=400)
    assert verdict.decision == "inconclusive" and "answers in nearly constant time" in verdict.reason


def wandering(seed: int, memory: float = 0.9) -> Show:
    """50 ms for everything, and a load that wanders: a request meets nearly what the one before it met."""
    rng, load = np.random.default_rng(seed), [0.0]

    def show(seconds, number):
        load[0] = memory * load[0] + np.sqrt(1 - memory**2) * rng.standard_normal()
        return 0.05 + 2e-4 * np.exp(load[0])

    return show


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("budget", [110, 1000])
def test_nor_is_a_load_that_wanders(budget, seed):
    """It alone lets an input's askings agree with a correlation of 0.6, and with those of the input asked beside it."""
    verdict = verify(CONTRAST, suspect_of(CONTRAST, "derived", wandering(seed)), budget=budget)
    assert verdict.decision == "inconclusive"
    assert "answers in nearly constant time" in verdict.reason or "noise hides most" in verdict.reason


def test_noise_far_above_the_network_is_inconclusive_for_that_reason():
    verdict = verify(CONTRAST, suspect_of(CONTRAST, "derived", noisy("gaussian", 0.5)), budget=800)
    assert verdict.decision == "inconclusive" and "noise hides most" in verdict.reason


@pytest.mark.parametrize("made", ["contrast", "paper"])
@pytest.mark.parametrize("truth", TRUTHS)
def test_a_cache_in_front_is_never_a_wrong_verdict(made, truth):
    fingerprint = FINGERPRINTS[made]
    suspect = suspect_of(fingerprint, truth)
    rng = np.random.default_rng(0)
    suspect.show = lambda seconds, number: (
        rng.exponential(1e-4) + (seconds if suspect.asked.count(suspect.asked[-1]) == 1 else 0.001)
    )
    verdict = verify(fingerprint, suspect, budget=600)
    assert verdict.decision in (truth, "inconclusive")
    if verdict.decision == "inconclusive":
        assert "cache" in verdict.reason


def test_a_cache_is_named():
    """Three pairs of five are right, all repeats are instant: not enough for either side."""
    suspect = suspect_of(CONTRAST, "derived")
    rng = np.random.default_rng(0)
    first = {name: rng.uniform(0.005, 0.010) for name in suspect.seconds}
    suspect.show = lambda seconds, number: (
        rng.exponential(1e-4) + (first[suspect.asked[-1]] if suspect.asked.count(suspect.asked[-1]) == 1 else 0.001)
    )
    verdict = verify(CONTRAST, suspect, budget=600)
    assert verdict.decision == "inconclusive" and "a cache in front of the suspect" in verdict.reason


def test_the_papers_fingerprint_finds_a_copy_and_clears_nobody():
    verdict = verify(PAPER, suspect_of(PAPER, "derived", noisy("gaussian", 2e-5)), budget=4000)
    assert (verdict.decision, verdict.kind, verdict.nature) == ("derived", "paper", None)
    assert verdict.interval[0] <= verdict.share <= verdict.interval[1]
    other = verify(PAPER, suspect_of(PAPER, "independent", clock="cost-model"))
    assert other.decision == "inconclusive" and "measure_t_n" in other.reason


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("sd", [0.0003, 0.001, 0.003])
def test_the_papers_fingerprint_under_noise_is_never_wrong(truth, sd):
    for kind in ("gaussian", "heavy"):
        verdict = verify(PAPER, suspect_of(PAPER, truth, noisy(kind, sd)))
        assert verdict.decision in (truth, "inconclusive")


@pytest.mark.parametrize("begins", [0, 150, 230, 300])
@pytest.mark.parametrize(
    "load", [lambda seconds: 4 * seconds, lambda seconds: seconds + 0.02, lambda seconds: seconds / 3]
)
def test_a_load_that_sets_in_is_no_claim(begins, load):
    rng = np.random.default_rng(0)

    def show(seconds, number):
        return (load(seconds) if number > begins else seconds) + rng.exponential(2e-5)

    for truth in TRUTHS:
        assert verify(PAPER, suspect_of(PAPER, truth, show)).decision in (truth, "inconclusive")


@pytest.mark.parametrize("made", ["contrast", "paper"])
@pytest.mark.parametrize("budget", [50, 217, 300])
def test_never_more_than_the_budget(made, budget):
    fingerprint = FINGERPRINTS[made]
    suspect = suspect_of(fingerprint, "derived", noisy("gaussian", 1.0))
    verdict = verify(fingerprint, suspect, budget=budget)
    assert verdict.decision == "inconclusive" and verdict.requests <= budget
    assert len(suspect.asked) == verdict.requests


def test_repeated_requests_are_not_timed_and_count():
    suspect = suspect_of(CONTRAST, "derived", lambda seconds, number: float("nan") if number % 3 == 0 else seconds)
    verdict = verify(CONTRAST, suspect)
    assert verdict.decision == "derived" and np.isfinite(verdict.course.seconds).all()
    assert verdict.requests == len(suspect.asked) > len(verdict.course.seconds)


def test_a_budget_that_cannot_decide_is_refused():
    with pytest.raises(ExitprintError, match="allow at least 50"):
        verify(CONTRAST, suspect_of(CONTRAST, "derived"), budget=49)


@pytest.mark.parametrize("made", ["contrast", "paper"])
def test_the_course_and_the_report(made):
    fingerprint = FINGERPRINTS[made]
    suspect = suspect_of(fingerprint, "derived", noisy("gaussian", 2e-5))
    verdict = verify(fingerprint, suspect, budget=4000)
    course = verdict.course
    assert len(course.asked) == len(course.seconds) == verdict.requests
    assert list(course.requests) == sorted(course.requests) and course.requests[-1] == verdict.requests
    assert set(course.streams) == ({"nature", "crafted"} if made == "contrast" else {"crafted"})
    assert course.log_claim.max() == pytest.approx(np.log(verdict.e_value)) or made == "contrast"
    page = verification_report(verdict, fingerprint, "somebody's")
    assert "How the evidence grew" in page and verdict.decision in page
    plain = json.loads(json.dumps(verdict.as_dict()))
    assert plain["e_value"] == verdict.e_value and plain["bytes"] is None and "course" not in plain


# ---- journals ----


def straight(fingerprint, truth, path: Path, **options):
    """A run that nothing cuts off: its verdict, what it asked, and its journal."""
    suspect = suspect_of(fingerprint, truth, shown_by_input)
    verdict = verify(fingerprint, suspect, journal=path, subject="s", **options)
    return verdict, suspect.asked, path.read_bytes()


def shown_by_input(seconds: float, number: int) -> float:
    """Noise that is the same whenever an input of this time is asked."""
    return seconds + np.random.default_rng(int(seconds * 1e12)).exponential(1e-4)


@pytest.mark.parametrize(
    ("made", "truth"), [("contrast", "derived"), ("contrast", "independent"), ("paper", "derived")]
)
def test_a_run_cut_off_anywhere_goes_on_to_the_same_verdict(made, truth, tmp_path):
    fingerprint = FINGERPRINTS[made]
    verdict, asked, whole = straight(fingerprint, truth, tmp_path / "whole", budget=4000)
    assert verdict.decision == truth
    rng = np.random.default_rng(3)
    for cut in [0, 1, whole.index(b"\n"), whole.index(b"\n") + 1, *rng.integers(len(whole), size=4)]:
        path = tmp_path / f"cut {cut}"
        path.write_bytes(whole[:cut])
        known = max(0, whole[:cut].count(b"\n") - 1)
        suspect = suspect_of(fingerprint, truth, shown_by_input)
        again = verify(fingerprint, suspect, journal=path, resume=True, subject="s", budget=4000)
        assert suspect.asked == asked[known:]
        for part in ("decision", "share", "interval", "nature", "e_value", "p_value", "p0"):
            assert getattr(again, part) == getattr(verdict, part)
        assert again.requests == verdict.requests + (known > 0)  # the one that may have been in flight
        assert path.read_bytes().count(b"\n") == whole.count(b"\n")


def test_every_answer_is_on_the_disk_before_the_next_request(tmp_path, synced):
    suspect = suspect_of(CONTRAST, "derived", fails=lambda number: counted.append((number, len(synced))))
    counted: list[tuple[int, int]] = []
    verify(CONTRAST, suspect, journal=tmp_path / "j")
    assert counted == [(number, number) for number in range(1, len(suspect.asked) + 1)]


def test_a_finished_run_asks_nothing_more(tmp_path):
    verdict, _, _ = straight(CONTRAST, "derived", tmp_path / "j")
    assert verdict.decision == "derived"

    def never(number):
        raise AssertionError

    again = verify(
        CONTRAST, suspect_of(CONTRAST, "derived", fails=never), journal=tmp_path / "j", resume=True, subject="s"
    )
    assert (again.decision, again.e_value, again.reason) == (verdict.decision, verdict.e_value, verdict.reason)
    assert np.array_equal(again.course.seconds, verdict.course.seconds)


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(tmp_path):
    suspect = suspect_of(CONTRAST, "derived", noisy("gaussian", 0.008))
    first = verify(CONTRAST, suspect, journal=tmp_path / "j", budget=50)
    more = verify(CONTRAST, suspect, journal=tmp_path / "j", budget=2000, resume=True)
    assert first.decision == "inconclusive" and more.decision == "derived"
    assert more.requests == len(suspect.asked) + 1  # the one that may have been in flight


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ExitprintError("the server is gone for good.")])
def test_what_stops_a_run_says_how_it_goes_on(tmp_path, stop):
    def fails(number):
        if number == 25:
            raise stop

    path = tmp_path / "j"
    with pytest.raises(
        (ExitprintError, Interrupted), match=r"24 answers are kept in .*j': resume \(--resume\) to go on"
    ) as said:
        verify(CONTRAST, suspect_of(CONTRAST, "derived", fails=fails), journal=path)
    assert isinstance(said.value, Interrupted) == (stop is KeyboardInterrupt) and str(said.value).count(". ") == 0
    suspect = suspect_of(CONTRAST, "derived")
    assert verify(CONTRAST, suspect, journal=path, resume=True).decision == "derived"
    assert path.read_bytes().count(b"\n") == 25 + len(suspect.asked)
    with pytest.raises(Interrupted if stop is KeyboardInterrupt else ExitprintError) as bare:
        verify(CONTRAST, suspect_of(CONTRAST, "derived", fails=fails))
    assert "resume" not in str(bare.value)


def test_the_journal_of_another_run_is_refused(tmp_path):
    _, _, whole = straight(CONTRAST, "derived", tmp_path / "j")
    others = [
        {"seed": 1},
        {"alpha": 0.01},
        {"beta": 0.01},
        {"subject": "t"},
        {"fingerprint": replace(CONTRAST, late=~CONTRAST.late)},
        {"references": ()},
        {"fingerprint": PAPER},
    ]
    for other in others:
        options = {"subject": "s", "fingerprint": CONTRAST, **other}
        with pytest.raises(ExitprintError, match="journal of another verification"):
            verify(suspect=suspect_of(CONTRAST, "derived"), journal=tmp_path / "j", resume=True, **options)
    assert (tmp_path / "j").read_bytes() == whole


def test_what_is_no_journal_is_left_alone(tmp_path):
    for number, content in enumerate((b"my thesis", b"my thesis\n", b'{"a": 1}\n{"b": 2}\n', b"[" * 10_000 + b"\n")):
        path = tmp_path / str(number)
        path.write_bytes(content)
        for resume, why in ((True, "is no journal"), (False, "is there already")):
            with pytest.raises(ExitprintError, match=why):
                verify(CONTRAST, suspect_of(CONTRAST, "derived"), journal=path, resume=resume)
        assert path.read_bytes() == content
    with pytest.raises(ExitprintError, match="choose another place"):
        verify(CONTRAST, suspect_of(CONTRAST, "derived"), journal=tmp_path / "no" / "j")


@pytest.mark.parametrize("line", [b"{}\n", b"junk\n", b'{"kind": "late", "index": 0, "seconds": NaN}\n'])
def test_a_damaged_journal_is_refused(tmp_path, line):
    _, _, whole = straight(CONTRAST, "derived", tmp_path / "j")
    lines = whole.splitlines(keepends=True)
    lines[5] = line
    (tmp_path / "j").write_bytes(b"".join(lines))
    with pytest.raises(ExitprintError, match="damaged in line 6"):
        verify(CONTRAST, suspect_of(CONTRAST, "derived"), journal=tmp_path / "j", resume=True, subject="s")
    lines[5] = whole.splitlines(keepends=True)[5].replace(b'"index": ', b'"index": 1')
    (tmp_path / "j").write_bytes(b"".join(lines))
    with pytest.raises(ExitprintError, match=r"line 7 of the journal .* does not follow"):
        verify(CONTRAST, suspect_of(CONTRAST, "derived"), journal=tmp_path / "j", resume=True, subject="s")


def test_a_journal_in_use_is_refused(tmp_path):
    def another(number):
        if number == 20:
            verify(CONTRAST, suspect_of(CONTRAST, "derived"), journal=tmp_path / "j", resume=True)

    with pytest.raises(ExitprintError, match="another verification is writing the journal"):
        verify(CONTRAST, suspect_of(CONTRAST, "derived", fails=another), journal=tmp_path / "j")


# ---- what a verdict needs ----


def test_nothing_crafted_claims_nobody():
    """The originals as samples, with the halves swapped: by nature the late half is the slow one on everybody."""
    forged = replace(CONTRAST, samples=CONTRAST.originals, late=~CONTRAST.late)
    with pytest.raises(ExitprintError, match="was not changed at all"):
        verify(forged, suspect_of(CONTRAST, "independent"))
    one_bit = replace(forged, samples=forged.originals ^ 1)
    for truth in TRUTHS:
        seconds = behaviour(CONTRAST, copy=truth == "derived")
        known = dict(zip(map(key, CONTRAST.benign), (seconds[key(x)] for x in CONTRAST.benign), strict=True))
        known |= dict(zip(map(key, one_bit.x), (seconds[key(x)] for x in CONTRAST.benign), strict=True))
        verdict = verify(one_bit, OverAPath(known))
        assert verdict.decision == "inconclusive" and "the other way round than the fingerprint says" in verdict.reason


def test_what_is_changed_by_as_much_as_images_differ_is_refused():
    large = replace(CONTRAST, samples=255 - CONTRAST.originals)
    paper = replace(PAPER, samples=255 - PAPER.originals)
    for each in (large, paper):
        with pytest.raises(ExitprintError, match="any network would follow that"):
            verify(each, suspect_of(CONTRAST, "derived"))


def test_too_few_samples_are_refused_with_the_number_that_is_needed():
    few = crafted("contrast", samples=60, references=())
    with pytest.raises(ExitprintError, match=r"p0 = 0.8 needs at least 80 samples from a pool of at least 400 images"):
        verify_alone(few, suspect_of(few, "derived"))
    assert verify_alone(few, suspect_of(few, "derived", clock="cost-model"), alpha=0.05).decision == "derived"


def test_a_network_in_the_place_of_fingerprint_or_suspect_is_told(target):
    with pytest.raises(ExitprintError, match=r"no MultiExitNetwork: pass load_fingerprint\(file\)"):
        verify(target, target)
    with pytest.raises(ExitprintError, match=r"MultiExitNetwork has no `ask`: pass InProcess\(network\)"):
        verify(CONTRAST, target)


def test_without_references_the_threshold_is_cautious_and_the_verdict_says_so():
    alone = crafted("contrast", samples=200, references=())
    verdict = verify_alone(alone, suspect_of(alone, "derived", clock="cost-model"))
    assert (verdict.decision, verdict.p0) == ("derived", 0.8)
    assert "No network known to be independent was seen" in verdict.assumptions[0]


def test_the_verifiers_own_reference_raises_the_threshold():
    close = suspect_of(CONTRAST, "derived", clock="cost-model")

    with pytest.raises(ExitprintError, match="leaves a copy nothing to be told by"):
        verify(CONTRAST, suspect_of(CONTRAST, "derived"), references={"close": close})
    with pytest.raises(ExitprintError, match="on a cost model's clock"):
        verify(CONTRAST, suspect_of(CONTRAST, "derived"), references={"timed": Timed()})


class Timed:
    """A suspect on a measured clock that answers any batch."""

    def ask(self, x):
        return Answer(np.full(len(x), 0.01), "measured")


def test_a_suspect_that_sends_nearly_everything_to_one_exit_is_neither():
    for truth in TRUTHS:
        slow = OverAPath({name: 0.01 for name in behaviour(CONTRAST, copy=truth == "derived")}, clock="cost-model")
        verdict = verify(CONTRAST, slow)
        assert verdict.decision == "inconclusive" and "same time for every input" in verdict.reason
    few = behaviour(CONTRAST, copy=True)
    mostly = {name: (seconds if number % 12 == 0 else 0.01) for number, (name, seconds) in enumerate(few.items())}
    verdict = verify(CONTRAST, OverAPath(mostly, clock="cost-model"))
    assert verdict.decision == "inconclusive" and "nearly all to one exit" in verdict.reason


@pytest.mark.parametrize("gaps", [2, 10])
def test_a_delay_that_belongs_to_the_image_makes_no_verdict_wrong(gaps):
    for truth in TRUTHS:
        for seed in range(5):
            rng = np.random.default_rng(seed)
            seconds = behaviour(CONTRAST, copy=truth == "derived")
            delayed = {name: one + rng.uniform(0, gaps * EXIT) for name, one in seconds.items()}
            assert verify(CONTRAST, OverAPath(delayed), budget=1000).decision in (truth, "inconclusive")


class Labelled(OverAPath):
    """A suspect that says what an image is, as its owner's network does on one image of five."""

    def ask(self, x):
        answer = super().ask(x)
        label = WRONG[key(x[0])]
        return replace(answer, labels=np.array([label]))


WRONG = {}


def test_a_suspect_that_does_not_understand_the_images_is_not_judged():
    rng = np.random.default_rng(0)
    answers = torch.arange(len(CONTRAST)) % 5
    known = replace(CONTRAST, answers=answers)
    WRONG.update({key(x): int(rng.integers(5)) for x in [*known.x, *known.benign]})
    verdict = verify(known, Labelled(behaviour(CONTRAST, copy=True)))
    assert verdict.decision == "inconclusive" and "--mean and --std" in verdict.reason and verdict.requests < 80
    WRONG.update({key(x): (int(answer) + 3) % 5 for x, answer in zip(known.benign, answers, strict=True)})
    assert verify(known, Labelled(behaviour(CONTRAST, copy=True))).decision == "derived"
