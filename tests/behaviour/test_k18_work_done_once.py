"""No image goes through a network twice for two numbers that are printed of it."""

from __future__ import annotations

from collections import Counter

import pytest
from torch.nn.modules.module import register_module_forward_pre_hook

import user_modules as user
from exitprint.networks import MultiExitNetwork
from exitprint.training import evaluate, exit_accuracies, policy_accuracy

LITTLE = ("--data", "digits", "--limit", "200")
TESTED, CALIBRATED = 200, 20
TRAIN = ("train", "--arch", "resnet8", "--width", "4", "--epochs", "1", *LITTLE)


@pytest.fixture
def seen():
    """How often each image went through a whole network, every exit computed."""
    counted: Counter[bytes] = Counter()

    def count(module, inputs):
        if isinstance(module, MultiExitNetwork):
            counted.update(image.numpy().tobytes() for image in inputs[0])

    hook = register_module_forward_pre_hook(count)
    yield counted
    hook.remove()


COMMANDS = {
    "train": (TRAIN, TESTED + CALIBRATED),
    "train with a threshold": ((*TRAIN, "--threshold", "0.5"), TESTED + CALIBRATED),
    "train an MSDNet": (("train", "--arch", "msdnet", "--depth", "4", "--epochs", "1", *LITTLE), None),
    "wrap": (("wrap", f"{user.__file__}:residual", "--exits", "2", *LITTLE), None),
    "wrap with a threshold": (
        ("wrap", f"{user.__file__}:residual", "--exits", "2", "--threshold", "0.5", *LITTLE),
        None,
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_sends_test_images_through_once(run, tmp_path, digits, seen, name):
    words, number = COMMANDS[name]
    done = run(*words, "--out", tmp_path / "n.safetensors")
    assert done.code == 0, done.err
    tested = [image.numpy().tobytes() for image in digits.test.x]
    times = [seen[image] for image in tested if image in seen]
    assert len(times) == TESTED and max(times) <= 1 + (len(tested) - len(set(tested)))
    assert number is None or sum(seen.values()) == number


def test_tampering_sends_them_through_each_network_once(run, small_file, tmp_path, digits, seen):
    done = run(
        "tamper",
        small_file,
        "prune",
        "--set",
        "rate=0.2",
        *LITTLE,
        "--keep-policy",
        "--out",
        tmp_path / "n.safetensors",
    )
    assert done.code == 0, done.err
    tested = {image.numpy().tobytes() for image in digits.test.x}
    assert sum(times for image, times in seen.items() if image in tested) == 2 * TESTED


def test_one_pass_gives_every_number(target, digits, seen):
    found = evaluate(target, digits.test)
    assert sum(seen.values()) == len(digits.test)
    assert list(found.exit_accuracies) == exit_accuracies(target, digits.test)
    assert found.accuracy == policy_accuracy(target, digits.test)
    assert len(found.left) == target.num_exits and sum(found.left) == pytest.approx(1)
    leave = target.predict(digits.test.x)
    assert found.accuracy == pytest.approx(float((leave.labels == digits.test.labels).double().mean()), abs=0.004)
    assert found.left[0] == pytest.approx(float((leave.exits == 0).double().mean()), abs=0.004)
