"""A module that has exits already keeps them: each answers as it did, and the stages between them really stop."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import user_modules as user
from exitprint.errors import ExitprintError
from exitprint.networks import ExitHead, ExitPolicy, MultiExitNetwork, exit_costs, load_network, save_network

EXAMPLE = torch.rand(2, 1, 12, 8, generator=torch.Generator().manual_seed(0))


def made(form, channels=1):
    torch.manual_seed(0)
    module = user.answering(form, channels).eval()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.1, 0.1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    return module


def logits_of(module, x):
    return torch.stack(module.exits(x)[0], 1).detach()


@pytest.mark.parametrize("form", user.FORMS)
def test_every_exit_answers_as_it_did_whatever_form_the_answer_has(form, tmp_path):
    module = made(user.FORMS[form])
    before = copy.deepcopy(module.state_dict())
    network = MultiExitNetwork.wrap(module, example=EXAMPLE, mean=[0.4], std=[0.3])
    assert network.num_exits == 3 and not any(isinstance(head, ExitHead) for head in network.heads)
    save_network(network, tmp_path / "n.safetensors")
    for each in (network, load_network(tmp_path / "n.safetensors"), network.copy()):
        for images in (1, 2, 5):
            x = torch.rand(images, 1, 12, 8)
            assert torch.equal(each(x), logits_of(module, (x - 0.4) / 0.3))
    assert all(torch.equal(a, b) for a, b in zip(before.values(), module.state_dict().values(), strict=True))
    costs = exit_costs(network)
    assert 0 < costs[0] < costs[1] < costs[2] == 1


@pytest.mark.parametrize(
    ("form", "taken"),
    [
        ("a list", None),
        ("beside features", "[0]"),
        ("behind features", "[1]"),
        ("beside certainties", "[0]"),
        ("beside probabilities", "[1]"),
        ("a named tuple", ".outputs"),
        ("an object with a sequence", ".logits"),
        ("a dictionary with a sequence", "['logits']"),
    ],
)
def test_the_history_says_which_part_of_the_answer_is_taken(form, taken):
    network = MultiExitNetwork.wrap(made(user.FORMS[form]), example=EXAMPLE)
    assert network.history[0].get("of its answer") == taken
    assert network.history[0]["exits of its own"] == [0, 1, 2]


def test_predict_stops_where_an_image_leaves_and_says_what_that_exit_says():
    module = made(user.FORMS["a list"])
    network = MultiExitNetwork.wrap(module, example=EXAMPLE)
    ran = []
    for index, stage in enumerate(network.stages):
        stage.register_forward_hook(lambda m, i, o, index=index: ran.append(index))
    x = torch.rand(1, 1, 12, 8)
    for exit, thresholds in enumerate([(0.0, 2.0), (2.0, 0.0), (2.0, 2.0)]):
        network.policy = ExitPolicy(thresholds)
        ran.clear()
        said = network.predict(x)
        assert ran == list(range(exit + 1)) and said.exits.tolist() == [exit]
        assert torch.equal(said.probabilities, logits_of(module, x)[:, exit].softmax(1))


def test_answers_that_are_probabilities_are_cut_before_their_softmax():
    for form in (
        lambda logits, features: [each.softmax(1) for each in logits],
        lambda logits, features: torch.stack(logits).softmax(-1),
        lambda logits, features: torch.stack([each.softmax(-1) for each in logits], 1),
    ):
        module = made(form)
        assert torch.equal(MultiExitNetwork.wrap(module, example=EXAMPLE)(EXAMPLE), logits_of(module, EXAMPLE))


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 32, 32), (4, 24, 40), (3, 224, 224)])
def test_images_of_other_sizes_and_channels(channels, height, width):
    module = made(user.FORMS["a list"], channels)
    x = torch.rand(2, channels, height, width)
    network = MultiExitNetwork.wrap(module, example=x)
    assert torch.equal(network(x), logits_of(module, x)) and network.input_shape == (channels, height, width)


@pytest.mark.parametrize("exits", [["middle.0"], 2])
def test_new_exits_stand_beside_its_own(exits, tmp_path):
    module = made(user.FORMS["a list"])
    network = MultiExitNetwork.wrap(module, exits, example=EXAMPLE)
    own = network.history[0]["exits of its own"]
    new = [e for e in range(network.num_exits) if e not in own]
    assert len(own) == 3 and len(new) == (2 if exits == 2 else 1)
    assert all(isinstance(network.heads[exit], ExitHead) for exit in new)
    assert torch.equal(network(EXAMPLE)[:, own], logits_of(module, EXAMPLE))
    save_network(network, tmp_path / "n.safetensors")
    assert torch.equal(load_network(tmp_path / "n.safetensors")(EXAMPLE), network(EXAMPLE))


class Cascade(user.Several):
    """Each exit says the mean of what all exits so far say, and all have one classifier."""

    def __init__(self):
        super().__init__()
        self.widen = nn.Conv2d(8, 16, 1)

    def exits(self, x):
        low = self.stem(x)
        middle = self.middle(low)
        first = self.fc(self.widen(low).mean((2, 3)))
        second = (first + self.fc(middle.mean((2, 3)))) / 2
        return [first, second, (first + second + self.fc(self.top(middle).mean((2, 3)))) / 3], []


def test_exits_that_build_on_each_other_and_share_a_classifier(tmp_path):
    module = Cascade().eval()
    network = MultiExitNetwork.wrap(module, example=EXAMPLE)
    save_network(network, tmp_path / "n.safetensors")
    for each in (network, load_network(tmp_path / "n.safetensors")):
        assert torch.equal(each(EXAMPLE), logits_of(module, EXAMPLE))
    assert sum(p.numel() for p in network.parameters()) == sum(
        p.numel() for name, p in module.named_parameters() if "exit" not in name
    )


class Wide(user.Several):
    """Scales beside each other, as in an MSDNet: a head takes one or several, the next stage all."""

    def exits(self, x):
        fine = self.stem(x)
        coarse = self.middle(fine)
        first = self.fc(coarse.mean((2, 3)) + fine.mean((2, 3)).repeat(1, 2))
        low = self.top(coarse) + coarse[:, :, ::2, ::2]
        return [first, self.exit2(low), self.fc(low.amax((2, 3)) * x.mean((1, 2, 3))[:, None])], []


def test_a_head_may_need_several_tensors_and_a_later_stage_the_image_itself():
    module = Wide().eval()
    network = MultiExitNetwork.wrap(module, example=EXAMPLE)
    x = torch.rand(5, 1, 12, 8)
    assert torch.equal(network(x), logits_of(module, x))
    network.policy = ExitPolicy([float(network.policy.certainty(network(x))[:, 0].detach().median()), 2.0])
    said = network.predict(x)
    assert 0 < int((said.exits == 0).sum()) < 5
    assert torch.equal(said.exits, network.policy.exits(network(x)))


@pytest.mark.parametrize(
    ("cls", "given"),
    [
        (user.Hurried, {"method": "forward_all"}),
        (user.Hurried, {"settings": {"fast_inference_mode": False}}),
        (user.InTraining, {"settings": {"training": True}}),
    ],
)
def test_the_form_that_computes_every_exit_is_reached(cls, given):
    module = cls().eval()
    network = MultiExitNetwork.wrap(module, example=EXAMPLE, **given)
    assert torch.equal(network(EXAMPLE), logits_of(module, EXAMPLE))
    assert getattr(module, "fast_inference_mode", True) and not module.training


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, r"as training uses it \(here perhaps --set fast_inference_mode=False, --method forward_all\)"),
        ({"method": "forward_every"}, "no method 'forward_every': it has forward_all"),
        (
            {"settings": {"fast_inference": False}},
            "no setting 'fast_inference'; of its switches it has fast_",
        ),
    ],
)
def test_what_cannot_be_captured_says_which_form_can(given, said):
    with pytest.raises(ExitprintError, match=said):
        MultiExitNetwork.wrap(user.Hurried().eval(), example=EXAMPLE, **given)


class Constant(user.Several):
    def forward(self, x):
        return [torch.zeros(x.shape[0], 10) + self.fc.bias, *self.exits(x)[0]]


class OtherClasses(user.Several):
    def forward(self, x):
        logits, _ = self.exits(x)
        return [logits[0][:, :5], *logits[1:]]


class Half(user.Several):
    def forward(self, x):
        return [each.half() for each in self.exits(x)[0]]


class Together(user.Several):
    def forward(self, x):
        _, features = self.exits(x)
        return self.fc(torch.stack([features[1], features[2]], 1))


class OneLogit(user.Several):
    def forward(self, x):
        return [each[:, :1] for each in self.exits(x)[0]]


class Text(user.Several):
    def forward(self, x):
        return ["cat", self.exits(x)[0][0].argmax(1)]


class SequenceFirst(user.Several):
    def forward(self, x):
        tokens = self.stem(x).flatten(2).permute(2, 0, 1)
        return [self.fc(tokens[:2].flatten(2).mean(0).repeat(1, 2)), self.fc(tokens.mean(0).repeat(1, 2) + 1)]


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Constant, r"the answer \[0\] of this module does not depend on the image"),
        (OtherClasses, r"tell other classes: \[1\] answers 10 and \[0\] 5"),
        (Half, r"answers in float16 at \[0\]"),
        (Together, "computed in one go"),
        (OneLogit, "one logit for each image"),
        (Text, "returns a list where logits"),
        (SequenceFirst, "no batch in front"),
    ],
)
def test_exits_that_cannot_be_kept_are_refused_in_a_sentence(cls, said):
    with pytest.raises(ExitprintError, match=said):
        MultiExitNetwork.wrap(cls().eval(), example=EXAMPLE)


@pytest.mark.parametrize("name", ["exit1", "exit1.0", "stem", "fc"])
def test_a_new_exit_where_one_of_its_own_is(name):
    with pytest.raises(ExitprintError, match="own"):
        MultiExitNetwork.wrap(made(user.FORMS["a list"]), [name], example=EXAMPLE)
