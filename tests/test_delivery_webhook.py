"""Webhooks of our own: signed, to the checked address, and what comes back in a sentence."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.alerts.delivery import Allowed, Outcome, Target, parse_target, webhook
from core.alerts.delivery.targets import open_target
from core.errors import DeliveryError
from tests.sent import HERE, NOON, PUBLIC, Told, names
from tests.world.receiver import SECRET, Receiver, is_signed


@pytest.fixture(scope="module")
def server() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(server: Receiver) -> Receiver:
    server.received.clear()
    server.accepted.clear()
    server.modes.clear()
    server.mode = "good"
    return server


def send(url: str, *told: Told, allowed: Allowed = HERE, at: datetime = NOON) -> list[Outcome]:
    with open_target(Target("webhook", url, SECRET), allowed) as post:
        return [post(one, at) for one in told or (Told(),)]


def test_a_message_arrives_signed_with_its_key_and_time(receiver: Receiver) -> None:
    (outcome,) = send(receiver.url("/a?b=c"), at=NOON + timedelta(seconds=3))
    assert outcome.sent
    (one,) = receiver.received
    assert is_signed(one)
    assert not is_signed(one, "whsec_" + "A" * 32)
    assert one.headers["webhook-id"] == one.headers["idempotency-key"] == "key-1"
    assert int(one.headers["webhook-timestamp"]) == NOON.timestamp() + 3
    assert one.headers["content-type"] == "application/json"
    assert one.json == {
        "id": "key-1",
        "type": "alert.fired",
        "timestamp": NOON.isoformat(),
        "severity": "warning",
        "title": "Crowded longs",
        "text": "BTCUSDT fires.",
        "data": {"kind": "fired", "fired": [{"symbol": "BTCUSDT"}]},
    }


def test_every_try_sends_the_same_bytes_with_the_same_key(receiver: Receiver) -> None:
    send(receiver.url(), Told(), Told(), at=NOON)
    send(receiver.url(), at=NOON + timedelta(hours=1))
    assert len({one.body for one in receiver.received}) == 1
    assert len({one.headers["webhook-signature"] for one in receiver.received}) == 2
    assert receiver.keys() == ["key-1"]


def test_messages_one_after_the_other_share_a_connection(receiver: Receiver) -> None:
    sent = send(receiver.url(), *(Told(f"key-{number}") for number in range(5)))
    assert all(one.sent for one in sent)
    assert len({one.peer for one in receiver.received}) == 1


def test_what_is_accepted_counts_though_the_rest_of_the_answer_never_comes(
    receiver: Receiver,
) -> None:
    receiver.mode = "good and slow"
    first, second = send(receiver.url(), Told("a"), Told("b"))
    assert first.sent
    assert second.sent
    assert receiver.repeated == 0


@pytest.mark.parametrize(
    ("mode", "permanent", "answered", "said"),
    [
        ("500", False, True, "It answered 500: it failed. It said: said so"),
        ("503", False, True, "It answered 503"),
        ("408", False, True, "It answered 408"),
        ("400", True, True, "It answered 400"),
        ("401", True, True, "does not accept the key"),
        ("404", True, True, "nothing is there"),
        ("410", True, True, "gone for good"),
        ("302", True, True, "points to another address"),
        ("close", False, False, "broke the connection off"),
        ("enormous", False, True, "It answered 500"),
    ],
)
def test_what_comes_back_is_told_and_says_whether_to_try_again(
    receiver: Receiver, mode: str, permanent: bool, answered: bool, said: str
) -> None:
    receiver.mode = mode
    (outcome,) = send(receiver.url())
    assert not outcome.sent
    assert (outcome.permanent, outcome.answered) == (permanent, answered)
    assert said in outcome.message
    assert len(outcome.message) < 500


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_a_receiver_that_takes_for_ever_is_given_up(
    receiver: Receiver, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "TOTAL_SECONDS", 0.3)
    receiver.mode = mode
    (outcome,) = send(receiver.url())
    assert outcome == Outcome(False, "It did not answer in time.")


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("100000", 3600.0),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOON + timedelta(days=90), usegmt=True), 3600.0),
        (format_datetime(NOON - timedelta(days=90), usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_how_long_to_wait_is_read_in_seconds_and_as_a_date(
    receiver: Receiver, retry_after: str, seconds: float | None
) -> None:
    receiver.mode, receiver.retry_after = "429", retry_after
    (outcome,) = send(receiver.url())
    assert (outcome.retry_after, outcome.permanent, outcome.answered) == (seconds, False, False)


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.modes["/hook"] = "redirect"
    (outcome,) = send(receiver.url())
    assert outcome.permanent
    assert [one.path for one in receiver.received] == ["/hook"]


def test_a_receiver_that_is_down_can_be_tried_again() -> None:
    with Receiver() as gone:
        url = gone.url()
    (outcome,) = send(url)
    assert not outcome.permanent
    assert "cannot be connected to" in outcome.message


def test_a_private_address_is_refused_when_it_is_saved_and_when_it_is_sent_to(
    receiver: Receiver,
) -> None:
    with pytest.raises(DeliveryError, match="CRYPTOSATX_PRIVATE_TARGETS"):
        parse_target("webhook", receiver.url(), PUBLIC)
    (outcome,) = send(receiver.url(), allowed=PUBLIC)
    assert outcome.permanent
    assert "not a public address" in outcome.message
    assert receiver.received == []


def test_a_name_that_changes_its_address_is_connected_to_where_it_was_checked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://hook.example:{receiver.port}/x"
    with names(monkeypatch, hook_example=["127.0.0.1", "127.0.0.9"]) as asked:
        (outcome,) = send(url)
    assert outcome.sent
    assert asked == ["hook.example"]
    (one,) = receiver.received
    assert one.headers["host"] == f"hook.example:{receiver.port}"


def test_a_name_that_moves_is_not_sent_to_by_the_connection_that_is_open(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://hook.example:{receiver.port}/x"
    both = Allowed([*HERE.private, *_networks("127.0.0.9")])
    with names(monkeypatch, hook_example=["127.0.0.1", "127.0.0.9"]):
        outcomes = send(url, Told("one"), Told("two"), allowed=both)
    assert [one.sent for one in outcomes] == [True, False]
    assert "cannot be connected to" in outcomes[1].message
    assert receiver.keys() == ["one"]


def test_a_name_that_moves_into_a_private_network_is_refused_at_the_next_message(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://hook.example:{receiver.port}/x"
    with names(monkeypatch, hook_example=["127.0.0.1", "10.0.0.1"]):
        outcomes = send(url, Told("one"), Told("two"))
    assert [one.sent for one in outcomes] == [True, False]
    assert "10.0.0.1 is not a public address" in outcomes[1].message


def test_the_second_address_of_a_host_is_tried_where_the_first_is_dead(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CONNECT_SECONDS", 0.2)
    everywhere = Allowed([*HERE.private, *_networks("127.0.0.2")])
    with names(monkeypatch, hook_example="127.0.0.2 127.0.0.1"):
        (outcome,) = send(f"http://hook.example:{receiver.port}/", allowed=everywhere)
    assert outcome.sent


def _networks(*texts: str) -> list[object]:
    from ipaddress import ip_network

    return [ip_network(text) for text in texts]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host.example/x", "begin with https://"),
        ("file:///etc/passwd", "begin with https://"),
        ("gopher://127.0.0.1:70/", "begin with https://"),
        ("https://", "names no host"),
        ("hook", "begin with https://"),
        ("https://host.example:22/", "Port 22"),
        ("https://host.example:25/", "Port 25"),
        ("https://host.example:0/", "names no port"),
        ("https://host.example:65536/", "names no port"),
        ("https://[::1/", "no address"),
        ("https://a\x00b.example/", "no address"),
        ("https://nowhere.invalid/x", "no address of nowhere.invalid"),
    ],
)
def test_a_wrong_address_is_refused_with_what_is_wrong(url: str, said: str) -> None:
    with pytest.raises(DeliveryError, match=said):
        parse_target("webhook", url, PUBLIC)


def test_a_webhook_gets_a_secret_of_its_own_and_shows_none(receiver: Receiver) -> None:
    url = f"http://me:hunter2@127.0.0.1:{receiver.port}/T0KEN/x?key=abcdef"
    first, second = (parse_target("webhook", url, HERE) for _ in range(2))
    assert first.target.signing_secret != second.target.signing_secret
    assert first.shown == f"http://127.0.0.1:{receiver.port}/..."
    for planted in ("hunter2", "T0KEN", "abcdef", first.target.signing_secret):
        assert planted not in repr(first)
    with pytest.raises(DeliveryError, match="whsec_"):
        parse_target("webhook", url, HERE, "not a secret")
    assert parse_target("webhook", url, HERE, SECRET).target.signing_secret == SECRET


def test_nothing_that_is_said_or_logged_holds_the_secrets_of_an_address(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.mode = "echo"
    url = f"http://me:hunter2@127.0.0.1:{receiver.port}/T0KENT0KEN?key=abcdef"
    (outcome,) = send(url)
    assert outcome.message.startswith("It answered 500: it failed. It said: /****")
    assert receiver.received[0].headers["authorization"].startswith("Basic ")
    receiver.mode = "good"
    assert send(url)[0].sent
    for planted in ("hunter2", "T0KENT0KEN", "abcdef", SECRET):
        assert planted not in outcome.message + caplog.text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of hook.example in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hook.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + made.public_bytes(encoding))
    return path


def test_certificates_are_checked_against_the_name_and_not_the_address(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    asked: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with (
        Receiver(tls=tls) as secure,
        names(monkeypatch, hook_example="127.0.0.1", other_example="127.0.0.1"),
    ):
        assert "cannot be connected to" in send(secure.url())[0].message
        with monkeypatch.context() as context:
            context.setattr(webhook, "_trusted", lambda: trusting)
            right = send(f"https://hook.example:{secure.port}/")[0]
            wrong = send(f"https://other.example:{secure.port}/")[0]
        assert right.sent
        assert not wrong.sent
        assert "other.example" in asked
        assert [one.headers["host"] for one in secure.received] == [f"hook.example:{secure.port}"]
