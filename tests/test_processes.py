"""Jobs in processes of their own."""

from __future__ import annotations

import os

import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.processes import processes, processors


def number_of_process_and_threads() -> tuple[int, int]:
    return os.getpid(), torch.get_num_threads()


def test_several_processes_have_one_thread_each_and_are_gone_afterwards():
    with processes(2) as pool:
        number, threads = pool.submit(number_of_process_and_threads).result()
    assert number != os.getpid() and threads == 1
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_one_job_is_done_here():
    with processes(1) as pool:
        assert pool.submit(number_of_process_and_threads).result() == (os.getpid(), 1)


def test_a_process_that_is_killed_is_a_sentence():
    with pytest.raises(ExitprintError, match="was killed"), processes(2) as pool:
        pool.submit(os._exit, 9).result()


def test_no_process_is_refused():
    with pytest.raises(ExitprintError, match="must be positive"), processes(0):
        pass


def test_there_is_a_processor():
    assert 1 <= processors() <= (os.cpu_count() or 1)
