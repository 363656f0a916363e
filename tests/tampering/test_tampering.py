"""Every kind of tampering: the input stays, the result is a whole network, its history says what was done."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exitprint import tampering
from exitprint.data import ImageData
from exitprint.errors import ExitprintError, Interrupted
from exitprint.networks import ExitPolicy, MultiExitNetwork, load_network, save_network
from exitprint.networks.integer import IntegerLayer
from exitprint.tampering import KINDS, checked_parameters, parameter_model, pgd, tamper, tamper_in_steps, uses_seed
from exitprint.tampering.weights import backbone_weights, zero_smallest
from exitprint.training import exit_accuracies, policy_accuracy

HEADS = {"epochs": 3, "learning_rate": 5e-3, "batch": 128}
EXAMPLES: list[tuple[str, dict[str, Any], str]] = [
    ("retrain-exits", {"heads": HEADS}, "exits retrained"),
    ("remove-exits", {"every": 2}, "exits removed"),
    ("change-criterion", {"rad": 15, "criterion": "entropy"}, "calibrated"),
    ("change-criterion", {"threshold": 0.5}, "criterion changed"),
    ("finetune", {"epochs": 1, "share": 0.3, "heads": HEADS}, "finetuned"),
    ("prune", {"rate": 0.3, "heads": HEADS}, "pruned"),
    ("prune", {"rate": 0.1, "retrain_heads": False}, "pruned"),
    ("quantise", {"heads": HEADS}, "quantised"),
    ("quantise", {"retrain_heads": False, "rad": None}, "quantised"),
    ("adversarial", {"epochs": 1, "share": 0.2, "steps": 2, "heads": HEADS}, "adversarially trained"),
]


def state(network: MultiExitNetwork) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(("kind", "parameters", "step"), EXAMPLES)
def test_each_kind(
    kind: str, parameters: dict[str, Any], step: str, target: MultiExitNetwork, digits: ImageData, tmp_path: Path
) -> None:
    before, history = state(target), list(target.history)
    stolen = tamper(target, digits, kind, parameters, seed=3)
    assert same(state(target), before)
    assert target.history == history
    assert stolen.history[: len(history)] == history
    assert step in [entry["step"] for entry in stolen.history[len(history) :]]
    assert not stolen.training
    paths = [tmp_path / name for name in ("once", "twice")]
    save_network(stolen, paths[0])
    save_network(tamper(target, digits, kind, parameters, seed=3), paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    again = load_network(paths[0])
    assert again.history == stolen.history
    assert torch.equal(again.predict(digits.test.x).exits, stolen.predict(digits.test.x).exits)
    assert policy_accuracy(again, digits.test) > 0.5


def test_retrained_exits_sit_on_the_same_backbone(target: MultiExitNetwork, digits: ImageData) -> None:
    a = tampering.retrain_exits(target, digits, seed=1)
    b = tampering.retrain_exits(target, digits, seed=2)
    assert same(state(a.stages), state(target.stages))  # type: ignore[arg-type]
    assert torch.equal(a.heads[-1].linear.weight, target.heads[-1].linear.weight)  # type: ignore[union-attr]
    assert not torch.equal(a.heads[0].linear.weight, b.heads[0].linear.weight)  # type: ignore[union-attr]
    assert min(exit_accuracies(a, digits.test)) > 0.6


def test_a_share_of_the_data_gives_other_exits(target: MultiExitNetwork, digits: ImageData) -> None:
    part = tampering.retrain_exits(target, digits, share=0.1, seed=1)
    whole = tampering.retrain_exits(target, digits, seed=1)
    assert sum(exit_accuracies(part, digits.test)[:3]) < sum(exit_accuracies(whole, digits.test)[:3])
    with pytest.raises(ExitprintError, match="share"):
        tampering.retrain_exits(target, digits, share=0)


def test_removed_exits_are_gone_and_the_others_as_before(target: MultiExitNetwork, digits: ImageData) -> None:
    mine = target.copy()
    mine.policy = ExitPolicy([0.1 * i for i in range(1, target.num_exits)])
    x = digits.test.x[:10]
    left = tampering.remove_exits(mine, digits, which=[0, 3], rad=None)
    kept = [exit for exit in range(target.num_exits) if exit not in (0, 3)]
    assert left.exit_stages == tuple(target.exit_stages[exit] for exit in kept)
    assert left.policy.thresholds == tuple(mine.policy.thresholds[exit] for exit in kept[:-1])
    assert left.architecture and left.architecture.exits == left.exit_stages[:-1]
    with torch.no_grad():
        assert torch.equal(left(x), target(x)[:, kept])


def test_every_second_exit_is_removed(target: MultiExitNetwork, digits: ImageData) -> None:
    assert tampering.remove_exits(target, digits, every=2).exit_stages == (*target.exit_stages[:-1:2], 6)


def test_all_exits_can_be_removed(target: MultiExitNetwork, digits: ImageData) -> None:
    assert tampering.remove_exits(target, digits, every=1, rad=None).num_exits == 1


def test_exits_can_be_added_where_there_is_none(target: MultiExitNetwork, digits: ImageData) -> None:
    with pytest.raises(ExitprintError, match="remove some exits first"):
        tampering.add_exits(target, digits)
    fewer = tampering.remove_exits(target, digits, which=[1, 2, 4])
    with pytest.raises(ExitprintError, match="after stages 1, 2, 4"):
        tampering.add_exits(fewer, digits, stages=[0])
    one = tampering.add_exits(fewer, digits, stages=[2], seed=1, rad=None)
    assert one.exit_stages == (0, 2, 3, 5, 6)
    assert one.policy.thresholds[1] > 1
    full = tampering.add_exits(fewer, digits, seed=1)
    assert full.exit_stages == target.exit_stages
    x = digits.test.x[:10]
    with torch.no_grad():
        assert torch.equal(full(x)[:, [0, 3, 5, 6]], fewer(x))
    assert exit_accuracies(full, digits.test)[4] > 0.6


def test_a_lower_threshold_lets_inputs_leave_earlier(target: MultiExitNetwork, digits: ImageData) -> None:
    x = digits.test.x
    low = tampering.change_criterion(target, digits, threshold=0.3)
    assert low.predict(x).exits.float().mean() < target.predict(x).exits.float().mean()
    strict, lax = (tampering.change_criterion(target, digits, rad=rad) for rad in (1, 15))
    assert lax.policy.thresholds <= strict.policy.thresholds
    for wrong in ({}, {"rad": 5, "threshold": 0.5}):
        with pytest.raises(ExitprintError, match="either a RAD or a threshold"):
            tampering.change_criterion(target, digits, **wrong)


@given(
    st.lists(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=8), min_size=1, max_size=4),
    st.floats(0.01, 0.99),
)
def test_pruning_zeroes_exactly_the_smallest(numbers: list[list[float]], rate: float) -> None:
    before = [torch.tensor(row) for row in numbers]
    after = [row.clone() for row in before]
    zero_smallest(after, rate)
    gone = torch.cat([(a == 0) & (b != 0) for a, b in zip(after, before, strict=True)])
    flat, left = torch.cat(before), torch.cat(after)
    count = round(rate * len(flat))
    assert int((left == 0).sum()) == max(count, int((flat == 0).sum()))
    assert torch.equal(left[~gone], flat[~gone])
    if gone.any() and (left != 0).any():
        assert flat[gone].abs().max() <= left[left != 0].abs().min()


def test_pruning_leaves_normalisation_and_biases_alone(target: MultiExitNetwork, digits: ImageData) -> None:
    pruned = tampering.prune(target, digits, rate=0.4, retrain_heads=False)
    zeros = sum(int((w == 0).sum()) for w in backbone_weights(pruned))
    assert zeros == round(0.4 * sum(w.numel() for w in backbone_weights(pruned)))
    weights = {id(w) for w in backbone_weights(pruned)}
    for (_, mine), (_, theirs) in zip(pruned.named_parameters(), target.named_parameters(), strict=True):
        assert id(mine) in weights or torch.equal(mine, theirs)
    for rate in (0, 1):
        with pytest.raises(ExitprintError, match="pruning rate"):
            tampering.prune(target, digits, rate=rate)


def test_a_quantised_copy_is_integer_in_backbone_and_exits(target: MultiExitNetwork, digits: ImageData) -> None:
    rounded = tampering.quantise(target, digits, seed=1)
    float_layers = [m for m in rounded.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert not float_layers and any(isinstance(m, IntegerLayer) for m in rounded.heads[0].modules())
    retrained = tampering.retrain_exits(rounded, digits, seed=2)
    assert any(isinstance(m, IntegerLayer) for m in retrained.heads[0].modules())
    assert policy_accuracy(retrained, digits.test) > 0.9 * policy_accuracy(target, digits.test)
    for change in (tampering.quantise, tampering.finetune, lambda n, d: tampering.prune(n, d, rate=0.1)):
        with pytest.raises(ExitprintError, match="8-bit integers already"):
            change(rounded, digits)


def test_a_saved_series_can_be_taken_up_again(target: MultiExitNetwork, digits: ImageData) -> None:
    numbers, series = zip(*tamper_in_steps(target, digits, "finetune", {"share": 0.3, "epochs": 6}, 2, 5), strict=True)
    assert numbers == (2, 4, 6)
    taken_up = tampering.finetune(series[1], digits, epochs=2, share=0.3, seed=5)
    assert same(state(taken_up), state(series[2]))
    assert [e["epochs"] for e in series[2].history if e["step"] == "finetuned"] == [2, 2, 2]
    assert not same(state(series[0].stages), state(series[1].stages))  # type: ignore[arg-type]
    fresh = tampering.finetune(series[1], digits, epochs=2, share=0.3, seed=6)
    assert not same(state(fresh.stages), state(taken_up.stages))  # type: ignore[arg-type]
    with pytest.raises(ExitprintError, match="multiple"):
        next(tamper_in_steps(target, digits, "finetune", {"epochs": 5}, 2))


def test_pgd_stays_in_its_ball_and_raises_the_loss(target: MultiExitNetwork, digits: ImageData) -> None:
    x, labels = digits.test.x[:64], digits.test.labels[:64]
    moved = pgd(target, x, labels, 0.1, 10, torch.Generator().manual_seed(0))
    assert (moved - x).abs().max() <= 0.1 + 1e-6 and moved.min() >= 0 and moved.max() <= 1
    loss = torch.nn.functional.cross_entropy
    with torch.no_grad():
        assert loss(target(moved)[:, -1], labels) > 2 * loss(target(x)[:, -1], labels)


def test_adversarial_training_makes_robust(target: MultiExitNetwork, digits: ImageData) -> None:
    x, labels = digits.test.x[:200], digits.test.labels[:200]

    def robust(network: MultiExitNetwork) -> float:
        moved = pgd(network, x, labels, 0.15, 10, torch.Generator().manual_seed(0))
        with torch.no_grad():
            return float((network(moved)[:, -1].argmax(1) == labels).float().mean())

    options: dict[str, Any] = {"epochs": 2, "retrain_heads": False, "rad": None, "seed": 1}
    hardened = tampering.adversarial_training(target, digits, epsilon=0.15, steps=3, **options)
    assert robust(hardened) > robust(tampering.finetune(target, digits, **options)) + 0.1
    with pytest.raises(ExitprintError, match="PGD needs"):
        tampering.adversarial_training(target, digits, epsilon=0)


@pytest.mark.parametrize(("kind", "parameters"), [(k, p) for k, p, _ in EXAMPLES if p.get("rad", 5) is not None])
def test_ctrl_c_is_one_sentence(
    kind: str, parameters: dict[str, Any], target: MultiExitNetwork, digits: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    for place in ("rebuild.calibrated_policy", "rebuild.train_heads", "further.final_logits"):
        monkeypatch.setattr(f"exitprint.tampering.{place}", stop)
    monkeypatch.setattr(MultiExitNetwork, "record", stop)
    with pytest.raises(Interrupted, match="no network was written"):
        tamper(target, digits, kind, parameters)


def test_parameters_have_one_plain_form() -> None:
    assert checked_parameters("prune", {"rate": "0.2", "rad": 5}) == {"rate": 0.2}
    assert checked_parameters("retrain-exits", {"heads": HEADS}) == {"heads": HEADS}
    assert [kind for kind in KINDS if not uses_seed(kind)] == ["remove-exits", "change-criterion"]
    assert "seed" not in itertools.chain(*(parameter_model(kind).model_fields for kind in KINDS))


@pytest.mark.parametrize(
    ("kind", "parameters", "sentence"),
    [
        ("prune", {}, "rate: field required"),
        ("prune", {"rate": "much"}, "valid number"),
        ("prune", {"rate": 0.1, "seed": 1}, "seed: extra inputs"),
        ("melt", {}, "unknown kind of tampering 'melt'"),
        ("change-criterion", {"criterion": "mood"}, "criterion"),
        ("remove-exits", {"every": 99}, "from 1 to 6"),
        ("remove-exits", {"which": [9]}, "cannot be removed"),
        ("remove-exits", {}, "which exits to remove"),
        ("finetune", {"epochs": 0}, "above 0"),
    ],
)
def test_wrong_parameters_are_one_sentence(
    kind: str, parameters: dict[str, Any], sentence: str, target: MultiExitNetwork, digits: ImageData
) -> None:
    with pytest.raises(ExitprintError, match=sentence):
        tamper(target, digits, kind, parameters)


@pytest.fixture(autouse=True)
def _unchanged(target: MultiExitNetwork) -> Callable[[], None]:
    before = state(target)
    yield
    assert same(state(target), before)
