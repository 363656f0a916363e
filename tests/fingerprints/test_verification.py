"""A verdict holds what the same bets on the same answers come to, asked by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch

from behaviour import KNOWN, OverAPath, behaviour, crafted, key
from exitprint.errors import ExitprintError
from exitprint.fingerprints import Reference, verify
from exitprint.fingerprints.statistic import Test, run, streams
from exitprint.fingerprints.threshold import threshold
from exitprint.fingerprints.verify import DRAWN, KEPT, NOISE, asked_references, inputs, run_digest
from exitprint.suspects import Answer
from exitprint.suspects.through import Through

CONTRAST, PAPER = crafted("contrast"), crafted("paper")
BROUGHT = (*KNOWN, Reference("mine", (0.3,), "other"))


def by_hand(made, seconds, p0, seed, alpha=0.02, beta=0.01):
    """The test, and what was asked, of answers that are always the same."""
    images, asked = inputs(made), []

    def ask(kind, index):
        asked.append(key(images[kind][index]))
        return seconds[asked[-1]]

    parts = streams(made)
    test = Test(p0, alpha, beta, nature=len(parts) > 1)
    for _ in run(parts, test, ask, seed):
        pass
    return test, asked


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("made", [CONTRAST, PAPER], ids=["contrast", "paper"])
@pytest.mark.parametrize("copy", [True, False])
def test_the_verdict_is_that_of_the_bets(made, seed, copy):
    seconds = behaviour(made, copy)
    suspect = OverAPath(seconds)
    verdict = verify(made, suspect, alpha=0.02, beta=0.01, seed=seed, references=BROUGHT)
    limit = threshold(made, BROUGHT)
    if verdict.decision == "inconclusive":
        assert made is PAPER and not copy and verdict.requests == 2000
        return
    test, asked = by_hand(made, seconds, limit.p0, seed)
    assert suspect.asked[10:] == asked and verdict.requests == 10 + len(asked)
    first = {key(x) for x in inputs(made)[streams(made)[0].slow]}
    assert set(suspect.asked[:10]) <= first and len(set(suspect.asked[:10])) == 10, "ten others warm it up"
    assert (verdict.decision, verdict.kind, verdict.seed) == (test.decision, made.kind, seed)
    assert (verdict.alpha, verdict.beta, verdict.p0, limit.p0) == (0.02, 0.01, 0.65, 0.65)
    assert (verdict.share, verdict.interval) == (test.claim.mean, test.claim.interval())
    nature = (test.nature.mean, test.nature.interval()) if test.nature else (None, None)
    assert (verdict.nature, verdict.nature_interval) == nature
    assert verdict.e_value == pytest.approx(np.exp(test.log_e)) and verdict.p_value == pytest.approx(
        np.exp(-test.log_e)
    )
    assert verdict.e_value_independent == pytest.approx(np.exp(test.log_e_clear))
    kept = () if copy else (KEPT,)
    assert verdict.assumptions == (*limit.assumptions, NOISE, DRAWN, *kept) and "mine (0.30)" in verdict.assumptions[0]
    assert (verdict.clock, verdict.bytes, verdict.floor) == ("measured", None, None) and 0 <= verdict.seconds < 60
    assert set(verdict.timings) <= set(inputs(made)) and len(verdict.course.streams) == sum(
        process.observations for process in (test.nature, test.claim) if process
    )


def test_another_seed_warms_up_with_others():
    warm = []
    for seed in (0, 0, 1):
        suspect = OverAPath(behaviour(CONTRAST, True))
        verify(CONTRAST, suspect, seed=seed)
        warm.append(suspect.asked[:10])
    assert warm[0] == warm[1] != warm[2]


def test_fewer_inputs_than_the_warm_up_are_asked_again():
    made = replace(CONTRAST, late=torch.arange(100) >= 4)
    few = OverAPath(behaviour(made, True))
    with pytest.raises(ExitprintError, match="no outcome could decide"):
        verify(made, few)
    made = crafted("contrast", 16)
    suspect = OverAPath(behaviour(made, True))
    verify(made, suspect, alpha=0.3, beta=0.3, references=KNOWN)
    assert sorted(map(suspect.asked[:10].count, set(suspect.asked[:10]))) in ([1] * 6 + [2] * 2,)


class Labelled(OverAPath):
    """A suspect that says one label for every image."""

    def ask(self, x):
        return replace(super().ask(x), labels=np.zeros(len(x), dtype=int))


def test_whether_it_understands_the_images_is_asked_with_the_first_sample():
    known = replace(CONTRAST, answers=torch.arange(100) % 5)
    verdict = verify(known, Labelled(behaviour(CONTRAST, True), noisy_by_two))
    assert verdict.decision == "inconclusive" and "does not understand what it is sent" in verdict.reason
    assert list(verdict.course.streams).count("crafted") == 1 < list(verdict.course.streams).count("nature")


class Answering(OverAPath):
    """A suspect that answers the owner's originals as his own network does."""

    def __init__(self, made, *more):
        super().__init__(*more)
        self.answers = dict(zip(map(key, made.benign), made.answers.tolist(), strict=True))

    def ask(self, x):
        return replace(super().ask(x), labels=np.array([self.answers.get(key(image), 0) for image in x]))


@pytest.mark.parametrize("made", [CONTRAST, PAPER], ids=["contrast", "paper"])
def test_who_answers_the_originals_as_the_owner_does_understands_them(made):
    known = replace(made, answers=torch.randint(0, 5, (100,), generator=torch.Generator().manual_seed(1)))
    assert verify(known, Answering(known, behaviour(made, True)), references=KNOWN).decision == "derived"


def test_who_answers_as_the_owner_does_behind_his_front_door_understands_too():
    as_sent, behind = torch.randint(0, 5, (2, 100), generator=torch.Generator().manual_seed(1))
    known = replace(CONTRAST, through=(Through("jpeg:90"),), answers=torch.stack([as_sent, behind], 1))
    known = replace(known, references=(Reference("another", (0.1, 0.1), "same"),))
    suspect = Answering(replace(known, answers=behind, through=()), behaviour(CONTRAST, True))
    assert verify(known, suspect).decision == "derived"
    verdict = verify(replace(known, answers=as_sent), suspect)
    assert verdict.decision == "inconclusive" and "does not understand what it is sent" in verdict.reason


def test_whether_it_understands_is_told_at_the_end_too():
    """Before the first sample nothing was said of it."""
    known, rng = replace(CONTRAST, answers=torch.arange(100) % 5), np.random.default_rng(0)
    verdict = verify(known, Labelled(behaviour(CONTRAST, True), lambda s, number: s + rng.exponential(1)), budget=70)
    assert set(verdict.course.streams) == {"nature"} and "does not understand what it is sent" in verdict.reason


def half_a_copy(made):
    """Times of a network that follows every second sample."""
    copy, other = (behaviour(made, copy) for copy in (True, False))
    followed = {key(image) for image in made.x[::2]}
    return {image: (copy if image in followed else other)[image] for image in copy}


def test_what_would_help_is_said_where_nothing_was_decided():
    seconds = half_a_copy(CONTRAST)
    computed = verify(CONTRAST, OverAPath(seconds, clock="cost-model"))
    assert computed.decision == "inconclusive" and "Asking again would bring nothing new" in computed.reason
    spent = verify(CONTRAST, OverAPath(seconds), budget=120)
    assert spent.decision == "inconclusive" and "Allow more requests" in spent.reason


def test_halves_need_not_be_equally_large():
    made = crafted("contrast", 17)
    suspect = OverAPath(behaviour(made, True))
    verify(made, suspect, alpha=0.3, beta=0.3, references=KNOWN)
    slow = {key(x) for x in inputs(made)[streams(made)[0].slow]}
    assert len(slow) != 17 - len(slow) and set(suspect.asked[:10]) == slow


def noisy_by_two(seconds, number):
    """Every second request takes two exits longer."""
    return seconds + 0.002 * (number % 2)


def test_a_journal_is_gone_on_with_only_if_that_is_asked_for(tmp_path):
    first = verify(CONTRAST, OverAPath(behaviour(CONTRAST, True)), journal=tmp_path / "j")
    with pytest.raises(ExitprintError, match="is there already"):
        verify(CONTRAST, OverAPath({}), journal=tmp_path / "j")
    assert verify(CONTRAST, OverAPath({}), journal=tmp_path / "j", resume=True).e_value == first.e_value


def test_a_cost_model_is_not_asked_again():
    verdict = verify(PAPER, OverAPath(behaviour(PAPER, False), clock="cost-model"))
    assert verdict.decision == "inconclusive" and verdict.requests < 301 and "measure_t_n" in verdict.reason


@pytest.mark.parametrize("what", ["alpha", "beta"])
@pytest.mark.parametrize("value", [0, 1, -1])
def test_error_rates_are_probabilities(what, value):
    with pytest.raises(ExitprintError, match=f"{what} must lie strictly between 0 and 1"):
        verify(CONTRAST, OverAPath({}), **{what: value})


def test_fifty_requests_are_the_fewest():
    assert verify(CONTRAST, OverAPath(behaviour(CONTRAST, True)), budget=50).requests <= 50
    with pytest.raises(ExitprintError, match="49 requests cannot decide anything: allow at least 50"):
        verify(CONTRAST, OverAPath({}), budget=49)


def test_where_nothing_was_compared_there_is_nothing_to_show():
    def fails(number):
        if number > 10:
            raise ExitprintError("gone.")

    with pytest.raises(ExitprintError, match="gone"):
        verify(CONTRAST, OverAPath(behaviour(CONTRAST, True), fails=fails))
    slow = OverAPath(behaviour(PAPER, True), lambda seconds, number: float("nan") if number > 10 else seconds)
    with pytest.raises(ExitprintError, match="none of 10 requests in a row"):
        verify(PAPER, slow)
    half = OverAPath(behaviour(PAPER, True), lambda seconds, number: float("nan") if 3 < number < 13 else seconds)
    assert verify(PAPER, half, budget=50).share is not None


def test_what_is_asked_by_kind():
    found, late = inputs(CONTRAST), CONTRAST.late
    assert list(found) == ["late", "early", "late original", "early original"]
    assert torch.equal(found["late"], CONTRAST.x[late]) and torch.equal(found["early"], CONTRAST.x[~late])
    assert torch.equal(found["late original"], CONTRAST.benign[late])
    assert torch.equal(found["early original"], CONTRAST.benign[~late])
    paper = inputs(PAPER)
    assert list(paper) == ["sample", "original"]
    assert torch.equal(paper["sample"], PAPER.x) and torch.equal(paper["original"], PAPER.benign)


def test_a_journal_fits_what_was_asked_and_how():
    """Written down once more: journals of earlier runs have to fit as long as the same seed asks the same."""
    content = sha256(json.dumps({"method": 3, "p0": 0.65, "seed": 1}, sort_keys=True).encode())
    for part in (CONTRAST.samples, CONTRAST.originals, CONTRAST.late):
        content.update(part.numpy().tobytes())
    digest = run_digest(CONTRAST, seed=1, p0=0.65)
    assert digest == content.hexdigest() == run_digest(replace(CONTRAST, record={"seed": 9}), p0=0.65, seed=1)
    others = (
        replace(CONTRAST, samples=CONTRAST.samples.flip(0)),
        replace(CONTRAST, originals=CONTRAST.originals.flip(0)),
        replace(CONTRAST, late=~CONTRAST.late),
    )
    assert len({digest, *(run_digest(other, seed=1, p0=0.65) for other in others), run_digest(CONTRAST, seed=2)}) == 5


class Computed:
    """A network by the cost model: seconds of images by what they are known by."""

    def __init__(self, seconds, clock="cost-model"):
        self.seconds, self.clock = seconds, clock

    def ask(self, x):
        return Answer(np.array([self.seconds[key(image)] for image in x]), self.clock)


@pytest.mark.parametrize("made", [CONTRAST, PAPER], ids=["contrast", "paper"])
def test_what_the_verifiers_references_come_to(made):
    seconds = behaviour(made, copy=False)
    (found,) = asked_references(made, {"theirs": Computed(seconds)})
    times = [[seconds[key(x)] for x in part] for part in (made.x, made.benign)]
    n = len(made)
    if made is CONTRAST:
        late, early = (
            [t for t, late in zip(times[0], made.late.tolist(), strict=True) if late == half] for half in (1, 0)
        )
        pairs = [(a > b) + 0.5 * (a == b) for a in late for b in early]
    else:
        pairs = [(a > b) + 0.5 * (a == b) for i, a in enumerate(times[0]) for j, b in enumerate(times[1]) if i != j]
        assert len(pairs) == n * (n - 1)
    assert (found.name, found.recipe) == ("theirs", "other") and found.share == (
        pytest.approx(sum(pairs) / len(pairs)),
    )
    with pytest.raises(ExitprintError, match="reference 'late' must answer on a cost model's clock"):
        asked_references(made, {"late": Computed(seconds, "measured")})


def test_references_of_the_verifier_lower_the_threshold():
    alone = crafted("contrast", 200, references=())
    independent = Computed(behaviour(alone, copy=False))
    suspect = OverAPath(behaviour(alone, True), clock="cost-model")
    verdict = verify(alone, suspect, references={"a": independent, "b": independent})
    shown = asked_references(alone, {"a": independent})[0].share[0]
    assert (
        verdict.p0 == pytest.approx(max(0.65, (1 + shown) / 2), abs=1e-4)
        and f"a ({shown:.2f})" in verdict.assumptions[0]
    )
    assert verify(alone, OverAPath(behaviour(alone, True), clock="cost-model")).p0 == 0.8
