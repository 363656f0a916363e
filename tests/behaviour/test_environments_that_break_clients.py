"""What the environment or the address has wrong is named in one sentence; nothing secret is repeated."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "suspects"))
from scripted import Model, hosted

from exitprint.errors import ExitprintError
from exitprint.suspects import open_suspect
from exitprint.suspects.address import shown, taken_apart
from exitprint.suspects.environment import proxy_for

X = torch.zeros(1, 1, 8, 8)
FAR = "https://model.example/v2/models/m"
NAMES = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*NAMES, *map(str.upper, NAMES), "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"]:
        monkeypatch.delenv(name, raising=False)
    for name in ("EXITPRINT_TOKEN", "EXITPRINT_HEADERS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks4://127.0.0.1:9"),
        ("all_proxy", "socks5://127.0.0.1:9"),
        ("HTTPS_PROXY", "socks5h://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://127.0.0.1:port"),
        ("https_proxy", "http://[::1"),
        ("https_proxy", "http://user:secret@:80"),
        ("HTTPS_PROXY", "http://127.0.0.1:99999"),
        ("ALL_PROXY", "quic://127.0.0.1:9"),
        ("ALL_PROXY", "http://a b"),
        ("SSL_CERT_FILE", "/nowhere/at/all.pem"),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_FILE", "/"),
        ("SSL_CERT_DIR", "/nowhere/at/all"),
        ("SSLKEYLOGFILE", "/nowhere/at/all/keys"),
        ("EXITPRINT_TOKEN", "secret→"),
        ("EXITPRINT_TOKEN", "secret\nx: y"),
        ("EXITPRINT_HEADERS", '{"x-key": "secret→"}'),
        ("EXITPRINT_HEADERS", '{"x key": "secret"}'),
        ("EXITPRINT_HEADERS", '{"": "secret"}'),
        ("EXITPRINT_HEADERS", "secret"),
    ],
)
def test_the_variable_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setattr("exitprint.suspects.environment.find_spec", lambda name: None)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ExitprintError, match=variable) as caught:
        open_suspect(FAR)
    assert "secret" not in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("value", ["socks4://127.0.0.1:9", "http://127.0.0.1:9", "nonsense://", "127.0.0.1:9"])
def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with hosted(Model()) as model, open_suspect(model.url) as suspect:
        assert suspect.ask(X).labels is not None


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]", "model.localhost", "LOCALHOST"]
)
def test_what_loopback_is(host: str) -> None:
    assert taken_apart(f"http://{host}:8080/v2/models/m").loopback


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.0/8",
        "1.2.3.4,10.1.2.3",
        "10.1.2.3:443",
        "*",
        "[::1] 10.1.0.0/16",
        " 10.1.2.3 ",
        "fd00::/8,10.1.2.3",
        "///,[,10.1.2.3",
    ],
)
def test_no_proxy_knows_networks_and_brackets(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", entry)
    assert proxy_for(taken_apart("https://10.1.2.3/v2/models/m")) is None
    monkeypatch.setenv("NO_PROXY", "192.168.0.0/16,[::1],example.org:8443,10.1.2.3:80")
    assert proxy_for(taken_apart("https://10.1.2.3/v2/models/m")) is not None


@pytest.mark.parametrize("entry", ["example", ".example", "*.example", "model.example:443", "MODEL.EXAMPLE"])
def test_no_proxy_knows_domains(monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    monkeypatch.setenv("https_proxy", "127.0.0.1:9")
    monkeypatch.setenv("no_proxy", entry)
    assert proxy_for(taken_apart(FAR)) is None
    assert proxy_for(taken_apart("https://examples.org/")) == proxy_for(taken_apart("https://notexample.com"))


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ExitprintError, match="https_proxy"):
        open_suspect(FAR)


@pytest.mark.parametrize("token", ["secret", "s3cr3t-äöü", "  secret  ", "secret\n"])
def test_latin_1_is_sent(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("EXITPRINT_TOKEN", token)
    with hosted(Model()) as model, open_suspect(model.url) as suspect:
        suspect.ask(X)
    assert model.asked[0][2]["authorization"] == f"Bearer {token.strip()}"


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://::1:8080/v2/models/m", "brackets"),
        ("http://[::1/v2/models/m", "brackets"),
        ("http://[nonsense]/v2/models/m", "host"),
        ("http://host:abc/v2/models/m", "'abc'"),
        ("http://host:99999/v2/models/m", "'99999'"),
        ("http://host:0/v2/models/m", "'0'"),
        ("http://host:-1/v2/models/m", "'-1'"),
        ("http:///v2/models/m", "no host"),
        ("http://:8080/v2/models/m", "no host"),
        ("http://user:secret@host/v2/models/m", "EXITPRINT_HEADERS"),
        ("http://ho st/v2/models/m", "' '"),
        ("http://host/v2/models/m\n", "character"),
        ("http://host/v2/models/m#part", "#part"),
        ("http://host/v1/models/m?key=secret", "v2/models/NAME"),
        ("http://host/", "v2/models/NAME"),
        ("http://127.0.0.1:1/v2/models/m?key=secret", "check the address"),
        (f"http://{'ü' * 300}/v2/models/m", "host"),
        ("grpc://::1:8080/m", "brackets"),
        ("grpc://host:8001/", "grpc://host:port/NAME"),
    ],
)
def test_the_part_of_the_address_is_named(url: str, part: str) -> None:
    with pytest.raises(ExitprintError) as caught:
        open_suspect(url)
    assert part in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://h/v2/models/m?key=secret", "https://h/v2/models/m?key=…"),
        ("https://h/v2/models/m?a=secret&b=secret", "https://h/v2/models/m?a=…&b=…"),
        ("HTTPS://user:secret@h/m", "HTTPS://…@h/m"),
        ("grpc://h:1/m", "grpc://h:1/m"),
        ("folder/a?b=c.safetensors", "folder/a?b=c.safetensors"),
    ],
)
def test_secrets_in_an_address_are_not_shown(url: str, safe: str) -> None:
    assert shown(url) == safe
