"""A suspect over gRPC, behind real servers in other processes."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from scripted import Model, hosted

from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture, save_network
from exitprint.suspects import BudgetSpent, KServeSuspect, Metered, WithFloor, open_suspect

sys.path.insert(0, str(Path(__file__).parent / "servers"))
from starting import started

X = torch.randint(0, 256, (6, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 255


@pytest.fixture(scope="module")
def network() -> MultiExitNetwork:
    arch = architecture("resnet", (1, 8, 8), 10, depth=8, width=2)
    return MultiExitNetwork.build(arch, seed=0, policy=ExitPolicy(0.2)).eval()


@pytest.fixture(scope="module")
def file(network: MultiExitNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    save_network(network, path)
    return path


@pytest.fixture(scope="module")
def servers(file: Path) -> Iterator[list[str]]:
    with started("over_grpc.py", file) as addresses:
        yield addresses


@pytest.fixture
def url(servers: list[str]) -> str:
    return f"{servers[0]}/team/network"


def test_it_answers_as_the_network_and_counts_what_it_costs(network: MultiExitNetwork, url: str) -> None:
    expected = network.predict(X)
    with open_suspect(url, amplification=2) as suspect:
        assert isinstance(suspect, Metered) and isinstance(suspect, WithFloor)
        before = suspect.requests, suspect.bytes_sent
        answer = suspect.ask(X)
        assert suspect.requests == before[0] + 1 and suspect.bytes_sent - before[1] > 2 * X.numel() * 4
        assert suspect.bytes_received > 0 and suspect.floor() > 0
    assert answer.labels.tolist() == expected.labels.tolist() and answer.clock == "measured"
    assert np.allclose(answer.probabilities, expected.probabilities.numpy(), atol=1e-5)
    assert (answer.seconds > 0).all() and answer.seconds.shape == (6,)


@pytest.mark.parametrize("name", ["uint8", "fp16", "flat-fp64", "bytes", "bytes-2d", "contents", "single"])
def test_inputs_and_answers_of_every_form(network: MultiExitNetwork, servers: list[str], name: str) -> None:
    with open_suspect(f"{servers[0]}/{name}") as suspect:
        assert suspect.ask(X).labels.tolist() == network.predict(X).labels.tolist()


def test_where_nothing_is_described_the_user_says_it(network: MultiExitNetwork, servers: list[str]) -> None:
    with pytest.raises(ExitprintError, match="--input-name"):
        open_suspect(f"{servers[0]}/silent")
    with open_suspect(f"{servers[0]}/silent", input_name="images", input_shape=(-1, 1, 8, 8)) as suspect:
        assert suspect.ask(X).labels.tolist() == network.predict(X).labels.tolist()


def test_the_servers_own_clock_is_another_clock(url: str) -> None:
    with open_suspect(url, server_clock="statistics") as suspect:
        answer = suspect.ask(X[:1])
    assert answer.clock == "server-reported" and 0 < answer.seconds[0] < 1
    with pytest.raises(ExitprintError, match="statistics"):
        open_suspect(url, server_clock="server-timing")


def test_a_budget_and_a_rate_are_kept(url: str) -> None:
    with open_suspect(url, budget=3) as suspect, pytest.raises(BudgetSpent):
        for _ in range(3):
            suspect.ask(X[:1])


def test_too_often_slows_down_and_is_not_timed(servers: list[str]) -> None:
    with open_suspect(f"{servers[0]}/busy") as suspect:
        assert suspect.ask(X[:1]).seconds is None and suspect.pace.interval > 0
        assert np.isfinite(suspect.ask(X[:1]).seconds).all()


def test_too_large_a_request_says_less_amplification(servers: list[str]) -> None:
    with open_suspect(f"{servers[1]}/single") as suspect:
        suspect.ask(X[:1])
    often = open_suspect(f"{servers[1]}/team/network", amplification=40)
    with often as suspect, pytest.raises(ExitprintError, match="less amplification"):
        suspect.ask(X[:1])


def test_the_wrong_name_is_said(url: str) -> None:
    with pytest.raises(ExitprintError, match="nobody"):
        open_suspect(url.replace("team/network", "nobody"))


def test_rest_at_a_port_for_grpc_and_grpc_at_one_for_rest(url: str) -> None:
    port = url.split(":")[2].split("/")[0]
    with pytest.raises(ExitprintError, match="grpc://"):
        KServeSuspect(f"http://127.0.0.1:{port}/v2/models/network")
    with hosted(Model()) as rest, pytest.raises(ExitprintError, match="http://"):
        open_suspect(rest.url.replace("http", "grpc").replace("v2/models/", ""), patience=1.0)


def test_nobody_there_and_nonsense_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(b"nonsense" * 100)
                    connection.close()

        Thread(target=answer, daemon=True).start()
        with pytest.raises(ExitprintError, match=f"127.0.0.1:{port}"):
            open_suspect(f"grpc://127.0.0.1:{port}/m", patience=0.5, timeout=1.0)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ExitprintError, match="check the address"):
        open_suspect(f"grpc://127.0.0.1:{port}/m", patience=0.5, timeout=1.0)


def test_a_query_is_refused_and_not_shown() -> None:
    with pytest.raises(ExitprintError, match="query") as caught:
        open_suspect("grpc://127.0.0.1:1/m?key=secret")
    assert "secret" not in str(caught.value)


def test_a_server_that_dies_is_given_up_in_one_sentence(servers: list[str]) -> None:
    with open_suspect(f"{servers[0]}/dying", patience=0.5) as suspect:
        suspect.ask(X[:1])
        with pytest.raises(ExitprintError, match="that the server runs"):
            suspect.ask(X[:1])
