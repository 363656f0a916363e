"""How images are changed: steps of one length, and references that are asked in turn."""

from __future__ import annotations

import torch

from exitprint.fingerprints.crafting import Reluctance, Surplus
from exitprint.fingerprints.goals import Goals
from exitprint.fingerprints.optimise import StepsOfLength
from exitprint.networks import MultiExitNetwork, architecture


def test_in_every_other_step_one_reference_is_asked_in_turn_about_what_is_not_done():
    arch = architecture("resnet8", (1, 8, 8), 10, width=4)
    references = [MultiExitNetwork.build(arch, seed).eval() for seed in (0, 1)]
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    pull = Reluctance(references, x, torch.arange(6) < 3, Goals(x, x, "confidence"), weight=2.0)
    asked = []
    for number, reference in enumerate(references):
        reference.register_forward_pre_hook(lambda _, given, number=number: asked.append((number, len(given[0]))))
    left = {0: 6, 1: 6, 2: 5, 3: 4, 4: 4, 5: 2, 6: 2}
    pulls = [pull(x[:n] + 0.05, torch.arange(n), step) for step, n in left.items()]
    assert asked == [(0, 6), (1, 4), (0, 2)]
    assert [len(each) for each in pulls] == list(left.values())
    assert pulls[0].abs().sum() == 0 and pulls[1].abs().sum() > 0
    assert torch.equal(pulls[2], pulls[1][:5])


def test_a_step_has_the_length_it_says_and_stays_within_pixel_values():
    x = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    variable = StepsOfLength(x, 0.1)
    variable.step(torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(1)))
    variable.keep(torch.tensor([True, False, True, True]))
    moved = variable.images() - x[[0, 2, 3]]
    assert torch.allclose(moved.flatten(1).norm(dim=1), torch.full((3,), 0.1), atol=1e-5)
    for _ in range(50):
        variable.step(torch.ones(3, 1, 5, 5))
    assert variable.images().min() == 0


def test_an_image_is_given_up_once_enough_of_its_half_are_done_by_a_smaller_change():
    x = torch.zeros(8, 1, 1, 2)
    late = torch.arange(8) < 4
    samples = torch.zeros(8, 1, 1, 2, dtype=torch.uint8)
    samples[:, 0, 0, 0] = torch.tensor([0, 51, 102, 0, 51, 0, 0, 0], dtype=torch.uint8)
    reached = torch.tensor([True, True, True, False, True, False, False, False])
    indices = torch.tensor([3, 5, 6, 7])
    changed = torch.zeros(4, 1, 1, 2)

    def spare(wanted, *L2):
        changed[:, 0, 0, 1] = torch.tensor(L2)
        return Surplus(x, late, wanted)(samples, reached, changed, indices).tolist()

    assert spare(4, 0.41, 0.3, 0.3, 0.3) == [True, False, False, False], "one early image is done, and two are wanted"
    assert spare(2, 0.19, 0.21, 0.19, 0.3) == [False, True, False, True]
    assert spare(6, 9.0, 9.0, 9.0, 9.0) == [False] * 4, "an image that was not changed is none of those wanted"
