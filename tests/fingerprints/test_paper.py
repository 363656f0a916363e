"""Equations 1 and 2, and what crafting promises."""

from __future__ import annotations

import math

import pytest
import torch

from exitprint.data import unit_range
from exitprint.errors import ExitprintError, Interrupted
from exitprint.fingerprints import optimise as optimise_module
from exitprint.fingerprints.optimise import AdamOnTanh
from exitprint.fingerprints.paper import L_f, PaperMethod, craft_paper, kl_from_uniform, paper_fingerprint
from exitprint.networks import ExitPolicy


def test_equation_1_by_hand():
    probabilities = torch.tensor([[[0.7, 0.2, 0.1], [0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3], [0.9, 0.05, 0.05]]])
    kl = [sum(p * math.log(3 * p) for p in exit) for exit in probabilities[0].tolist()]
    assert float(L_f(probabilities.log())[0]) == pytest.approx(kl[0] + kl[1] + kl[2] - kl[3], abs=1e-6)


def test_divergence_from_uniform_lies_between_nothing_and_log_classes():
    logits = torch.randn(50, 4, 10, generator=torch.Generator().manual_seed(0)) * 10
    divergence = kl_from_uniform(logits)
    assert (divergence >= -1e-5).all() and (divergence <= math.log(10) + 1e-5).all()
    assert float(kl_from_uniform(torch.zeros(10))) == pytest.approx(0, abs=1e-6)


@pytest.fixture(scope="module")
def made(target, digits):
    return paper_fingerprint(target, digits.test, samples=30, seed=3, method=PaperMethod(steps=300))


def test_reached_samples_pass_every_exit_with_the_margin_after_rounding(target, made):
    assert made.reached.float().mean() >= 0.9
    with torch.no_grad():
        certainty = target.policy.certainty(target(made.x[made.reached])[:, :-1])
    assert (certainty < 0.9 - 0.15 + 1e-4).all()
    assert (target.predict(made.x[made.reached]).exits == target.num_exits - 1).all()


def test_the_same_seed_crafts_the_same_samples(target, digits, made):
    again = paper_fingerprint(target, digits.test, samples=30, seed=3, method=PaperMethod(steps=300))
    assert torch.equal(again.samples, made.samples) and again.record == made.record


def test_originals_are_the_chosen_images(digits, made):
    assert torch.equal(made.originals, digits.test.pixels[made.chosen])
    assert len(set(made.chosen.tolist())) == len(made)


def test_a_sample_ends_where_it_would_have_been_alone(target, digits):
    x = digits.test[:6].x
    together = craft_paper(target, x, target.policy, PaperMethod(steps=80))
    alone = craft_paper(target, x[2:3], target.policy, PaperMethod(steps=80))
    assert int(alone.steps[0]) == int(together.steps[2])
    assert (alone.samples[0].int() - together.samples[2].int()).abs().max() <= 1


def test_stopping_per_sample_saves_passes_and_keeps_weights(target, digits):
    before = {name: value.clone() for name, value in target.state_dict().items()}
    x = digits.test[:8].x
    early = craft_paper(target, x, target.policy, PaperMethod(steps=60))
    fixed = craft_paper(target, x, target.policy, PaperMethod(steps=60, stop_early=False))
    assert fixed.passes == 8 * 61 and (fixed.steps == 60).all()
    assert early.passes < fixed.passes
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
    assert all(p.requires_grad for p in target.parameters())


def test_samples_that_do_not_arrive_are_said_not_to(target, digits):
    crafted = craft_paper(target, digits.test[:4].x, ExitPolicy(0.2), PaperMethod(steps=1))
    assert not crafted.reached.any()
    assert crafted.samples.dtype == torch.uint8 and unit_range(crafted.samples).max() <= 1


def test_adam_is_torchs_on_carlini_and_wagners_variable():
    x, pull = torch.rand(3, 1, 4, 4) * 0.8 + 0.1, torch.randn(3, 1, 4, 4)
    variable = AdamOnTanh(x, 0.01)
    w = variable.w.clone().requires_grad_()
    peer = torch.optim.Adam([w], 0.01)
    for _ in range(5):
        variable.images()
        variable.step(pull)
        peer.zero_grad()
        (((torch.tanh(w) + 1) / 2) * pull).sum().backward()
        peer.step()
    assert torch.allclose(variable.images(), (torch.tanh(w) + 1) / 2, atol=1e-6)
    variable.keep(torch.tensor([True, False, True]))
    assert torch.allclose(variable.images(), ((torch.tanh(w) + 1) / 2)[[0, 2]], atol=1e-6)


def test_a_threshold_that_everything_passes_is_refused(target, digits):
    with pytest.raises(ExitprintError, match="leaves at the first exit"):
        craft_paper(target, digits.test[:2].x, ExitPolicy(0.05))


def test_more_samples_than_images_are_refused(target, digits):
    with pytest.raises(ExitprintError, match="ask for fewer"):
        paper_fingerprint(target, digits.test[:5], samples=6)


def test_ctrl_c_while_crafting_says_what_a_rerun_does(target, digits, monkeypatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(optimise_module, "eight_bit", stop)
    with pytest.raises(Interrupted, match="starts clean"):
        paper_fingerprint(target, digits.test, samples=4)
    assert all(p.requires_grad for p in target.parameters())
