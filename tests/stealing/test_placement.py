from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork, architecture, exit_costs
from exitprint.stealing.placement import place_exits, smallest_with_room
from exitprint.stealing.steal import substitute_architecture


def costs(arch):
    with torch.device("meta"):
        return np.array(exit_costs(MultiExitNetwork.build(arch)))


@pytest.mark.parametrize(("name", "depth"), [("resnet", 20), ("vgg", 13), ("mobilenet", 9)])
def test_an_architectures_own_depths_are_found_again(name, depth):
    arch = architecture(name, (3, 32, 32), 10, depth, 8)
    every = costs(arch)
    chosen = (0, 2, 5)
    assert place_exits(arch, [*every[list(chosen)], 1.0]).exits == chosen
    assert place_exits(arch, every).exits == tuple(range(len(every) - 1))


@pytest.mark.parametrize("seed", range(5))
def test_no_other_stages_fit_better(seed):
    arch = architecture("vgg13", (3, 32, 32), 10, width=8)
    every = costs(arch)[:-1]
    depths = np.sort(np.random.default_rng(seed).random(4))
    exits = place_exits(arch, [*depths, 1.0]).exits
    assert exits == tuple(sorted(set(exits)))

    def misfit(stages):
        return ((every[list(stages)] - depths) ** 2).sum()

    assert misfit(exits) == pytest.approx(min(map(misfit, combinations(range(len(every)), 4))))


@pytest.mark.parametrize(("name", "depth"), [("msdnet", 4), ("branchynet", 5)])
def test_what_is_born_with_exits_keeps_some_of_them(name, depth):
    arch = architecture(name, (3, 32, 32), 10, depth, 8)
    every = costs(arch)
    placed = place_exits(arch, every[[0, -1]])
    network = MultiExitNetwork.build(placed)
    assert network.num_exits == 2 and exit_costs(network)[0] == pytest.approx(every[0], abs=0.1)


def test_one_depth_makes_a_network_with_one_exit():
    arch = place_exits(architecture("resnet8", (1, 8, 8), 10, width=4), [1.0])
    assert arch.exits == () and MultiExitNetwork.build(arch).num_exits == 1


def test_too_many_exits_are_refused():
    with pytest.raises(ExitprintError, match="28 exits do not fit"):
        place_exits(architecture("resnet20", (3, 32, 32), 10), np.linspace(0.1, 1, 28))
    with pytest.raises(ExitprintError, match="no vgg of ours"):
        smallest_with_room("vgg", 40)


ROOM = [("resnet", 4, "resnet8"), ("resnet", 10, "resnet20"), ("vgg", 11, "vgg13")]


@pytest.mark.parametrize(("family", "exits", "name"), ROOM)
def test_the_shallowest_with_room(family, exits, name):
    assert smallest_with_room(family, exits) == name
    arch = place_exits(substitute_architecture(family, exits, (3, 32, 32), 10, width=8), np.linspace(0.1, 1, exits))
    assert len(arch.exits) == exits - 1 and arch.width == 8
