"""An owner's rule in his own words lets those inputs leave that his own code lets leave."""

from __future__ import annotations

import math

import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.networks.rule import policy_of_rule

LOGITS = torch.randn(500, 3, 10, generator=torch.Generator().manual_seed(0)) * 3
P = LOGITS.softmax(-1)
H = -(P * P.log()).sum(-1)
TOP = P.topk(2, -1).values


@pytest.mark.parametrize(
    ("rule", "leaves"),
    [
        ("confidence > 0.7", TOP[..., 0] > 0.7),
        ("confidence >= 0.7, 0.9", TOP[..., 0] >= torch.tensor([0.7, 0.9, 0.0])),
        ("margin > 0.5", TOP[..., 0] - TOP[..., 1] > 0.5),
        ("entropy < 0.5", H < 0.5),
        ("Entropy <= 0.3, 0.8", torch.tensor([0.3, 0.8, 9.0]) >= H),
        ("normalised entropy < 0.2", H / math.log(10) < 0.2),
        ("normalized entropy<0.2", H / math.log(10) < 0.2),
    ],
)
def test_inputs_leave_where_the_rule_says(rule, leaves):
    leaves[:, -1] = True
    assert torch.equal(policy_of_rule(rule, 10).exits(LOGITS), leaves.int().argmax(1))


def test_certainties_are_those_of_logits_divided_by_the_temperature():
    tempered = (LOGITS / 2.5).softmax(-1).amax(-1) > 0.7
    tempered[:, -1] = True
    exits = policy_of_rule("confidence > 0.7", 10, temperature=2.5).exits(LOGITS)
    assert torch.equal(exits, tempered.int().argmax(1))
    assert not torch.equal(exits, policy_of_rule("confidence > 0.7", 10).exits(LOGITS))


def test_greater_and_greater_or_equal_differ_at_the_threshold_alone():
    exact = torch.tensor([[[math.log(9.0), 0.0], [0.0, 0.0]]])
    at = float(exact.softmax(-1).max())
    assert int(policy_of_rule(f"confidence >= {at!r}", 2).exits(exact)) == 0
    assert int(policy_of_rule(f"confidence > {at!r}", 2).exits(exact)) == 1


def test_patience_counts_exits_that_agree_with_the_one_before():
    same = torch.eye(10)[:1].expand(4, 10)[None] * 9
    assert int(policy_of_rule("patience >= 2", 10).exits(same)) == 2
    assert int(policy_of_rule("patience > 1", 10).exits(same)) == 2


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "is no rule"),
        ("0.9", "is no rule"),
        ("confidence = 0.9", "is no rule"),
        ("confidence > high", "is no rule"),
        ("loss < 0.1", "is no rule"),
        ("confidence < 0.9", "inputs leave above a threshold of confidence"),
        ("entropy > 0.5", "inputs leave below a threshold of entropy"),
        ("confidence > nan", "no number"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_form_of_one(rule, said):
    with pytest.raises(ExitprintError, match=said) as caught:
        policy_of_rule(rule, 10)
    assert "'confidence > 0.9'" in str(caught.value)
