"""A network in this process: its time is that of all its work, on a device that answers late too."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from exitprint.networks import Prediction
from exitprint.suspects import InProcess, in_process

X = torch.rand(1, 1, 8, 8)


@dataclass
class Device:
    """A device with a queue, and its clock: calls return at once, work is done when it is waited for."""

    now: float = 0.0
    queued: float = 0.0
    waited: list[torch.device] = field(default_factory=list)

    def synchronize(self, device: torch.device) -> None:
        self.waited.append(device)
        self.now += self.queued
        self.queued = 0.0


class Late:
    """A network whose single input takes the device `seconds` after `predict` has returned."""

    num_exits = 2

    def __init__(self, device: Device, seconds: float, on: str = "meta") -> None:
        self.device, self.seconds, self.mean = device, seconds, torch.zeros(1, device=on)

    def eval(self) -> Late:
        return self

    def predict(self, x: Tensor) -> Prediction:
        self.device.queued += self.seconds
        nothing = torch.zeros(len(x), dtype=torch.long)
        return Prediction(nothing, torch.full((len(x), 2), 0.5), nothing)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    device = Device()
    monkeypatch.setattr(torch.accelerator, "synchronize", device.synchronize)
    monkeypatch.setattr(in_process, "perf_counter", lambda: device.now)
    return device


@pytest.mark.parametrize("seconds", [0.001, 0.25])
def test_the_last_stage_is_waited_for(device: Device, seconds: float) -> None:
    answer = InProcess(Late(device, seconds)).ask(X)  # type: ignore[arg-type]
    assert answer.seconds.tolist() == [seconds] and answer.clock == "measured"
    assert {each.type for each in device.waited} == {"meta"}


def test_work_of_others_is_not_counted(device: Device) -> None:
    device.queued = 5.0
    assert InProcess(Late(device, 0.25)).ask(X).seconds.tolist() == [0.25]  # type: ignore[arg-type]


def test_a_cpu_is_not_waited_for(device: Device) -> None:
    assert InProcess(Late(device, 0.25, on="cpu")).ask(X).seconds.tolist() == [0.0]  # type: ignore[arg-type]
    assert device.waited == []
