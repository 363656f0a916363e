"""Laws of exit policies and of their calibration."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, calibrate
from exitprint.networks.policy import CERTAINTY, ExitRule, in_log_odds, lowest, patience_threshold


def certainties(n=200, exits=5, seed=0):
    return torch.rand(n, exits, generator=torch.Generator().manual_seed(seed))


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 50))
def test_a_lower_threshold_never_makes_an_input_leave_later(a, b, seed):
    low, high = sorted((a, b))
    c = certainties(50, seed=seed)
    assert (ExitPolicy(low).exits_of_certainty(c) <= ExitPolicy(high).exits_of_certainty(c)).all()


@given(st.lists(st.floats(0, 1.5), min_size=4, max_size=4), st.integers(0, 50))
def test_an_input_leaves_at_the_first_exit_that_is_certain(thresholds, seed):
    c = certainties(20, seed=seed)
    exits = ExitPolicy(thresholds).exits_of_certainty(c)
    for row, exit in zip(c.tolist(), exits.tolist(), strict=True):
        certain = [torch.tensor(v) >= torch.tensor(t) for v, t in zip(row[:4], thresholds, strict=True)]
        assert exit == (certain.index(True) if any(certain) else 4)


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_patience_leaves_when_so_many_exits_in_a_row_agreed_with_the_one_before(labels, t):
    logits = torch.nn.functional.one_hot(torch.tensor(labels), 3).float()
    exits = ExitPolicy(patience_threshold(t), "patience").exits(logits)
    for row, exit in zip(labels, exits.tolist(), strict=True):
        agreed = 0
        for index in range(5):
            agreed = agreed + 1 if index and row[index] == row[index - 1] else 0
            if agreed == t:
                break
        assert exit == (index if agreed == t else 5)


@given(st.integers(0, 50), st.integers(2, 5))
def test_patience_counts_and_its_gradient_is_that_of_a_soft_count(seed, exits):
    logits = torch.randn(4, exits, 3, generator=torch.Generator().manual_seed(seed))
    hard = CERTAINTY["patience"](logits)
    soft = CERTAINTY["patience"](logits.requires_grad_())
    assert torch.allclose(hard, soft.detach(), atol=1e-6)
    (gradient,) = torch.autograd.grad(soft.sum(), logits)
    assert (gradient.abs().sum((1, 2)) > 0).all()
    assert torch.equal(CERTAINTY["patience"](logits[:, :1]), torch.zeros(4, 1))


@given(st.integers(0, 50))
def test_the_most_confident_exit_answers(seed):
    logits = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(seed))
    answers = ExitPolicy(0.5, answer="most confident").answers(logits)
    top = logits.softmax(2).amax(2)
    for row in range(5):
        for exit in range(4):
            assert torch.equal(answers[row, exit], logits[row, top[row, : exit + 1].argmax()])
    assert torch.equal(ExitPolicy(0.5).answers(logits), logits)
    with pytest.raises(ExitprintError, match="most confident one"):
        ExitPolicy(0.5, answer="loudest")


@pytest.mark.parametrize("criterion", sorted(set(CERTAINTY) - {"patience"}))
def test_every_criterion_grows_from_uniform_to_certain(criterion):
    policy = ExitPolicy(0.5, criterion)
    logits = torch.stack([torch.zeros(10), torch.eye(10)[3], 3 * torch.eye(10)[3], 60 * torch.eye(10)[3]])
    values = policy.certainty(logits)
    assert (values.diff() > 0).all() and float(values[-1]) == pytest.approx(1, abs=1e-5)


def test_calibration_finds_the_lowest_threshold_that_keeps_the_accuracy():
    g = torch.Generator().manual_seed(0)
    certainty = torch.rand(500, 4, generator=g)
    correct = torch.rand(500, 4, generator=g) < certainty * torch.tensor([0.8, 0.9, 0.95, 1.0])
    correct[:, -1] = torch.rand(500, generator=g) < 0.9
    last = correct[:, -1].double().mean()

    def accuracy(T_c):
        exits = ExitPolicy(T_c).exits_of_certainty(certainty)
        return correct.gather(1, exits[:, None]).double().mean()

    previous = 2.0
    for rad in (0, 5, 15, 40):
        T_c = calibrate(certainty, correct, rad).thresholds[0]
        assert accuracy(T_c) >= (1 - rad / 100) * last - 1e-9
        assert T_c == 0 or accuracy(T_c - 0.001) < (1 - rad / 100) * last
        assert T_c <= previous
        previous = T_c


def test_exits_that_are_certain_and_wrong_are_closed():
    certainty, correct = torch.ones(10, 3), torch.zeros(10, 3, dtype=torch.bool)
    correct[:, -1] = True
    policy = calibrate(certainty, correct, rad=0)
    assert policy.exits_of_certainty(certainty).tolist() == [2] * 10


def test_what_is_not_a_number_leaves_last():
    certainty = torch.full((3, 4), float("nan"))
    assert ExitPolicy(0.0).exits_of_certainty(certainty).tolist() == [3, 3, 3]


@pytest.mark.parametrize("rad", [-1, 100, 250])
def test_a_rad_out_of_range_is_refused(rad):
    with pytest.raises(ExitprintError, match="per cent"):
        calibrate(certainties(), certainties() > 0.5, rad)


def test_policies_say_what_is_wrong_with_them():
    for wrong in ((), (float("nan"),)):
        with pytest.raises(ExitprintError, match="one number"):
            ExitPolicy(wrong)
    with pytest.raises(ExitprintError, match="unknown exit criterion"):
        ExitPolicy(0.5, "mood")
    with pytest.raises(ExitprintError, match="3 thresholds"):
        ExitPolicy([0.1, 0.2, 0.3]).for_exits(5)


def test_lowest_of_policies():
    policy = lowest([ExitPolicy(0.5), ExitPolicy([0.4, 0.6, 0.9])], 3)
    assert policy.thresholds == (0.4, 0.5, 0.5)
    with pytest.raises(ExitprintError, match="criteria"):
        lowest([ExitPolicy(0.5), ExitPolicy(0.5, "entropy")], 3)


@pytest.mark.parametrize("criterion", sorted(CERTAINTY))
@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_temperature_divides_logits_before_any_softmax(criterion, temperature):
    logits = 4 * torch.randn(50, 4, 5, generator=torch.Generator().manual_seed(0))
    for answer in ("exit", "most confident"):
        policy = ExitPolicy(0.6, criterion, answer, temperature)
        plain = ExitPolicy(0.6, criterion, answer)
        assert torch.equal(policy.certainty(logits), plain.certainty(logits / temperature))
        assert torch.equal(policy.exits(logits), plain.exits(logits / temperature))
        assert torch.equal(policy.answered(logits), plain.answered(logits / temperature))
        assert torch.equal(policy.probabilities(logits), (logits / temperature).softmax(-1))
        assert policy.rule == (criterion, answer, temperature)


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan"), "hot"])
def test_what_is_no_temperature_is_refused(temperature):
    with pytest.raises(ExitprintError, match="temperature above 0"):
        ExitPolicy(0.5, temperature=temperature)


def test_policies_of_different_temperatures_have_no_common_thresholds():
    with pytest.raises(ExitprintError, match="temperatures"):
        lowest([ExitPolicy(0.5), ExitPolicy(0.6, temperature=2)], 3)


LOGITS = torch.tensor([[[2.0, 0.0, -1.0], [0.0, 0.0, 0.0], [9.0, 9.0, -9.0], [0.1, 3.0, 0.2]]])


def test_each_criterion_is_what_it_is_called():
    p = LOGITS.double().softmax(-1)
    entropy = -(p * p.log()).sum(-1) / torch.tensor(3.0, dtype=torch.float64).log()
    ordered = p.sort(-1, descending=True).values
    wanted = {
        "confidence": ordered[..., 0],
        "entropy": 1 - entropy,
        "margin": ordered[..., 0] - ordered[..., 1],
        "patience": torch.tensor([[0, 1 / 2, 2 / 3, 0]]),  # labels 0, 0, 0, 1
    }
    for criterion, certainty in wanted.items():
        policy = ExitPolicy(0.5, criterion)
        assert policy.certainty(LOGITS) == pytest.approx(certainty, abs=1e-6)
        assert policy.remembers == (criterion == "patience")
        if criterion != "patience":
            for exit in range(4):
                one = policy.certainty_of_one(LOGITS[0, exit])
                assert isinstance(one, float) and one == pytest.approx(float(certainty[0, exit]), abs=1e-6)
    assert ExitPolicy(0.5, answer="most confident").remembers


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.integers(0, 20))
def test_an_input_leaves_where_it_is_certain_and_gets_that_answer(thresholds, seed):
    logits = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(seed))
    for answer in ("exit", "most confident"):
        policy = ExitPolicy(thresholds, "margin", answer)
        exits = policy.exits(logits)
        for exit in range(3):
            leaves = policy.leaves(exit, logits[:, exit])
            assert torch.equal(leaves, policy.certainty(logits)[:, exit] >= thresholds[exit])
            assert policy.threshold(exit) == thresholds[exit]
            assert (exits[leaves] <= exit).all()
        answers = policy.answers(logits)
        assert policy.answered(logits).tolist() == [
            int(answers[row, exit].argmax()) for row, exit in enumerate(exits.tolist())
        ]


def test_one_threshold_is_that_of_all():
    policy = ExitPolicy(1)
    assert policy.thresholds == (1.0,) and policy.for_exits(3) == (1.0,) * 3 and policy.threshold(7) == 1.0
    several = ExitPolicy([0.1, 0.2])
    assert several.for_exits(2) == (0.1, 0.2)
    assert several.limits(2) == torch.tensor([0.1, 0.2]).tolist() != [0.1, 0.2]
    for exits in (1, 3):
        with pytest.raises(ExitprintError, match=f"2 thresholds but the network has {exits} early exits"):
            several.for_exits(exits)


def test_the_threshold_itself_is_certain_enough():
    certainty = torch.tensor([[0.5, 0.9], [0.4999, 0.0]])
    assert ExitPolicy(0.5).exits_of_certainty(certainty).tolist() == [0, 1]
    assert ExitPolicy([0.5]).exits_of_certainty(certainty.double()).tolist() == [0, 1]


@pytest.mark.parametrize("t", range(1, 12))
def test_patience_lies_between_what_so_many_and_one_more_agreements_reach(t):
    assert 1 - 1 / t < patience_threshold(t) < 1 - 1 / (t + 1)
    assert patience_threshold(t) == 1 - 1 / (t + 0.5)


def test_the_lowest_policy_keeps_criterion_and_answer():
    policies = [ExitPolicy([0.4, 0.6], "entropy", "most confident"), ExitPolicy(0.5, "entropy", "most confident")]
    assert lowest(policies, 2) == ExitPolicy([0.4, 0.5], "entropy", "most confident")
    assert lowest(policies[:1], 2) == policies[0]


@pytest.mark.parametrize("rad", [0, 10, 50, 99.5])
def test_calibration_takes_the_lowest_of_a_thousand_steps(rad):
    """Written down once more, without stopping at the first threshold that loses too much."""
    g = torch.Generator().manual_seed(int(rad))
    certainty, correct = torch.rand(80, 3, generator=g), torch.rand(80, 3, generator=g) < 0.7
    policy = calibrate(certainty, correct, rad, ExitRule("margin", "most confident"))
    wanted = (1 - rad / 100) * correct[:, -1].double().mean()
    lowest_ = 2.0
    for step in range(1000, -1, -1):
        exits = (certainty[:, :2] >= step / 1000).int()
        exits = torch.where(exits.any(1), exits.argmax(1), 2)
        if correct[torch.arange(80), exits].double().mean() < wanted:
            break
        lowest_ = step / 1000
    assert policy.thresholds == (pytest.approx(lowest_),)
    assert (policy.criterion, policy.answer) == ("margin", "most confident")


def test_where_even_the_surest_answers_lose_too_much_every_exit_is_closed():
    certainty, correct = torch.ones(4, 2), torch.tensor([[False, True]] * 4)
    assert calibrate(certainty, correct, 0).thresholds == (2.0,)
    assert calibrate(certainty, torch.ones(4, 2, dtype=torch.bool), 0).thresholds == (0.0,)


def test_log_odds_are_finite_at_both_ends():
    certainty = torch.tensor([0.0, 1e-4, 0.25, 0.5, 0.75, 1 - 1e-4, 1.0])
    odds = in_log_odds(certainty)
    assert odds[2:5].tolist() == pytest.approx([-math.log(3), 0, math.log(3)], abs=1e-6)
    assert odds.isfinite().all() and odds[0] == odds[1] and odds[-1] == odds[-2]
    assert float(odds[0]) == pytest.approx(-math.log(9999), abs=1e-3)
    assert float(odds[-1]) == pytest.approx(math.log(9999), abs=1e-2)


def test_a_policy_is_not_changed():
    with pytest.raises(FrozenInstanceError):
        ExitPolicy(0.5).criterion = "margin"


def test_the_soft_count_agrees_by_the_probability_of_one_class():
    """Its gradient is that of 1 − 1 / r, where r = 1 + a with a = Σ p q of two exits."""
    logits = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(3), requires_grad=True)
    (found,) = torch.autograd.grad(CERTAINTY["patience"](logits)[0, 1], logits)
    p, q = logits.softmax(-1)[0]
    (wanted,) = torch.autograd.grad(1 - 1 / (1 + (p * q).sum()), logits)
    assert torch.allclose(found, wanted, atol=1e-6)
