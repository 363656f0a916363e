"""A network of which only a function is known: crafted for as any other, refused where stages are needed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import user_modules as user
from exitprint.errors import ExitprintError
from exitprint.fingerprints import contrast_fingerprint
from exitprint.networks import ExitPolicy
from exitprint.networks.onnx_export import onnx_graph
from exitprint.networks.unstaged import Unstaged
from exitprint.suspects import CostModel, InProcess
from exitprint.tampering import finetune, prune, retrain_exits
from exitprint.training import calibrated_policy

EXAMPLE = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Uncapturable(user.Several):
    """What it computes depends on the data, and so it cannot be captured."""

    def forward(self, x):
        logits, _ = self.exits(x)
        return [each * (2 if float(x.amax()) > 9 else 1) for each in logits]


@pytest.mark.parametrize(
    "form", ["a list", "a stack (exits, batch, classes)", "a stack (batch, exits, classes)", "beside features"]
)
def test_every_exits_logits_are_taken_out_of_any_form(form):
    torch.manual_seed(0)
    module = user.answering(user.FORMS[form]).eval()
    for function in (module, lambda x: module(x)):
        network = Unstaged(function, EXAMPLE)
        assert torch.equal(network(EXAMPLE), torch.stack(module.exits(EXAMPLE)[0], 1))
        assert (network.num_exits, network.classes) == (3, 10)


def test_a_contrast_is_crafted_and_its_goals_are_met(trained_several, digits):
    seen = []

    def function(x):
        seen.append(len(x))
        return trained_several((x - 0.3) / 0.4)

    network = Unstaged(function, EXAMPLE)
    policy = calibrated_policy(network, digits.calibration, 3)
    try:
        made = contrast_fingerprint(function, digits.test, [policy], samples=10, check=False)
    except ExitprintError as refused:
        assert "would have to change" in str(refused)
    else:
        exits = policy.exits(network(made.x).detach())
        assert (exits[made.late] > exits[~made.late].float().mean()).float().mean() > 0.8
    assert len(seen) > 20


@pytest.fixture(scope="module")
def trained_several(digits):
    torch.manual_seed(0)
    module = Uncapturable().train()
    optimiser = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(6):
        for batch in torch.randperm(len(digits.train)).split(64):
            answers, labels = module((digits.train[batch].x - 0.3) / 0.4), digits.train.labels[batch]
            loss = sum(nn.functional.cross_entropy(each, labels) for each in answers)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return module.eval()


def test_what_needs_stages_says_so(digits):
    network = Unstaged(user.Several().eval(), EXAMPLE)
    network.policy = ExitPolicy(0.9)
    for needing in (
        lambda: network.predict(EXAMPLE),
        lambda: InProcess(network).ask(EXAMPLE[:1]),
        lambda: CostModel(network).ask(EXAMPLE[:1]),
        lambda: onnx_graph(network),
        lambda: retrain_exits(network, digits),
        lambda: prune(network, digits, rate=0.2),
        lambda: finetune(network, digits, epochs=1),
    ):
        with pytest.raises(ExitprintError, match="serving, tampering, timing and ONNX need stages"):
            needing()


def undifferentiable(x):
    with torch.no_grad():
        return user.Several().eval()(x)


class Drawing(user.Several):
    def forward(self, x):
        return [each + torch.rand(1) for each in self.exits(x)[0]]


class Together(user.Several):
    def forward(self, x):
        return [each - each.mean(0) for each in self.exits(x)[0]]


class Constant(user.Several):
    def forward(self, x):
        return [torch.ones(len(x), 10), *self.exits(x)[0]]


def broken(x):
    raise ValueError("no such layer")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (undifferentiable, "no gradient"),
        (Drawing().eval(), "draws at random"),
        (Together().eval(), "depends on the others"),
        (Constant().eval(), "does not depend on the image"),
        (broken, "ValueError: no such layer"),
        (lambda x: "cat", "returns a str"),
        (lambda x: user.Several().eval()(x)[0], "one exit's logits"),
        (lambda x: [each.half() for each in user.Several().eval()(x)], "float16"),
        (7, "not a int"),
    ],
)
def test_functions_that_cannot_be_crafted_for_are_refused_in_a_sentence(function, said, digits):
    with pytest.raises(ExitprintError, match=said):
        contrast_fingerprint(function, digits.test, [ExitPolicy(0.5)], samples=4)
