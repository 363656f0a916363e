"""Policies where RAD says nothing: it is said that all images leave at one exit, and other policies are found."""

from __future__ import annotations

import pytest
import torch

import user_modules as user
from exitprint.networks import ExitPolicy, save_network
from exitprint.training import all_logits, has_room, leaving_policy, policy_with_room

DIGITS = ("--data", "digits")
FIRST = "100% of the images leave at the first exit"


@pytest.fixture
def at_once(target, tmp_path):
    """A network of which every image leaves at the first exit."""
    network = target.copy()
    network.policy = ExitPolicy(0.0)
    save_network(network, tmp_path / "n.safetensors")
    return tmp_path / "n.safetensors"


def test_train_and_wrap_say_that_all_images_leave_at_the_first_exit(run, tmp_path):
    little = (*DIGITS, "--limit", 300, "--threshold", 0.0, "--out")
    done = run("train", "--arch", "resnet8", "--width", 4, "--epochs", 1, *little, tmp_path / "n.safetensors")
    assert done.code == 0 and FIRST in done.out and "higher --threshold" in done.out
    done = run("wrap", f"{user.__file__}:residual", "--exits", 2, *little, tmp_path / "w.safetensors")
    assert done.code == 0 and FIRST in done.out and "higher --threshold" in done.out


def test_the_papers_kind_is_made_for_another_policy_and_says_so(run, at_once, tmp_path):
    words = ("--kind", "paper", "--samples", 20, "--out", tmp_path / "f.safetensors")
    done = run("fingerprint", at_once, *DIGITS, "--quick", *words)
    assert done.code == 0, done.err
    assert "T_c = 0.000 every image leaves at one exit" in done.out
    (T_c,) = set(run("info", tmp_path / "f.safetensors", "--json").json["record"]["policy"]["thresholds"])
    assert 0.1 < T_c < 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--leave", 0), "between 0 and 1"),
        (("--leave", 1), "between 0 and 1"),
        (("--leave", -0.2), "between 0 and 1"),
        (("--kind", "paper", "--threshold", 0.05), "--leave 0.4"),
        (("--kind", "paper", "--rad", 15), "--leave 0.4"),
    ],
)
def test_a_policy_that_leaves_no_room_is_refused_with_a_way_out(run, at_once, tmp_path, words, said):
    done = run("fingerprint", at_once, *DIGITS, "--quick", *words, "--samples", 20, "--out", tmp_path / "f.safetensors")
    assert done.code == 2 and said in done.err and "smaller RAD" not in done.err
    assert not (tmp_path / "f.safetensors").exists()


@pytest.mark.parametrize("rad", [0, 5, 15])
def test_a_policy_with_room_takes_the_place_of_a_rad(target, digits, rad):
    logits = all_logits(target, digits.test)
    policy = policy_with_room(target, digits.calibration, rad, 0.5)
    assert has_room(policy, logits)
    assert policy == leaving_policy(target, digits.calibration, 0.5)


def test_room_is_that_no_exit_takes_more_than_nine_in_ten():
    sure = torch.tensor([[5.0, 0.0]] * 91 + [[0.0, 0.0]] * 9)
    logits = torch.stack([sure, sure], 1)
    assert not has_room(ExitPolicy(0.9), logits)
    assert has_room(ExitPolicy(0.9), logits[10:])
