"""Suspects in this process: a network timed by the wall clock or by a cost model."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork, Prediction, exit_flops
from exitprint.suspects.suspect import Clock, Closing, TimedAnswer
from exitprint.threads import single_thread

FLOPS_PER_SECOND = 1e9
"""Speed of the cost model's machine. Verdicts do not depend on it."""


class InProcess(Closing):
    """A network in this process, timed by the wall clock on one thread.

    Parameters
    ----------
    network
        The suspicious network. Nothing but `ask` reaches it afterwards.

    Raises
    ------
    ExitprintError
        If it has one exit only.
    """

    def __init__(self, network: MultiExitNetwork) -> None:
        self._network = _with_exits(network)

    def ask(self, x: Tensor) -> TimedAnswer:
        """Answer and say how long it took, all inputs of the batch together.

        On an accelerator the clock starts when earlier work and the images have arrived there, and stops when the
        network's last operator is done.
        """
        device = self._network.mean.device
        x = x.to(device)
        with single_thread():
            _wait_for(device)
            start = perf_counter()
            prediction = self._network.predict(x)
            _wait_for(device)
            seconds = perf_counter() - start
        return _answer(prediction, np.full(len(x), seconds), "measured")


class CostModel(Closing):
    """A network in this process whose clock is computed: FLOPs up to the exit taken, at 1 GFLOP/s.

    The clock is the same on every machine and in every run, for tests and for studies of many networks.
    """

    def __init__(self, network: MultiExitNetwork) -> None:
        self._network = _with_exits(network)
        self._seconds = np.array(exit_flops(network), dtype=np.float64) / FLOPS_PER_SECOND

    def ask(self, x: Tensor) -> TimedAnswer:
        """Answer and say how long each input would have taken."""
        prediction = self._network.predict(x.to(self._network.mean.device))
        return _answer(prediction, self._seconds[prediction.exits.cpu().numpy()], "cost-model")


def _wait_for(device: torch.device) -> None:
    """Wait until the device has done what it was given; a CPU has when the call returns."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _with_exits(network: MultiExitNetwork) -> MultiExitNetwork:
    if network.num_exits < 2:
        raise ExitprintError(
            "this suspect has one exit only, so its inference time says nothing about the input: "
            "only multi-exit networks can be verified by time."
        )
    return network.eval()


def _answer(prediction: Prediction, seconds: np.ndarray, clock: Clock) -> TimedAnswer:
    probabilities = prediction.probabilities.float().cpu().numpy()
    return TimedAnswer(seconds, clock, prediction.labels.cpu().numpy(), probabilities)
