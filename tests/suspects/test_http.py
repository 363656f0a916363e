"""A suspect behind an address: what it says, what it costs, and what an operator may do to it."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import time
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from scripted import Model, answering, hosted, said

from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.suspects import BudgetSpent, KServeSuspect, http
from exitprint_studies.hostile import misbehaving_here

TOO_SHORT = b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}]}'
X = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> MultiExitNetwork:
    arch = architecture("resnet", (1, 8, 8), 10, depth=8, width=2)
    return MultiExitNetwork.build(arch, seed=0, policy=ExitPolicy(0.2)).eval()


@pytest.fixture(autouse=True)
def no_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EXITPRINT_TOKEN", raising=False)
    monkeypatch.delenv("EXITPRINT_HEADERS", raising=False)


@pytest.mark.parametrize("answers", ["probabilities", "labels", "logits"])
def test_whatever_it_answers_with_is_understood(network: MultiExitNetwork, answers: str) -> None:
    expected = network.predict(X)
    with misbehaving_here(network, answers=answers) as url:  # type: ignore[arg-type]
        answer = KServeSuspect(url).ask(X)
    assert answer.labels is not None and answer.labels.tolist() == expected.labels.tolist()
    assert answer.clock == "measured" and answer.seconds.shape == (12,) and (answer.seconds > 0).all()
    if answers == "labels":
        assert answer.probabilities is None
    else:
        assert answer.probabilities is not None
        assert np.allclose(answer.probabilities, expected.probabilities.numpy(), atol=1e-5)


def test_amplification_repeats_the_input_within_one_request(network: MultiExitNetwork) -> None:
    with misbehaving_here(network) as url:
        once, often = KServeSuspect(url), KServeSuspect(url, amplification=5)
        before = once.requests, once.bytes_sent, often.requests, often.bytes_sent
        plain, amplified = once.ask(X[:2]), often.ask(X[:2])
        assert once.requests - before[0] == often.requests - before[2] == 1
        assert often.bytes_sent - before[3] - (once.bytes_sent - before[1]) in range(4 * 2 * 256, 4 * 2 * 256 + 50)
    assert plain.labels is not None and amplified.labels is not None
    assert plain.labels.tolist() == amplified.labels.tolist() and amplified.seconds.shape == (2,)


def test_cost_is_counted_and_the_budget_kept(model: Model) -> None:
    suspect = KServeSuspect(model.url, budget=5)
    start = suspect.requests
    for _ in range(5 - start):
        suspect.ask(X[:1])
    with pytest.raises(BudgetSpent, match="5 requests"):
        suspect.ask(X[:1])
    assert suspect.requests == len(model.asked) == 5
    assert suspect.bytes_sent == sum(len(body) for *_, body in model.asked) > 0 and suspect.bytes_received > 0


def test_the_rate_is_never_exceeded(model: Model) -> None:
    suspect = KServeSuspect(model.url, rate=100)
    begin = time.monotonic()
    for _ in range(10):
        suspect.ask(X[:1])
    assert time.monotonic() - begin >= 0.09


def test_one_connection_is_kept_alive(model: Model) -> None:
    suspect = KServeSuspect(model.url)
    for _ in range(10):
        suspect.ask(X[:1])
        suspect.floor()
    assert len(model.connections) == 1


def test_the_floor_is_a_request_without_inference(model: Model) -> None:
    assert KServeSuspect(model.url).floor() > 0 and all(method == "GET" for method, *_ in model.asked)


@pytest.mark.parametrize("shape", [[1, 1, 8, 8], [1, 8, 8]])
def test_a_model_for_single_images_is_asked_image_by_image(shape: list[int]) -> None:
    label = {"name": "label", "datatype": "INT64", "shape": [1], "data": [4]}
    scripted = Model(
        inputs=[{"name": "x", "datatype": "FP32", "shape": shape}], infer=lambda n, r: said({"outputs": [label]})
    )
    with hosted(scripted) as served:
        answer = KServeSuspect(served.url).ask(X[:3])
        with pytest.raises(ExitprintError, match="amplified"):
            KServeSuspect(served.url, amplification=2)
    assert answer.labels is not None and answer.labels.tolist() == [4, 4, 4] and answer.seconds.shape == (3,)
    assert sum(method == "POST" for method, *_ in scripted.asked) == 3


def test_headers_of_the_environment_are_sent(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXITPRINT_TOKEN", "secret")
    monkeypatch.setenv("EXITPRINT_HEADERS", '{"x-tenant": "a"}')
    KServeSuspect(model.url).ask(X[:1])
    for _, _, headers, _ in model.asked:
        assert headers["authorization"] == "Bearer secret" and headers["x-tenant"] == "a"


@pytest.mark.parametrize("text", ["secret", '["secret"]', '{"a": 1}', '{"a": "secret\\r\\nb: c"}'])
def test_unusable_headers_are_refused_and_not_repeated(
    model: Model, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("EXITPRINT_HEADERS", text)
    with pytest.raises(ExitprintError, match="JSON object") as caught:
        KServeSuspect(model.url)
    assert "secret" not in str(caught.value)


def test_a_token_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXITPRINT_TOKEN", "secret")
    with pytest.raises(ExitprintError, match="unencrypted") as caught:
        KServeSuspect("http://model.example/v2/models/m")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/v1/models/m",
        "http://127.0.0.1/v2/models/",
        "http://127.0.0.1/v2/models/m//x",
        "http://127.0.0.1/v2/models/m/versions/",
        "ftp://h/v2/models/m",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ExitprintError, match="no address of a model"):
        KServeSuspect(url)


def test_credentials_in_the_address_are_refused() -> None:
    with pytest.raises(ExitprintError, match="EXITPRINT_HEADERS") as caught:
        KServeSuspect("http://user:secret@127.0.0.1/v2/models/m")
    assert "secret" not in str(caught.value)


def test_nobody_there_is_said_at_once() -> None:
    with hosted(Model()) as gone:
        pass
    with pytest.raises(ExitprintError, match="check the address"):
        KServeSuspect(gone.url)


def test_a_version_and_a_prefix_are_part_of_the_address(model: Model) -> None:
    KServeSuspect(model.url.replace("/v2", "/team/v2") + "/versions/7").ask(X[:1])
    assert [path for _, path, *_ in model.asked] == [
        "/team/v2/models/m/versions/7",
        "/team/v2",
        "/team/v2/models/m/versions/7/infer",
    ]


@pytest.mark.parametrize(
    ("inputs", "word"),
    [([], "--input-name"), ([{"name": n, "datatype": "FP32", "shape": [-1, 1, 8, 8]} for n in "ab"], "2 of them")],
)
def test_which_input_takes_the_image_must_be_clear(model: Model, inputs: list[dict[str, object]], word: str) -> None:
    model.inputs = inputs
    with pytest.raises(ExitprintError, match=word):
        KServeSuspect(model.url)


def test_what_went_wrong_before_is_not_timed(model: Model) -> None:
    model.infer = lambda n, r: (503, {}, b"") if n == 1 else answering([[0.5, 0.5]], r)
    suspect = KServeSuspect(model.url)
    assert suspect.ask(X[:2]).seconds is None and np.isfinite(suspect.ask(X[:2]).seconds).all()
    assert suspect.requests == len(model.asked)


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(model: Model, as_date: bool) -> None:
    times: list[float] = []

    def infer(number: int, request: dict[str, object]) -> tuple[int, dict[str, str], bytes]:
        times.append(time.time())
        moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
        wait = format_datetime(moment, usegmt=True) if as_date else "1"
        return (429, {"retry-after": wait}, b"") if number == 1 else answering([[1, 0]], request)

    model.infer = infer
    assert KServeSuspect(model.url).ask(X[:1]).seconds is None
    assert times[1] - times[0] >= 0.9


def test_a_wait_that_is_too_long_is_refused(model: Model) -> None:
    model.infer = lambda n, r: (429, {"retry-after": "86400"}, b"")
    with pytest.raises(ExitprintError, match="86400 seconds"):
        KServeSuspect(model.url).ask(X[:1])


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ((302, {"location": "http://elsewhere.example/"}, b""), "elsewhere.example"),
        ((401, {}, b""), "EXITPRINT_TOKEN"),
        ((404, {}, b""), "name of the model"),
        ((400, {}, b"bad \x1b shape"), "bad   shape"),
        ((200, {"content-encoding": "gzip"}, b"\x1f\x8b"), "compressed"),
        ((200, {}, b"<html>"), "not the JSON"),
        ((200, {}, b"[" * 100_000), "not the JSON"),
        ((200, {}, b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [9999999999], "data": [1]}]}'), "hold"),
        ((200, {}, b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [-1], "data": [1]}]}'), "hold"),
        ((200, {}, b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1, "a"]}]}'), "hold"),
        ((200, {}, b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1, NaN]}]}'), "NaN"),
        (
            (
                200,
                {"inference-header-content-length": str(len(TOO_SHORT))},
                TOO_SHORT,
            ),
            "as long as announced",
        ),
    ],
)
def test_refusals_and_nonsense_end_in_one_sentence(
    model: Model, reply: tuple[int, dict[str, str], bytes], word: str
) -> None:
    model.infer = lambda n, r: reply
    with pytest.raises(ExitprintError, match=word) as caught:
        KServeSuspect(model.url).ask(X[:1])
    assert str(caught.value).isprintable()
    assert sum(method == "POST" for method, *_ in model.asked) == 1


@pytest.mark.parametrize(
    ("trouble", "word"),
    [
        ("wrong-shape", "was declared"),
        ("nan", "NaN"),
        ("redirect", "elsewhere.example"),
        ("huge", "64 MiB"),
        ("endless", "64 MiB"),
    ],
)
def test_hostile_answers_end_in_a_clear_error(network: MultiExitNetwork, trouble: str, word: str) -> None:
    with misbehaving_here(network, trouble) as url, pytest.raises(ExitprintError, match=word):
        KServeSuspect(url).ask(X[:1])


@pytest.mark.parametrize("trouble", ["silent", "drip"])
def test_a_server_that_does_not_answer_is_given_up(network: MultiExitNetwork, trouble: str) -> None:
    with misbehaving_here(network, trouble) as url, pytest.raises(ExitprintError, match=r"0\.3 seconds"):
        KServeSuspect(url, timeout=0.3, patience=0.5).ask(X[:1])


@pytest.mark.parametrize(("trouble", "amount", "asked"), [("cut", 3, 12), ("restart", 4, 12), ("rate-limit", 1, 4)])
def test_faults_pass_and_their_times_are_not_used(
    network: MultiExitNetwork, trouble: str, amount: float, asked: int
) -> None:
    with misbehaving_here(network, trouble, amount) as url:
        suspect = KServeSuspect(url)
        answers = [suspect.ask(x[None]) for x in X[:asked]]
    labels = [int(answer.labels[0]) for answer in answers if answer.labels is not None]
    assert labels == network.predict(X[:asked]).labels.tolist()
    unused = sum(answer.seconds is None for answer in answers)
    assert 1 <= unused < asked and suspect.requests >= 2 + asked + unused


def test_json_keeps_every_bit_of_the_image(model: Model) -> None:
    x = torch.tensor([0.1, 1 / 3, 1.0]).repeat(22)[:64].view(1, 1, 8, 8)
    KServeSuspect(model.url).ask(x)
    tensor = json.loads(model.asked[-1][3])["inputs"][0]
    assert tensor["shape"] == [1, 1, 8, 8]
    assert np.array_equal(np.array(tensor["data"], np.float32).reshape(x.shape), x.numpy())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    yield path


def test_an_unknown_certificate_is_refused_and_a_trusted_one_is_not(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with hosted(Model(), context) as served:
        with pytest.raises(ExitprintError, match="certificate"):
            KServeSuspect(served.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert np.isfinite(KServeSuspect(served.url).ask(X[:1]).seconds).all()


def test_a_certificate_of_another_host_is_called_that(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with hosted(Model(), context) as served, pytest.raises(ExitprintError, match="is another host's"):
        KServeSuspect(served.url.replace("127.0.0.1", "localhost"))


def test_tls_where_none_is_spoken(model: Model) -> None:
    with pytest.raises(ExitprintError, match="does not speak TLS"):
        KServeSuspect(model.url.replace("http", "https"))


def test_a_limit_without_retry_after_is_kept_for_the_next_request(model: Model) -> None:
    accepted: list[float] = []
    refused: list[float] = []

    def infer(number: int, request: dict[str, object]) -> tuple[int, dict[str, str], bytes]:
        now = time.monotonic()
        if accepted and now - accepted[-1] < 0.12:
            refused.append(now)
            return 429, {}, b""
        accepted.append(now)
        return answering([[1, 0]], request)

    model.infer = infer
    suspect = KServeSuspect(model.url)
    usable = [suspect.ask(X[:1]).seconds is not None for _ in range(10)]
    assert all(usable[5:]) and len(refused) <= 6


def test_a_service_that_starts_is_not_taken_for_a_limit(model: Model) -> None:
    model.infer = lambda n, r: (503, {}, b"") if n <= 2 else answering([[1, 0]], r)
    suspect = KServeSuspect(model.url)
    suspect.ask(X[:1])
    assert suspect.pace.interval == 0


def test_unavailable_again_and_again_is_a_limit(model: Model) -> None:
    model.infer = lambda n, r: (503, {}, b"") if n % 2 and n < 7 else answering([[1, 0]], r)
    suspect = KServeSuspect(model.url)
    for _ in range(3):
        suspect.ask(X[:1])
    assert suspect.pace.interval > 0


@pytest.mark.parametrize("amplification", [1, 8])
def test_too_large_a_request_says_less_amplification(model: Model, amplification: int) -> None:
    model.infer = lambda n, r: (413, {}, b"")
    with pytest.raises(ExitprintError, match="less amplification"):
        KServeSuspect(model.url, amplification=amplification).ask(X[:1])


@pytest.mark.parametrize(
    ("clock", "headers", "seconds"),
    [
        ("server-timing", {"server-timing": "total;dur=12.5"}, 0.0125),
        ("server-timing:b", {"server-timing": 'a;dur=1, b;desc="x, y";dur=3'}, 0.003),
        ("x-ms:ms", {"x-ms": "250"}, 0.25),
        ("X-Seconds:s", {"x-seconds": "0.5"}, 0.5),
        ("x-us:us", {"x-us": "1500"}, 0.0015),
    ],
)
def test_the_servers_own_clock_in_a_header(model: Model, clock: str, headers: dict[str, str], seconds: float) -> None:
    model.infer = lambda n, r: (200, headers, answering([[1, 0]], r)[2])
    answer = KServeSuspect(model.url, server_clock=clock).ask(X[:1])
    assert answer.clock == "server-reported" and answer.seconds.tolist() == pytest.approx([seconds])


def test_tritons_statistics_are_those_of_one_request(model: Model) -> None:
    asked = {"n": 0}

    def reply(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path.endswith("/stats"):
            spent = {"count": asked["n"], "ns": asked["n"] * 2_000_000}
            return said({"model_stats": [{"inference_stats": {"compute_infer": spent}}]})
        asked["n"] += (2 if asked["n"] == 1 else 1) * (method == "POST")
        return Model.reply(model, method, path, headers, body)

    model.reply = reply  # type: ignore[method-assign]
    suspect = KServeSuspect(model.url, server_clock="statistics")
    first, second, third = (suspect.ask(X[:1]).seconds for _ in range(3))
    assert first == third == pytest.approx(0.002) and second is None


def test_without_httpx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, extra: str) -> None:
        raise ExitprintError(f"{module} {extra}")

    monkeypatch.setattr(http, "require_extra", missing)
    with pytest.raises(ExitprintError, match="httpx remote"):
        KServeSuspect("http://127.0.0.1:1/v2/models/m")
