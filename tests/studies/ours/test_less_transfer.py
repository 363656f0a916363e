"""The study of ideas against transfer: each crafts what it says, and the curve's ends are the worst suspects."""

from __future__ import annotations

import pytest
import torch

from exitprint.data import unit_range
from exitprint.fingerprints.shares import logits_of, share_of_pairs
from exitprint.networks import ExitPolicy
from exitprint.tampering import retrain_exits
from exitprint_studies.ours.less_transfer import curve, kind_of, page_of
from exitprint_studies.ours.less_transfer.grounds import FURTHER, NONE, ONE, RECIPE, WITH_ONE
from exitprint_studies.ours.less_transfer.ideas import CUTOFF, craft, low_frequencies
from exitprint_studies.ours.less_transfer.plot import drawn

CHOSEN, SMOOTH, PAST_FIRST, ONE_EXIT = WITH_ONE


def rule(network):
    return ExitPolicy(0.95)


@pytest.fixture(scope="module")
def crafted(target, independent, digits):
    def by(idea, copies=()):
        return craft(idea, 0.1, target, digits.test, [rule], {RECIPE: independent}, copies, 16)

    return by


def share(made, network):
    exits = [rule(network).exits(logits_of(network, x)) for x in (made.crafted.samples, made.originals)]
    return share_of_pairs("contrast", *exits, made.late)


@pytest.mark.parametrize("idea", [NONE, ONE, CHOSEN, PAST_FIRST, ONE_EXIT], ids=lambda idea: idea.name)
def test_samples_do_what_they_are_for_on_the_target(idea, crafted, target):
    made = crafted(idea)
    assert len(made.late) == 16 and share(made, target) > 0.9


def test_a_reference_follows_less_than_without(crafted, independent):
    assert share(crafted(ONE), independent) < share(crafted(NONE), independent)


def test_a_smooth_change_has_low_frequencies_mostly(crafted):
    smooth, plain = (
        (unit_range(made.crafted.samples) - unit_range(made.originals)) for made in (crafted(SMOOTH), crafted(ONE))
    )
    kept = [float(low_frequencies(change).norm() / change.norm()) for change in (smooth, plain)]
    assert kept[0] > 0.9 > kept[1]


def test_low_frequencies_are_kept_and_the_others_taken_away():
    grid = torch.arange(16) * 2 * torch.pi
    low, high = (torch.cos(grid * f).expand(1, 1, 16, 16) for f in (CUTOFF / 2, 0.5))
    assert torch.allclose(low_frequencies(low + high), low, atol=1e-5)


def test_images_past_the_first_exit_are_taken_where_that_is_asked(crafted, target):
    exits = rule(target).exits(logits_of(target, crafted(PAST_FIRST).originals))
    assert exits.min() > 0


def test_goals_hold_on_sets_of_new_exits_too(crafted, target, digits):
    idea = FURTHER[-1]
    sets = [retrain_exits(target, digits, kind="sdn", rad=None, seed=3)]
    made = crafted(idea, sets)
    assert share(made, sets[0]) > 0.9


def row(**other):
    plain = {"target": "one", "idea": "none", "margin": 0.5, "change": 0.1, "reached": 1.0, "suspect": "fine-tuned"}
    return plain | {"copy": True, "keeps": 1.0, "shares": [0.9, 0.8]} | other


ROWS = [
    row(),
    row(suspect="in 8 bits, SDN exits trained again", shares=[0.7, 0.95]),
    row(suspect="useless", keeps=0.5, shares=[0.1, 0.1]),
    row(suspect="s", copy=False, shares=[0.2, 0.4]),
    row(suspect="t", copy=False, shares=[0.6, 0.1]),
]


def test_power_is_the_least_useful_copys_and_transfer_the_largest_strangers():
    (said,) = curve(ROWS)
    assert (said["power"], said["transfer"], said["unseen, mean"]) == (0.7, 0.6, 0.5)
    assert said["copies with exits kept, least"] == 0.8 and said["new exits of its own kind, least"] is None
    assert [kind_of(each) for each in ("ResNet-20, 8-bit, new ICs", "ResNet-20")] == ["sdn", "kept"]


def test_the_page_shows_each_target_and_the_picture():
    page = page_of([*ROWS, *(each | {"target": "two"} for each in ROWS)], "dots.png")
    assert "## one (cost model)" in page and "## two (cost model)" in page and "](dots.png)" in page
    assert drawn(curve(ROWS)).startswith(b"\x89PNG")
