"""The policies that a fingerprint is made for: defaults, in the library as on the command line, and those with room."""

from __future__ import annotations

import pytest

from exitprint.data import Images
from exitprint.errors import ExitprintError
from exitprint.fingerprints import (
    ContrastMethod,
    PaperMethod,
    contrast_fingerprint,
    default_policies,
    paper_fingerprint,
    policies,
)
from exitprint.fingerprints.policies import usable_policies
from exitprint.networks import ExitPolicy
from exitprint.networks.policy import CLOSED
from exitprint.training import leaving_policy, policy_with_room


def made_for(network, images, held_out, kind="contrast"):
    return [rule(network) for rule in default_policies(kind, network, images, held_out)]


def test_a_contrast_is_for_the_own_policy_and_for_rad_0_and_15(target, digits):
    stricter = policy_with_room(target, digits.calibration, rad=0.0, share=0.3)
    looser = policy_with_room(target, digits.calibration, rad=15.0, share=0.7)
    assert made_for(target, digits.test, digits.calibration) == [target.policy, stricter, looser]
    assert made_for(target, digits.test, digits.calibration, "paper") == [target.policy]


def test_a_policy_that_tells_no_images_apart_is_left_out(target, digits):
    shut = target.copy()
    shut.policy = ExitPolicy(CLOSED)
    stricter, looser = made_for(target, digits.test, digits.calibration)[1:]
    assert made_for(shut, digits.test, digits.calibration) == [stricter, looser]
    assert made_for(shut, digits.test, digits.calibration, "paper") == [looser]


def test_without_labels_shares_of_images_take_the_place_of_rad(target, digits):
    own, *rest = made_for(target, digits.test, Images(digits.test.pixels))
    assert own == target.policy
    assert rest == [leaving_policy(target, digits.test, share) for share in (0.3, 0.7)]


def test_crafting_calibrates_on_the_images_that_are_held_out_for_it(target, digits):
    few = ContrastMethod(margin_log_odds=0.1, steps=5, candidates_per_sample=1)
    made = contrast_fingerprint(target, digits.test, samples=10, method=few, check=False, held_out=digits.calibration)
    policies = made_for(target, digits.test, digits.calibration)
    assert [policy["thresholds"] for policy in made.record["policies"]] == [list(p.thresholds) for p in policies]
    paper = paper_fingerprint(target, digits.test, samples=3, method=PaperMethod(steps=2), check=False)
    assert paper.record["policy"]["thresholds"] == list(target.policy.for_exits(target.num_exits - 1))


def test_policies_under_which_all_leave_at_once_are_left_out_with_a_warning(target):
    kept, warnings = usable_policies(target, [ExitPolicy(0.9), ExitPolicy(0.05), ExitPolicy(2.0)])
    assert kept == [ExitPolicy(0.9)] and len(warnings) == 2
    with pytest.raises(ExitprintError, match="same exit"):
        usable_policies(target, [ExitPolicy(0.05)])
    with pytest.raises(ExitprintError, match="one criterion"):
        usable_policies(target, [ExitPolicy(0.9), ExitPolicy(0.9, "entropy")])


def test_of_many_held_out_images_some_are_calibrated_on_always_the_same(monkeypatch, digits):
    assert policies.for_calibration(digits.calibration) is digits.calibration
    monkeypatch.setattr(policies, "CALIBRATED_ON", 20)
    some, again = (policies.for_calibration(digits.calibration) for _ in range(2))
    assert len(some) == 20 and some.pixels.equal(again.pixels) and some.labels.equal(again.labels)
    assert len(some.labels.unique()) > 5
