"""The services a channel may lead to: how to get an address of each, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """``form`` is an example of an address, ``help`` how to come by one."""

    kind: str
    form: str
    help: str


SERVICES: Mapping[str, Service] = {
    "Telegram": Service(
        "apprise",
        "tgram://BOT_TOKEN/CHAT_ID",
        "Write to @BotFather in Telegram, /newbot, and take the token it gives. Write a word to your bot, "
        "then open https://api.telegram.org/botTOKEN/getUpdates: the chat's id stands there.",
    ),
    "Slack": Service(
        "apprise",
        "https://hooks.slack.com/services/T…/B…/…",
        "In Slack: your workspace's apps, Incoming WebHooks, Add to Slack, choose the channel, and copy "
        "the address.",
    ),
    "Discord": Service(
        "apprise",
        "https://discord.com/api/webhooks/ID/TOKEN",
        "In Discord: the channel's settings, Integrations, Webhooks, New webhook, Copy webhook URL.",
    ),
    "E-mail": Service(
        "apprise",
        "mailtos://user:password@smtp.example.com?to=you@example.com&from=alerts@example.com",
        "The account that sends: many providers want a password made for apps. Letters such as @ in a "
        "password are written %40.",
    ),
    "ntfy": Service(
        "apprise",
        "ntfy://ntfy.sh/a-topic-nobody-guesses",
        "Choose a topic that nobody guesses, and subscribe to it in the ntfy app. ntfys://user:password@"
        "host/topic for a server of your own.",
    ),
    "Webhook": Service(
        "webhook",
        "https://host.example/path",
        "Your own receiver: it gets JSON by POST, signed. The secret that signs is shown once, after "
        "saving.",
    ),
    "Another": Service(
        "apprise",
        "service://…",
        "Any address of Apprise's list that goes out over HTTP or as e-mail: Pushover, Matrix, Microsoft "
        "Teams, Gotify, Signal, Opsgenie, PagerDuty and a hundred more (github.com/caronc/apprise/wiki).",
    ),
}
VERIFICATION = '''\
import base64, hashlib, hmac, time

def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a message is ours, whole and fresh; `body` as it came, before it is parsed."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    at = headers["webhook-timestamp"]
    signed = f"{headers['webhook-id']}.{at}.".encode() + body
    ours = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    theirs = headers["webhook-signature"].split(" ")
    fresh = abs(time.time() - int(at)) < 300
    return fresh and any(hmac.compare_digest(ours, one) for one in theirs)
'''
_SLACK = re.compile(r"https://hooks\.slack\.com/services/([^/?#]+)/([^/?#]+)/([^/?#]+)/?")
_DISCORD = re.compile(
    r"https://(?:[a-z]+\.)?discord(?:app)?\.com/api/(?:v\d+/)?webhooks/(\d+)/([^/?#]+)/?"
)


def address_of(text: str) -> str:
    """An address as services give it, as it is sent to.

    >>> address_of("https://hooks.slack.com/services/T1/B2/xyz")
    'slack://T1/B2/xyz'
    >>> address_of(" https://discord.com/api/webhooks/12/ab-c ")
    'discord://12/ab-c'
    >>> address_of("tgram://1:2/3")
    'tgram://1:2/3'
    """
    text = text.strip()
    if found := _SLACK.fullmatch(text):
        return f"slack://{found[1]}/{found[2]}/{found[3]}"
    if found := _DISCORD.fullmatch(text):
        return f"discord://{found[1]}/{found[2]}"
    return text
