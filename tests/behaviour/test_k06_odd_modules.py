"""Modules as they really come are wrapped, or refused in a sentence that says why and what to do."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune

import user_modules as user
from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork, load_network, save_network

EXAMPLE = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def after_training(module: nn.Module) -> nn.Module:
    """One step of training, which leaves computed tensors in attributes."""
    module.train()
    module(EXAMPLE).sum().backward()
    return module.eval()


class Symmetric(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w.triu() + w.triu(1).transpose(-1, -2)


class Keeping(user.Residual):
    """It keeps what it computed, as people do for plots."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = {"features": self.blocks(F.relu(self.stem(x)))}
        self.kept_too = [self.kept["features"].mean((2, 3))]
        return self.head(self.kept_too[0])


def pruned(module: nn.Module) -> None:
    prune.l1_unstructured(module.stem, "weight", 0.3)
    prune.ln_structured(module.blocks[0].conv1, "weight", 0.3, 2, 0)


def normed(function):
    def change(module: nn.Module) -> None:
        with warnings.catch_warnings(action="ignore"):
            for layer in (module.stem, module.head):
                function(layer)

    return change


AROUND_WEIGHTS = {
    "pruned": pruned,
    "weight norm of old": normed(torch.nn.utils.weight_norm),
    "spectral norm of old": normed(torch.nn.utils.spectral_norm),
    "weight norm": normed(parametrizations.weight_norm),
    "spectral norm": normed(parametrizations.spectral_norm),
    "orthogonal": lambda module: parametrizations.orthogonal(module.head),
    "a parametrisation of his own": lambda module: parametrize.register_parametrization(
        module.blocks[0].conv1, "weight", Symmetric()
    ),
}


@pytest.mark.parametrize("what", AROUND_WEIGHTS)
def test_what_is_around_weights_is_multiplied_in_and_the_module_is_left_as_it_is(what, tmp_path):
    module = user.Residual()
    AROUND_WEIGHTS[what](module)
    after_training(module)
    names = list(module.state_dict())
    wanted = module(EXAMPLE)
    network = MultiExitNetwork.wrap(module, 1, example=EXAMPLE)
    save_network(network, tmp_path / "n.safetensors")
    said = load_network(tmp_path / "n.safetensors")(EXAMPLE)[:, -1]
    assert torch.allclose(said, wanted, atol=1e-6) if what == "orthogonal" else torch.equal(said, wanted)
    assert list(module.state_dict()) == names and torch.equal(module(EXAMPLE), wanted)


def test_what_a_module_keeps_of_its_last_answer_does_no_harm():
    module = after_training(Keeping())
    assert torch.equal(MultiExitNetwork.wrap(module, 1, example=EXAMPLE)(EXAMPLE)[:, -1], module(EXAMPLE))


class OwnTrain(user.Residual):
    """As in a published benchmark: `train` takes words and gives nothing back, and so does `eval`."""

    def train(self, mode: bool | str = "all") -> None:  # type: ignore[override]
        nn.Module.train(self, bool(mode))


def test_a_module_whose_eval_gives_nothing_back():
    module = OwnTrain()
    module.eval()
    assert torch.equal(MultiExitNetwork.wrap(module, 1, example=EXAMPLE)(EXAMPLE)[:, -1], module(EXAMPLE))


@pytest.mark.parametrize("around", [torch.compile, nn.DataParallel])
def test_what_is_around_the_module_is_taken_off(around):
    module = user.Residual().eval()
    network = MultiExitNetwork.wrap(around(module), ["blocks.1"], example=EXAMPLE)
    assert torch.equal(network(EXAMPLE)[:, -1], module(EXAMPLE))


class Named(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        inner = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU())
        inner.add_module(name, nn.Conv2d(8, 8, 3))
        self.add_module(name, nn.Conv2d(1, 8, 3))
        self.add_module(f"{name}2", inner)
        self.fc, self.name = nn.Linear(8, 10), name

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(getattr(self, f"{self.name}2")(getattr(self, self.name)(x)).mean((2, 3)))


@pytest.mark.parametrize("name", ["block1-0", "a b", "größe", "conv/1", "层", "x:y", "[0]", "{a}", "50%"])
def test_names_of_submodules_are_anything(name, tmp_path):
    module = Named(name).eval()
    network = MultiExitNetwork.wrap(module, [name], example=EXAMPLE)
    save_network(network, tmp_path / "n.safetensors")
    assert torch.equal(load_network(tmp_path / "n.safetensors")(EXAMPLE)[:, -1], module(EXAMPLE))
    assert name in repr(network)


class Autocast(user.Residual):
    def __init__(self, device: str, enabled: bool) -> None:
        super().__init__()
        self.device, self.enabled = device, enabled

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        with torch.autocast(self.device, enabled=self.enabled, dtype=torch.bfloat16):
            x = self.blocks(x)
            with torch.no_grad():
                scale = x.mean((1, 2, 3), keepdim=True)
        return self.head((x / scale).float().mean((2, 3)))


class Decorated(user.Residual):
    @torch.autocast("cpu", enabled=False)
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


@pytest.mark.filterwarnings("ignore:.*CUDA")
@pytest.mark.parametrize("make", [lambda: Autocast("cpu", False), lambda: Autocast("cuda", True), Decorated])
def test_blocks_without_gradients_and_under_autocast_that_does_nothing(make):
    module = make().eval()
    assert torch.equal(MultiExitNetwork.wrap(module, 1, example=EXAMPLE)(EXAMPLE)[:, -1], module(EXAMPLE))


class Normalising(user.Residual):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LocalResponseNorm(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.norm(F.relu(self.stem(x)))).mean((2, 3)))


def half(m: Tensor, y: Tensor) -> Tensor:
    m[:, :4] = 0
    return y * m


def corner(m: Tensor, y: Tensor) -> Tensor:
    m[1:3, 2:5] = 0.5
    m[0] *= 3
    return y * m


def filled(m: Tensor, y: Tensor) -> Tensor:
    return y * m.fill_(0.5)


def diagonal(m: Tensor, y: Tensor) -> Tensor:
    m.fill_diagonal_(0)
    return y * m


def places(m: Tensor, y: Tensor) -> Tensor:
    m[torch.tensor([1, 2]), torch.tensor([3, 3])] = 0
    return y * m


def triangle(m: Tensor, y: Tensor) -> Tensor:
    return y * m.masked_fill_(torch.ones(8, 8).triu(1).bool(), 0.0)


def channels(m: Tensor, y: Tensor) -> Tensor:
    y = y.clone()
    y[:, :4] = 0
    y[:, 5] += 1
    y[:, 6] = y[:, 7]
    return y * m


class Masked(user.Residual):
    def __init__(self, mask) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mask(torch.ones(8, 8), self.blocks(F.relu(self.stem(x)))).mean((2, 3)))


@pytest.mark.parametrize("mask", [half, corner, filled, diagonal, places, triangle, channels])
def test_masks_that_are_filled_and_parts_that_are_written(mask, tmp_path):
    module = Masked(mask).eval()
    network = MultiExitNetwork.wrap(module, ["blocks.1"], example=EXAMPLE)
    save_network(network, tmp_path / "n.safetensors")
    x = torch.rand(5, 1, 8, 8)
    assert torch.equal(load_network(tmp_path / "n.safetensors")(x)[:, -1], module(x))


def test_local_response_normalisation():
    module = Normalising().eval()
    assert torch.equal(MultiExitNetwork.wrap(module, 1, example=EXAMPLE)(EXAMPLE)[:, -1], module(EXAMPLE))


class MonteCarlo(user.Residual):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.dropout(self.blocks(F.relu(self.stem(x))), 0.2, training=True).mean((2, 3)))


class OneLogit(user.Residual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :1]


class ByLength(user.Residual):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)).view(len(x), -1))


class Uncopied(user.Residual):
    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle 'module' object")


def partly_scripted() -> nn.Module:
    module = user.Residual()
    module.blocks = torch.jit.script(nn.Sequential(nn.Conv2d(12, 12, 3), nn.ReLU()))
    return module


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: torch.jit.trace(user.Residual().eval(), EXAMPLE), "TorchScript .* wrap the module that it was made"),
        (partly_scripted, "its part 'blocks' is TorchScript"),
        (MonteCarlo, "Monte Carlo dropout"),
        (OneLogit, r"one logit for each image .* torch\.cat"),
        (ByLength, r"batches of 2 only: .* x\.shape\[0\] and not len"),
        (Uncopied, "cannot be copied: cannot pickle"),
        (lambda: Autocast("cpu", True), r"bfloat16 by torch\.autocast"),
        (user.Writing, "in place"),
    ],
)
def test_what_is_refused_says_why_and_what_to_do(make, said):
    with pytest.raises(ExitprintError, match=said) as caught:
        MultiExitNetwork.wrap(make().eval(), 1, example=EXAMPLE)
    assert "\n" not in str(caught.value)


def test_a_pruned_module_with_exits_of_its_own():
    module = user.Several().eval()
    prune.l1_unstructured(module.exit1[0], "weight", 0.5)
    prune.l1_unstructured(module.fc, "weight", 0.5)
    network = MultiExitNetwork.wrap(module, example=EXAMPLE)
    assert torch.equal(network(EXAMPLE), torch.stack(module(EXAMPLE), 1))
