"""The hostile server does what its table says, so that what is shown against it is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.suspects import KServeSuspect
from exitprint_studies.hostile import misbehaving, misbehaving_here
from exitprint_studies.hostile.operators import TROUBLES, Operator

X = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> MultiExitNetwork:
    arch = architecture("resnet", (1, 8, 8), 10, depth=8, width=2)
    return MultiExitNetwork.build(arch, seed=0, policy=ExitPolicy(0.2)).eval()


def delays(network: MultiExitNetwork, trouble: str, amount: float, spent: float = 0.0) -> np.ndarray:
    operator = Operator(network, trouble, amount, "probabilities", seed=0)
    return np.array([operator.delay(number, spent) for number in range(1, 20_001)])


def test_delays_are_as_large_as_announced(network: MultiExitNetwork) -> None:
    assert delays(network, "jitter", 5).std() == pytest.approx(0.005, rel=0.03)
    assert np.mean(delays(network, "jitter", 5) < 0) < 0.003
    uniform = delays(network, "uniform-delay", 20)
    assert uniform.min() >= 0 and 0.0199 < uniform.max() <= 0.02
    assert delays(network, "constant-time", 50, spent=0.02) == pytest.approx(0.03)
    assert delays(network, "slow-start", 3).tolist()[:5] == [1, 1, 1, 0, 0]
    assert not delays(network, "none", 0).any()


def test_the_heavy_tail_is_one(network: MultiExitNetwork) -> None:
    heavy = delays(network, "heavy-tail", 5)
    # a Pareto of shape 5/2: no noise of the same spread has such a narrow middle; its deviation converges slowly
    assert heavy.min() >= 0 and 0.003 < heavy.std() < 0.008
    assert heavy.max() > 20 * np.median(heavy)


def test_the_same_seed_makes_the_same_trouble(network: MultiExitNetwork) -> None:
    assert np.array_equal(delays(network, "jitter", 5), delays(network, "jitter", 5))


def test_constant_time_is_at_least_that(network: MultiExitNetwork) -> None:
    with misbehaving_here(network, "constant-time", 30) as url:
        suspect = KServeSuspect(url)
        assert all(suspect.ask(X[i : i + 1]).seconds[0] >= 0.03 for i in range(3))


def test_a_cache_computes_once(network: MultiExitNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator(network, "cache", 0, "probabilities", seed=0)
    first = operator.answer(X, 1)
    monkeypatch.setattr(operator, "network", None)
    assert operator.answer(X, 2) is first
    with pytest.raises(AttributeError):
        operator.answer(X[:1], 3)


@pytest.mark.parametrize(("trouble", "amount"), [("jpeg", 30), ("resize", 50)])
def test_images_are_altered_on_the_way(network: MultiExitNetwork, trouble: str, amount: float) -> None:
    honest = Operator(network, "none", 0, "probabilities", 0).answer(X, 1)[0][1]
    altered = Operator(network, trouble, amount, "probabilities", 0).answer(X, 1)[0][1]
    assert altered.shape == honest.shape and np.abs(altered - honest).max() > 1e-4


def test_other_clients_are_worked_for(network: MultiExitNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    predict = network.predict

    def counted(x: torch.Tensor) -> object:
        asked.append(len(x))
        return predict(x)

    monkeypatch.setattr(network, "predict", counted)
    with misbehaving_here(network, "load", 400) as url:
        suspect = KServeSuspect(url)
        while len(asked) < 5:
            suspect.ask(X[:2])
    assert 1 in asked


def test_it_runs_in_a_process_of_its_own_and_ends_by_itself(target_file: Path, target: MultiExitNetwork) -> None:
    with misbehaving(target_file, lifetime=2) as url:
        suspect = KServeSuspect(url, patience=1)
        answer = suspect.ask(X)
        assert answer.labels is not None and answer.labels.tolist() == target.predict(X).labels.tolist()
        with pytest.raises(ExitprintError, match="could not be asked"):
            for _ in range(100_000):
                suspect.ask(X)


def test_unknown_troubles_are_refused(target_file: Path) -> None:
    with pytest.raises(ExitprintError, match="constant-time"), misbehaving(target_file, "none at all"):
        pass
    assert all(trouble.does.format(amount=1) for trouble in TROUBLES.values())
