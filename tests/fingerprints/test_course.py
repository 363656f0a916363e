"""What a report draws of a verification is what happened, in its order."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from types import SimpleNamespace

import pytest

from exitprint.fingerprints.course import Course, Recorder
from exitprint.fingerprints.statistic import Test

ASKED = SimpleNamespace(asked=[SimpleNamespace(kind=kind, seconds=s) for kind, s in (("late", 3.0), ("early", 1.0))])


def followed(nature: bool) -> tuple[list[tuple[float, float, float]], Course]:
    """The evidence after each of three observations, and the course of it."""
    test = Test(0.65, 1e-3, 1e-3, nature=nature)
    recorder, evidence = Recorder(test), []
    for number, (stream, x) in enumerate((("nature", 1.0), ("crafted", 1.0), ("crafted", 0.0)), 1):
        if nature or stream == "crafted":
            test.update(stream, x)
            recorder.note(stream, 10 * number)
            evidence.append((test.nature.log_e if test.nature else 0.0, test.claim.log_e, test.clear.log_e))
    return evidence, recorder.course(ASKED)


@pytest.mark.parametrize("nature", [True, False])
def test_evidence_is_noted_after_each_observation(nature: bool) -> None:
    evidence, course = followed(nature)
    assert list(zip(course.log_nature, course.log_claim, course.log_clear, strict=True)) == evidence
    assert len(set(course.log_claim)) > 1 and len(set(course.log_clear)) > 1
    assert course.streams.tolist() == ["nature", "crafted", "crafted"][not nature :]
    assert course.requests.tolist() == [10, 20, 30][not nature :]
    assert (course.asked.tolist(), course.seconds.tolist()) == (["late", "early"], [3.0, 1.0])


def test_where_nothing_was_noted_there_is_no_course() -> None:
    assert Recorder(Test(0.65, 1e-3, 1e-3, nature=True)).course(ASKED) is None


def test_recorders_do_not_share_their_rows_and_a_course_stays_as_it_is() -> None:
    one, other = (Recorder(Test(0.65, 1e-3, 1e-3, nature=True)) for _ in range(2))
    one.note("nature", 1)
    assert other.rows == [] != one.rows
    with pytest.raises(FrozenInstanceError):
        followed(True)[1].requests = None
