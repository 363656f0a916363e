from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from exitprint.errors import ExitprintError, Interrupted
from exitprint.suspects import Answer, CostModel
from exitprint.timing.inquiry import inquire

IMAGES = 80
X = torch.arange(IMAGES, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 4, 4) / 255
EXITS = np.arange(IMAGES) * 7 % 4


class Clocked:
    """A suspect whose time is its exit's, in seconds, plus noise; it knows an image by its first pixel."""

    def __init__(self, noise=0.01, exits=EXITS, says="probabilities", fails=lambda number: None):
        self.rng = np.random.default_rng(0)
        self.noise, self.exits, self.says, self.fails = noise, exits, says, fails
        self.asked = []

    def ask(self, x):
        assert len(x) == 1
        index = round(float(x[0, 0, 0, 0]) * 255)
        self.fails(len(self.asked))
        self.asked.append(index)
        seconds = np.array([1 + self.exits[index] + self.noise * self.rng.standard_normal()])
        label = np.array([index % 3])
        answer = Answer(seconds, "measured", label)
        if self.says == "probabilities":
            return replace(answer, probabilities=np.eye(3, dtype=np.float32)[label])
        return answer if self.says == "labels" else Answer(seconds, "measured")


def test_a_quiet_suspect_is_asked_twice_and_its_exits_are_clear():
    suspect = Clocked()
    inquiry = inquire(suspect, X)
    assert inquiry.end == "clear" and inquiry.seconds.shape == (IMAGES, 2)
    assert (inquiry.estimate.exits == EXITS).all()
    assert (inquiry.labels == np.arange(IMAGES) % 3).all() and (inquiry.answers == inquiry.labels).all()
    assert inquiry.probabilities.shape == (IMAGES, 3)
    assert inquiry.requests == len(suspect.asked) == 2 * IMAGES + 20


def test_noise_is_asked_away():
    inquiry = inquire(Clocked(noise=0.35), X, repeats=32)
    assert inquiry.end == "clear" and 3 <= inquiry.seconds.shape[1] < 32
    assert (inquiry.estimate.exits == EXITS).mean() > 0.95


def test_a_suspect_whose_time_does_not_depend_on_the_image_is_not_asked_for_ever():
    inquiry = inquire(Clocked(exits=np.zeros(IMAGES)), X, repeats=32)
    assert inquiry.end == "no difference" and not inquiry.estimate.depends_on_input
    assert inquiry.seconds.shape[1] < 32


def test_noise_that_hides_exits_is_no_constant_time():
    inquiry = inquire(Clocked(noise=3), X, repeats=4)
    assert inquiry.end == "repeats"


@pytest.mark.parametrize("says", ["labels", "probabilities"])
def test_labels_are_enough(says):
    inquiry = inquire(Clocked(says=says), X)
    assert (inquiry.probabilities is None) == (says == "labels")
    assert (inquiry.answers == np.arange(IMAGES) % 3).all()


def test_a_suspect_that_says_nothing_teaches_nothing():
    inquiry = inquire(Clocked(says="nothing"), X)
    assert inquiry.estimate.count == 4
    with pytest.raises(ExitprintError, match="nothing to learn"):
        _ = inquiry.answers


def test_the_budget_ends_asking_with_whole_rounds():
    suspect = Clocked(noise=0.35)
    inquiry = inquire(suspect, X, budget=int(2.5 * IMAGES) + 20)
    assert inquiry.end == "budget" and inquiry.seconds.shape == (IMAGES, 2)
    assert inquiry.requests == len(suspect.asked) == int(2.5 * IMAGES) + 20


def test_a_cost_model_is_asked_once_and_all_at_once(target, digits):
    x = digits.test.x[:100]
    inquiry = inquire(CostModel(target), x, repeats=9)
    assert inquiry.clock == "cost-model" and inquiry.seconds.shape == (100, 1)
    assert (inquiry.estimate.exits == np.unique(target.predict(x).exits, return_inverse=True)[1]).all()


@pytest.mark.parametrize("number", [3, 20, 21, 100, 179])
@pytest.mark.parametrize("stop", [ExitprintError("down."), KeyboardInterrupt()])
def test_no_query_is_paid_twice(number, stop, tmp_path):
    whole = inquire(Clocked(), X, journal=tmp_path / "whole")

    def fails(asked):
        if asked == number:
            raise stop

    first = Clocked(fails=fails)
    with pytest.raises((ExitprintError, Interrupted), match=f"{number} answers are kept.*--resume"):
        inquire(first, X, journal=tmp_path / "j")
    second = Clocked()
    again = inquire(second, X, journal=tmp_path / "j", resume=True)
    assert len(first.asked) + len(second.asked) == whole.requests
    assert again.requests == whole.requests + 1  # the one that may have been in flight
    assert (again.labels == whole.labels).all() and (again.probabilities == whole.probabilities).all()
    assert (again.estimate.exits == whole.estimate.exits).all()
    third = Clocked()
    inquire(third, X, journal=tmp_path / "j", resume=True)
    assert not third.asked


class BehindAPath(Clocked):
    """The same behind a path that adds seconds to every answer, and can be timed alone."""

    amplification = 4
    bytes_sent = bytes_received = 7

    def __init__(self, path=0.5, fails=lambda number: None):
        super().__init__(fails=fails)
        self.path, self.floors = path, 0

    @property
    def requests(self):
        return len(self.asked) + self.floors

    def limit(self, requests):
        pass

    def floor(self):
        self.floors += 1
        return self.path + 0.01 * self.floors

    def ask(self, x):
        answer = super().ask(x)
        return replace(answer, seconds=answer.seconds + self.path)


def test_what_the_path_adds_is_timed_in_the_warm_up_and_taken_off(tmp_path):
    suspect = BehindAPath()
    inquiry = inquire(suspect, X, journal=tmp_path / "j")
    assert suspect.floors == 5 and inquiry.floor == pytest.approx(0.53) and inquiry.copies == 4
    assert inquiry.requests == suspect.requests == 2 * IMAGES + 20
    assert inquiry.relative_times == pytest.approx([0.25, 0.5, 0.75, 1], abs=0.02)
    plain = inquire(Clocked(), X)
    assert plain.floor == 0 and plain.copies == 1
    again = inquire(BehindAPath(path=9.0), X, journal=tmp_path / "j", resume=True)
    assert again.floor == inquiry.floor


@pytest.mark.parametrize("answered", [1, 9, 60])
def test_the_path_too_is_not_paid_twice(answered, tmp_path):
    def fails(asked):
        if asked == answered:
            raise ExitprintError("down.")

    first, second = BehindAPath(fails=fails), BehindAPath()
    with pytest.raises(ExitprintError, match=f"{answered + 5} answers are kept"):
        inquire(first, X, journal=tmp_path / "j")
    inquire(second, X, journal=tmp_path / "j", resume=True)
    assert first.floors + second.floors == 5 and len(first.asked) + len(second.asked) == 2 * IMAGES + 15


def test_a_drifting_clock_is_steadied():
    rng = np.random.default_rng(5)
    pace = np.exp(np.cumsum(0.03 * rng.standard_normal(2000)))

    class Drifting(Clocked):
        def ask(self, x):
            answer = super().ask(x)
            return replace(answer, seconds=answer.seconds * pace[len(self.asked)])

    inquiry = inquire(Drifting(), X, repeats=8)
    assert inquiry.end == "clear" and (inquiry.estimate.exits == EXITS).mean() > 0.98
    assert inquiry.steady.shape == inquiry.seconds.shape and (inquiry.steady != inquiry.seconds).any()
    usual = (1 + EXITS)[:, None]
    assert np.log(inquiry.steady / usual).std() < 0.5 * np.log(inquiry.seconds / usual).std()


def test_a_journal_of_other_images_or_another_suspect_is_refused(tmp_path):
    inquire(Clocked(), X, journal=tmp_path / "j", subject="a")
    with pytest.raises(ExitprintError, match="--resume"):
        inquire(Clocked(), X, journal=tmp_path / "j", subject="a")
    for x, name in ((X, "b"), (X.flip(0), "a")):
        with pytest.raises(ExitprintError, match="another inquiry"):
            inquire(Clocked(), x, journal=tmp_path / "j", resume=True, subject=name)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"x": X[:5]}, "too few"),
        ({"budget": 50}, "budget of 50"),
        ({"repeats": 0}, "positive"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_asked(options, says):
    suspect = Clocked()
    with pytest.raises(ExitprintError, match=says):
        inquire(suspect, options.pop("x", X), **options)
    assert not suspect.asked
