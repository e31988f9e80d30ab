"""Services of Apprise: what is taken, what is shown, where they may connect to, what failures tell."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.alerts.delivery import Allowed, Outcome, Target, parse_target
from core.alerts.delivery.services import usable_schemas
from core.alerts.delivery.targets import open_target
from core.errors import DeliveryError
from tests.sent import HERE, NOON, PUBLIC, Told, names
from tests.world.receiver import Receiver

TOKEN = "JHZ7lQml277CDHmQKMHI8qBe7bk2ZwO5UKjCiOAF7711"
BOT = "ABCdefGHIjklMNOpqrsTUVwxyz123456789"
SLACK = "TIiajkdnlazkcOXrIdevi7FQ"
# An address, what is shown of it, and the secrets planted in it.
SERVICES = {
    f"tgram://123456789:{BOT}/-1001234567": ("Telegram", "tgram://1...9/-1001234567", [BOT]),
    f"slack://T1JJ3T3L2/A1BRTD4JD/{SLACK}/#desk": (
        "Slack",
        "slack://T...2/A...D/T...Q/#desk",
        [SLACK],
    ),
    f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{SLACK}": (
        "Slack",
        "slack://T...2/A...D/T...Q",
        [SLACK],
    ),
    f"discord://417421629832/{TOKEN}": ("Discord", "discord://4...2/J...1", [TOKEN]),
    f"https://discord.com/api/webhooks/417421629832/{TOKEN}": (
        "Discord",
        "discord://4...2/J...1",
        [TOKEN],
    ),
    "mailtos://ops:s3cretpass@mail.example": (
        "E-Mail",
        "mailtos://ops:****@mail.example",
        ["s3cretpass"],
    ),
    "ntfy://desk-topic": ("ntfy", "ntfys://desk-topic", []),
    "ntfys://ops:s3cretpass@ntfy.example/desk": (
        "ntfy",
        "ntfys://ops:****@ntfy.example/desk",
        ["s3cretpass"],
    ),
    "gotifys://gotify.example/AbCdEfGhIjKlMn1": (
        "Gotify",
        "gotifys://gotify.example/A...1",
        ["AbCdEfGhIjKlMn1"],
    ),
    "matrixs://ops:s3cretpass@matrix.example/#desk": (
        "Matrix",
        "matrixs://ops:****@matrix.example/#desk",
        ["s3cretpass"],
    ),
    "mmosts://chat.example/3ccdd113474722377935511fc85d3dd4": (
        "Mattermost",
        "mmosts://chat.example/3...4",
        ["3ccdd113474722377935511fc85d3dd4"],
    ),
    "jsons://ops:s3cretpass@hooks.example/SEKRETSEKRET/x?-key=PLANTEDPLANTED": (
        "JSON",
        "jsons://ops:****@hooks.example/****/x",
        ["s3cretpass", "SEKRETSEKRET", "PLANTEDPLANTED"],
    ),
    "pagerduty://INTEGRATIONKEYINTEGRATION@APIKEYAPIKEY": (
        "Pager Duty",
        None,
        ["INTEGRATIONKEYINTEGRATION", "APIKEYAPIKEY"],
    ),
}
EXAMPLES = dict.fromkeys(
    (
        "mail_example",
        "ntfy_example",
        "gotify_example",
        "matrix_example",
        "chat_example",
        "hooks_example",
    ),
    "93.184.216.34",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(server: Receiver) -> Receiver:
    server.received.clear()
    server.accepted.clear()
    server.mode = "good"
    return server


def send(url: str, allowed: Allowed = HERE) -> Outcome:
    with open_target(Target("apprise", url), allowed) as tell:
        return tell(Told(), NOON)


@pytest.mark.parametrize("url", SERVICES)
def test_a_service_is_named_and_shown_without_its_secrets(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service, shown, planted = SERVICES[url]
    with names(monkeypatch, **EXAMPLES):
        written = parse_target("apprise", url, PUBLIC)
    assert written.service == service
    assert shown in (None, written.shown)
    for secret in planted:
        assert secret not in repr(written) + written.shown + caplog.text
    assert Target.from_kept("apprise", written.target.kept()).url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "has to begin with the name of a service"),
        ("telegram://x", "no service telegram://. Did you mean tgram://"),
        ("file:///etc/passwd", "no service file://"),
        ("exec://id", "no service exec://"),
        ("syslog://", "syslog:// is not used here"),
        ("dbus://", "dbus:// is not used here"),
        ("windows://", "windows:// is not used here"),
        ("irc://host.example/#x", "irc:// is not used here"),
        ("mqtt://host.example/x", "mqtt:// is not used here"),
        ("https://host.example/x", "choose that kind of channel"),
        ("tgram://bad", "not a whole address of Telegram.*Write it as tgram://{bot_token}"),
        ("discord://417421629832", "An invalid Discord Webhook Token"),
        (f"discord://1/{TOKEN}?template=/etc/passwd", "template= names a file"),
        ("fcm://project@key/device?keyfile=/etc/passwd", "keyfile= names a file"),
        ("json://127.0.0.1/x", "127.0.0.1 is not a public address"),
        ("json://2130706433/x", "127.0.0.1 is not a public address"),
        ("xml://10.0.0.1/x", "10.0.0.1 is not a public address"),
        ("form://169.254.169.254/latest", "169.254.169.254 is not a public address"),
        ("mailto://ops:pass@mail.example?smtp=10.0.0.5", "10.0.0.5 is not a public address"),
        ("gotify://localhost/AbCdEfGhIjKlMn1", "is not a public address"),
        ("json://" + "x" * 3_000, "longer than 2,000 letters"),
    ],
)
def test_a_wrong_address_is_refused_with_the_part_that_is_wrong(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with names(monkeypatch, **EXAMPLES), pytest.raises(DeliveryError, match=said):
        parse_target("apprise", url, PUBLIC)


def test_what_is_wrong_is_said_without_the_secrets_of_the_address() -> None:
    with pytest.raises(DeliveryError) as caught:
        parse_target("apprise", "tgram://PLANTEDPLANTED:s3cretpass", PUBLIC)
    assert "PLANTED" not in str(caught.value)
    assert "s3cretpass" not in str(caught.value)


def test_services_of_this_machine_are_not_used() -> None:
    usable = usable_schemas()
    assert {
        "tgram",
        "slack",
        "discord",
        "mailto",
        "mailtos",
        "ntfy",
        "gotify",
        "matrix",
        "json",
    } <= set(usable)
    assert not {"syslog", "dbus", "qt", "gnome", "macosx", "windows", "file", "exec"} & set(usable)
    assert len(usable) > 200


def test_a_message_arrives_and_trying_again_is_ours(receiver: Receiver) -> None:
    url = f"json://127.0.0.1:{receiver.port}/x?retry=5&wait=1&optional=yes"
    assert send(url) == Outcome(True, "JSON took it.", answered=True)
    (one,) = receiver.received
    assert one.json["title"] == "Crowded longs"
    assert one.json["message"] == "BTCUSDT fires."
    receiver.received.clear()
    receiver.mode = "503"
    assert not send(url).sent
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("mode", "permanent", "answered", "said"),
    [
        ("429", False, False, "asked too often"),
        ("500", False, True, "It answered 500"),
        ("404", True, True, "nothing is there"),
        ("401", True, True, "does not accept the key"),
        ("redirect", True, True, "another address"),
        ("close", False, False, "onnection"),
    ],
)
def test_failures_are_told_and_say_whether_to_try_again(
    receiver: Receiver, mode: str, permanent: bool, answered: bool, said: str
) -> None:
    receiver.mode = mode
    outcome = send(f"json://127.0.0.1:{receiver.port}/PLANTEDPLANTED")
    assert not outcome.sent
    assert (outcome.permanent, outcome.answered) == (permanent, answered)
    assert said in outcome.message
    assert "PLANTED" not in outcome.message
    assert len(receiver.received) == 1


def test_a_service_that_hangs_is_given_up(receiver: Receiver) -> None:
    receiver.mode = "hang"
    outcome = send(f"json://127.0.0.1:{receiver.port}/x?rto=0.2")
    assert not outcome.sent
    assert not outcome.permanent


def test_telegram_says_how_long_to_wait(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from apprise.plugins.telegram import NotifyTelegram

    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(NotifyTelegram, "notify_url", receiver.url("/bot"))
    receiver.mode = "telegram 429"
    outcome = send(f"tgram://123456789:{BOT}/-1001234567")
    assert (outcome.retry_after, outcome.permanent) == (35.0, False)
    assert "asked too often" in outcome.message
    assert BOT not in outcome.message + caplog.text
    assert BOT in receiver.received[0].path


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [("300", 300.0), ("Mon, 02 Jun 2025 12:05:00 GMT", 300.0), ("soon", None), ("9" * 400, 3600.0)],
)
@pytest.mark.parametrize("service", ["json", "gotify", "matrix"])
def test_what_a_service_asks_to_wait_is_heard_though_apprise_drops_it(
    receiver: Receiver, service: str, asked: str, seconds: float | None
) -> None:
    here = f"127.0.0.1:{receiver.port}"
    url = {
        "json": f"json://{here}/x",
        "gotify": f"gotify://{here}/AbCdEfGhIjKlMn1",
        "matrix": f"matrix://ops:s3cretpass@{here}/#desk",
    }[service]
    receiver.mode, receiver.retry_after = "429", asked
    outcome = send(url)
    assert (outcome.retry_after, outcome.permanent, outcome.sent) == (seconds, False, False)
    assert "asked too often" in outcome.message


@pytest.mark.parametrize(
    ("plugin", "attribute", "url"),
    [
        ("discord.NotifyDiscord", "notify_url", f"discord://417421629832/{TOKEN}"),
        ("slack.NotifySlack", "webhook_url", f"slack://T1JJ3T3L2/A1BRTD4JD/{SLACK}/#desk"),
        ("telegram.NotifyTelegram", "notify_url", f"tgram://123456789:{BOT}/-1001234567"),
    ],
)
def test_the_usual_services_get_the_message_and_fail_without_telling_secrets(
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    plugin: str,
    attribute: str,
    url: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    module, name = plugin.split(".")
    monkeypatch.setattr(f"apprise.plugins.{module}.{name}.{attribute}", receiver.url("/api"))
    receiver.mode = "ok"
    assert send(url).sent
    assert "BTCUSDT fires." in receiver.received[-1].body.decode()
    receiver.mode = "404"
    outcome = send(url)
    assert outcome.permanent
    for secret in (TOKEN, SLACK, BOT):
        assert secret not in outcome.message + caplog.text


LONG = "".join(f"line {number} of a message\n" for number in range(200))


@pytest.mark.parametrize(
    ("plugin", "url", "text", "kept"),
    [
        ("discord.NotifyDiscord.notify_url", f"discord://417421629832/{TOKEN}", LONG[:3_900], 60),
        ("discord.NotifyDiscord.notify_url", f"discord://417421629832/{TOKEN}", "x" * 3_900, 1),
        (
            "telegram.NotifyTelegram.notify_url",
            f"tgram://123456789:{BOT}/-1001234567",
            LONG[:3_900].replace("line", "&<>"),
            40,
        ),
    ],
)
def test_a_text_that_is_too_long_for_a_service_is_one_message_that_says_where_the_rest_is(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, plugin: str, url: str, text: str, kept: int
) -> None:
    """In parts, the first would come again whenever a later one was not taken."""
    monkeypatch.setattr(f"apprise.plugins.{plugin}", receiver.url("/api"))
    link = "https://desk.example/alerts?rule=7"
    told = Told(body={"title": "Long", "text": text, "content": {"link": link}})
    receiver.mode = "503"
    with open_target(Target("apprise", url), HERE) as tell:
        assert not tell(told, NOON).sent
    (one,) = receiver.received
    body = one.json.get("content") or one.json["text"]
    assert len(body) <= 4_096
    assert body.rstrip().endswith(f"too long for this channel. All of it: {link}")
    assert body.count("\n") > kept


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"tgram://123456789:{BOT}/-1001234567/-1007654321", "2 recipients: make a channel for"),
        (f"slack://T1JJ3T3L2/A1BRTD4JD/{SLACK}/#desk/#risk", "2 recipients"),
        ("mailtos://ops:s3cretpass@mail.example?to=a@mail.example,b@mail.example", "2 recipients"),
        ("ntfys://ntfy.example/desk/risk", "2 recipients"),
        ("matrixs://ops:s3cretpass@matrix.example/#desk/#risk", "2 recipients"),
        ("matrixs://ops:s3cretpass@matrix.example", "names no room"),
    ],
)
def test_a_channel_is_one_recipient(url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several, those who were reached would get it again with every try for the others."""
    with names(monkeypatch, **EXAMPLES), pytest.raises(DeliveryError, match=said):
        parse_target("apprise", url, PUBLIC)


def test_a_name_that_resolves_to_this_machine_the_second_time_gets_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with names(monkeypatch, hook_example=["93.184.216.34", "127.0.0.1"]):
        outcome = send(f"json://hook.example:{receiver.port}/x", PUBLIC)
    assert outcome.permanent
    assert "127.0.0.1 is not a public address" in outcome.message
    assert receiver.received == []


def test_a_file_that_an_address_names_is_not_read_when_it_is_sent_either(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins.discord import NotifyDiscord

    monkeypatch.setattr(NotifyDiscord, "notify_url", receiver.url("/api"))
    # As one could write it that is not recognised beforehand.
    with pytest.raises(DeliveryError, match="file"):
        send(f"discord://417421629832/{TOKEN}?template=%2Fetc%2Fpasswd")
    outcome = send(f"discord://417421629832/{TOKEN}?template=etc/../../../../../../etc/passwd")
    assert not outcome.sent
    assert not any(b"root:" in one.body for one in receiver.received)


def test_mail_goes_out_and_to_no_private_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as (port, got):
        url = f"mailto://ops:s3cretpass@mail.example:{port}?smtp=127.0.0.1&to=desk@mail.example&mode=insecure"
        assert send(url).sent
        assert "Subject: Crowded longs" in "\n".join(got)
        got.clear()
        outcome = send(url, PUBLIC)
        assert outcome.permanent
        assert got == []
        with names(monkeypatch, smtp_example=["93.184.216.34", "127.0.0.1"]):
            outcome = send(url.replace("smtp=127.0.0.1", "smtp=smtp.example"), PUBLIC)
        assert not outcome.sent
        assert got == []


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str]]]:
    """Just enough of SMTP: it takes one message after another; port and lines that came."""
    got: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_take_mail, args=(server, got), daemon=True)
        thread.start()
        yield server.getsockname()[1], got
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _take_mail(server: socket.socket, got: list[str]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, connection.makefile("rw", newline="\r\n") as stream:
            _answer_mail(stream, got)


def _answer_mail(stream: object, got: list[str]) -> None:
    def say(text: str) -> None:
        stream.write(f"{text}\r\n")  # type: ignore[attr-defined]
        stream.flush()  # type: ignore[attr-defined]

    say("220 here")
    in_data = False
    for raw in stream:  # type: ignore[attr-defined]
        line = raw.strip()
        got.append(line)
        if in_data:
            if line == ".":
                in_data = False
                say("250 taken")
        elif line.upper().startswith("EHLO"):
            say("250-here")
            say("250 AUTH PLAIN LOGIN")
        elif line.upper().startswith("AUTH"):
            say("235 yes")
        elif line.upper() == "DATA":
            in_data = True
            say("354 go on")
        elif line.upper() == "QUIT":
            say("221 bye")
            return
        else:
            say("250 fine")
