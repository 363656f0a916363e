"""A session: what is asked, what is not asked again, what it costs and what it says of itself."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from exitprint.errors import ExitprintError, Interrupted
from exitprint.suspects import Answer
from exitprint.suspects.journal import Work
from exitprint.suspects.suspect import BudgetSpent
from exitprint.timing.session import CHUNK, FLOOR, FLOORS, Asked, session, timed

WORK = Work("test", "key", Asked, "settings")
INPUTS = {kind: torch.arange(first, first + 6).float().reshape(6, 1, 1, 1) for kind, first in (("a", 0), ("b", 10))}


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)


class Numbered:
    """A suspect that takes as many seconds as the input says, and a little more each time it is asked."""

    def __init__(self, says="nothing", clock="measured", fails=lambda number: None):
        self.says, self.clock, self.fails, self.asked = says, clock, fails, []

    def ask(self, x):
        self.fails(len(self.asked))
        numbers = x[:, 0, 0, 0].numpy().astype(float)
        self.asked.append(numbers.tolist())
        answer = Answer(numbers + (len(self.asked) / 1000 if self.clock == "measured" else 0), self.clock)
        if self.says == "labels":
            return replace(answer, labels=numbers.astype(int) % 3)
        if self.says == "probabilities":
            return replace(answer, probabilities=np.eye(3, dtype=np.float32)[numbers.astype(int) % 3])
        return answer


class WithAFloor(Numbered):
    """The same behind a path that can be timed alone, and that counts what it costs; it sends each image four times."""

    amplification, bytes_sent, bytes_received, floors, limits = 4, 100, 11, 0, ()

    @property
    def requests(self):
        return len(self.asked) + self.floors

    def limit(self, requests):
        self.limits = (*self.limits, requests)

    def floor(self):
        self.floors += 1
        return 0.1 * self.floors


@contextmanager
def asking(suspect, **options):
    with session(suspect, options.pop("inputs", INPUTS), WORK, expected=10, **options) as made:
        yield made


def test_every_asking_is_kept_in_order_and_those_to_warm_up_are_no_evidence():
    suspect = Numbered()
    with asking(suspect) as made:
        made.warm_up("a", np.array([4, 5, 4]))
        for kind, index in (("a", 1), ("b", 0), ("a", 1)):
            made.ask(kind, index)
    assert suspect.asked == [[4.0], [5.0], [4.0], [1.0], [10.0], [1.0]]
    assert [(one.kind, one.index) for one in made.asked] == [("a", 4), ("a", 5), ("a", 4), ("a", 1), ("b", 0), ("a", 1)]
    assert made.places == {("a", 1): [3, 5], ("b", 0): [4]}
    assert made.times("a", 1) == [1.004, 1.006] and made.times("a", 4) == [] and made.times("a", 9) == []
    assert made.first("a", 4) is made.asked[0] and made.first("a", 1) is made.asked[3] and made.first("b", 3) is None
    assert (made.requests, made.clock, made.copies, made.bytes, made.floor) == (6, "measured", 1, None, None)
    assert 0 <= made.elapsed < 60 and made.kept == ""


def test_times_by_kind_are_as_many_as_the_least_often_asked_input_has():
    with asking(Numbered()) as made:
        for index in (2, 0, 2, 0, 2):
            made.ask("a", index)
        made.ask("b", 1)
    timings = made.timings()
    assert list(timings) == ["a", "b"] and timings["a"].clock == timings["b"].clock == "measured"
    assert timings["a"].seconds == pytest.approx(np.array([[0.002, 0.004], [2.001, 2.003]]))
    assert timings["b"].seconds == pytest.approx(np.array([[11.006]]))


def test_what_an_input_was_said_to_be_is_kept_from_its_first_asking_only():
    for says in ("labels", "probabilities"):
        with asking(Numbered(says), keep_probabilities=True) as made:
            made.ask("b", 1)
            made.ask("b", 1)
            made.ask("a", 2)
        assert [one.label for one in made.asked] == [2, None, 2]
        shown = (0.0, 0.0, 1.0) if says == "probabilities" else None
        assert [one.probabilities for one in made.asked] == [shown, None, shown]
    with asking(Numbered("probabilities")) as made:
        made.ask("a", 1)
    assert (made.asked[0].label, made.asked[0].probabilities) == (1, None)
    with asking(Numbered("nothing"), keep_probabilities=True) as made:
        made.ask("a", 1)
    assert (made.asked[0].label, made.asked[0].probabilities) == (None, None)


def test_labels_go_before_probabilities():
    class Both(Numbered):
        def ask(self, x):
            return replace(super().ask(x), labels=np.array([7]), probabilities=np.eye(3, dtype=np.float32)[:1])

    with asking(Both(), keep_probabilities=True) as made:
        made.ask("a", 1)
    assert (made.asked[0].label, made.asked[0].probabilities) == (7, (1.0, 0.0, 0.0))


def test_the_path_alone_is_timed_after_the_first_asking_to_warm_up():
    suspect = WithAFloor()
    with asking(suspect, budget=50) as made:
        made.warm_up("a", np.arange(6))
        assert len(made.asked) == 6, "the floor's requests warm up too"
        made.ask("a", 0)
    assert [one.kind for one in made.asked] == ["a", *[FLOOR] * FLOORS, "a"] and suspect.floors == FLOORS
    assert [one.index for one in made.asked[1:6]] == list(range(FLOORS))
    assert made.floor == pytest.approx(0.3) and made.copies == 4 and made.bytes == 111
    assert made.requests == 7 and suspect.limits == (50,)
    assert [one.requests for one in made.asked] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.bytes for one in made.asked] == [111] * 7 and made.asked[1].clock == "measured"
    assert made.places == {("a", 0): [6]}


def test_without_a_budget_there_is_no_limit_that_matters():
    suspect = WithAFloor()
    with asking(suspect):
        pass
    assert suspect.limits == (2**62,)


def test_never_more_than_the_budget():
    suspect = Numbered()
    with asking(suspect, budget=3) as made:
        for index in range(3):
            made.ask("a", index)
        with pytest.raises(BudgetSpent, match="budget of 3 requests"):
            made.ask("a", 3)
    assert len(suspect.asked) == 3


def test_a_cost_model_is_asked_for_all_inputs_at_once_and_repeats_itself_at_no_cost():
    x = {"a": torch.arange(2 * CHUNK + 3).float().reshape(-1, 1, 1, 1), "b": torch.tensor([7.0]).reshape(1, 1, 1, 1)}
    suspect = Numbered("probabilities", clock="cost-model")
    with asking(suspect, inputs=x, keep_probabilities=True) as made:
        made.warm_up("a", np.array([CHUNK + 1, 3, 4]))
        assert made.ask("a", CHUNK + 1) == CHUNK + 1 == made.ask("a", CHUNK + 1)
        assert made.ask("a", 2 * CHUNK + 2) == 2 * CHUNK + 2 and made.ask("b", 0) == 7
    assert [len(batch) for batch in suspect.asked] == [1, CHUNK, CHUNK, 3, 1]
    assert [(one.kind, one.index) for one in made.asked] == [
        ("a", CHUNK + 1),
        ("a", CHUNK + 1),
        ("a", 2 * CHUNK + 2),
        ("b", 0),
    ]
    assert made.requests == 4 and made.clock == "cost-model" and made.timings()["b"].clock == "cost-model"
    assert made.places == {("a", CHUNK + 1): [1], ("a", 2 * CHUNK + 2): [2], ("b", 0): [3]}
    assert made.first("b", 0).label == 1 and made.first("b", 0).probabilities == (0.0, 1.0, 0.0)


def test_a_cost_model_has_no_path_that_could_be_timed():
    class Computed(WithAFloor):
        clock = "cost-model"

    suspect = Computed(clock="cost-model")
    with asking(suspect) as made:
        made.warm_up("a", np.arange(5))
    assert suspect.floors == 0 and len(made.asked) == 1 and made.floor is None


@pytest.fixture
def path(tmp_path):
    return tmp_path / "j"


def test_a_resumed_session_asks_on_behind_what_the_journal_knows(path):
    with asking(WithAFloor("labels"), journal=path, budget=40) as first:
        first.warm_up("a", np.arange(2))
        first.ask("b", 1)
    assert first.kept == f"7 answers are kept in {str(path)!r}: resume (--resume) to go on from there"
    suspect = WithAFloor("labels")
    with asking(suspect, journal=path, resume=True, budget=40) as again:
        assert again.kept == first.kept and again.requests == 8, "one may have been in flight"
        again.warm_up("a", np.arange(2))
        assert again.ask("b", 1) == first.asked[-1].seconds and not suspect.asked and suspect.floors == 0
        again.ask("b", 2)
    assert again.asked[:-1] == first.asked and suspect.asked == [[12.0]] and suspect.limits == (32,)
    assert again.asked[-1].requests == again.requests == 9 and again.asked[-1].bytes == 222
    assert again.asked[-1].elapsed >= first.asked[-1].elapsed and again.first("b", 1).label == 2
    assert again.kept.startswith("8 answers")


def test_what_was_asked_in_another_order_does_not_fit(path):
    with asking(Numbered(), journal=path) as made:
        made.ask("a", 0)
        made.ask("a", 1)
    for kind, index in (("b", 1), ("a", 2)):
        with pytest.raises(ExitprintError, match=r"line 3 of the journal does not fit"):  # noqa: SIM117
            with asking(Numbered(), journal=path, resume=True) as again:
                again.ask("a", 0)
                again.ask(kind, index)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), ExitprintError("the server is gone.")])
def test_what_stops_it_says_what_is_kept(path, stop):
    def fails(number):
        if number == 2:
            raise stop

    def cut_off(**options):
        with asking(Numbered(fails=fails), **options) as made:
            for index in range(3):
                made.ask("a", index)

    kind = Interrupted if isinstance(stop, KeyboardInterrupt) else ExitprintError
    says = "stopped; " if kind is Interrupted else "the server is gone; "
    with pytest.raises(kind) as kept:
        cut_off(journal=path)
    assert str(kept.value) == f"{says}2 answers are kept in {str(path)!r}: resume (--resume) to go on from there."
    with pytest.raises(kind) as bare:
        cut_off()
    assert str(bare.value) == ("stopped; nothing was kept." if kind is Interrupted else "the server is gone.")


class Faulty:
    """A suspect whose first so many answers had to be repeated."""

    def __init__(self, faults):
        self.faults, self.asked = faults, 0

    def ask(self, x):
        self.asked += 1
        return Answer(np.array([np.nan if self.asked <= self.faults else 0.5]), "measured")


def test_ten_faults_in_a_row_are_too_many():
    assert timed(Faulty(9), INPUTS["a"][:1]).seconds == [0.5]
    suspect = Faulty(10)
    with pytest.raises(ExitprintError, match="none of 10 requests in a row"):
        timed(suspect, INPUTS["a"][:1])
    assert suspect.asked == 10


def test_the_bar_moves_by_the_requests_that_were_made(monkeypatch):
    moved: list[int] = []

    @contextmanager
    def progress(what, expected):
        assert (what, expected) == ("asking the suspect (requests)", 10)
        yield moved.append

    monkeypatch.setattr("exitprint.timing.session.progress", progress)
    faulty = Faulty(2)
    with asking(faulty) as made:
        made.ask("a", 0)
        made.ask("a", 1)
    assert moved == [3, 1] and made.requests == 4
    moved.clear()
    with asking(Numbered(clock="cost-model")) as made:
        made.ask("a", 0)
        made.ask("b", 1)
    assert moved == [1, 1]
