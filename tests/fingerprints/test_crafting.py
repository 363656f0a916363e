"""How images are changed: steps of one length, and references that are asked in turn."""

from __future__ import annotations

import torch

from exitprint.fingerprints.crafting import Reluctance
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
