"""Services that Apprise speaks to: Telegram, Slack, Discord, e-mail and the rest of its list.

What may be used is what goes out over HTTP or as e-mail. Services of this machine (syslog, D-Bus,
desktops) and those with sockets of their own (IRC, AMQP, MQTT, XMPP, SMPP, APRS) are refused. Where the
address names a host of its own (ntfy, Gotify, Matrix, mailto, json and others), that host has to be
public or allowed by the settings, as for webhooks; see `core.alerts.delivery.guarding`.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from core.alerts.delivery.addresses import Allowed, resolve
from core.alerts.delivery.answers import Answer, listening, longest_wait
from core.alerts.delivery.guarding import guarded
from core.alerts.delivery.hiding import HIDDEN, Secrets, hushed, secrets_of
from core.alerts.delivery.outcome import Outcome, from_status, refused, unreachable
from core.errors import DeliveryError

if TYPE_CHECKING:
    from apprise import AppriseAsset, NotifyBase

CONNECT_SECONDS, READ_SECONDS = 4.0, 10.0
MOST_LETTERS = 2_000
# These read more than HTTP and e-mail, or wait for connections of their own.
_REFUSED = {"deltachat", "deltachats", "nostr", "vapid", "mqtt", "mqtts", "smpp", "smpps"}
# Messages a minute, where a service is known to take less than `PER_MINUTE`.
PER_MINUTE = 60
_SLOWER = {"tgram": 20, "discord": 30, "mailto": 20, "mailtos": 20, "pover": 30, "twilio": 30}
_ELSEWHERE = "the page Alerts of the dashboard"
_STATUS = re.compile(
    r"\berror[=: ]+(\d{3})\b|\bHTTP (?:error )?(\d{3})\b|\bstatus[=: ]+(\d{3})\b", re.I
)
# Answers that say to try again.
_PASSING = {429, 500, 502, 503, 504}
_WAIT = re.compile(r"retry[ _-]?after\D{0,5}(\d+(?:\.\d+)?)", re.I)
_MAIL, _WEB = ("mailto", "mailtos"), ("http", "https")
_FILES = {"template", "keyfile", "subfile", "pgpkey", "key", "cert", "attach"}
_HOST = re.compile(r"[.:]|^localhost$|^\d+$|^0x[0-9a-f]+$", re.I)
_IMPORTANCE = {"info": "info", "warning": "warning", "critical": "failure"}


@dataclass(frozen=True)
class Service:
    """What is known of an address: Apprise's name of the service, a form without secrets, and how much
    it takes in a minute."""

    name: str
    shown: str
    per_minute: int


def check_service(url: str, allowed: Allowed) -> Service:
    """What an address is; `DeliveryError` says which part of it is wrong."""
    plugin = _instantiate(url)
    _refuse_several(plugin)
    _check_host(plugin, url, allowed)
    schema = str(plugin.schema)
    return Service(
        str(plugin.service_name)[:64], _shown(plugin, url), _SLOWER.get(schema, PER_MINUTE)
    )


class OpenService:
    """A service with its session, for the messages of one thread."""

    def __init__(self, url: str, allowed: Allowed) -> None:
        self._url, self._allowed = url, allowed
        self._secrets = Secrets(secrets_of(url))
        with guarded(allowed):
            self._plugin = _instantiate(url)

    def send(
        self, severity: str, title: str, text: str, *, now: datetime, link: str = ""
    ) -> Outcome:
        """Send it as one message; ``link`` is where all of it is, should it have to be cut."""
        from apprise import Apprise

        try:
            _check_host(self._plugin, self._url, self._allowed)
        except DeliveryError as error:
            return refused(str(error))
        except LookupError as error:
            return unreachable(self._secrets.hide(str(error)))
        one = Apprise(asset=self._plugin.asset)
        one.add(self._plugin)
        with hushed() as heard, guarded(self._allowed) as forbidden, listening() as answers:
            sent = bool(
                one.notify(
                    body=_fitting(self._plugin, title, text, link),
                    title=title,
                    notify_type=_IMPORTANCE.get(severity, "info"),
                    body_format="text",
                )
            )
        if sent:
            return Outcome(True, f"{self._plugin.service_name} took it.", answered=True)
        if forbidden:
            return refused(self._secrets.hide(forbidden[0]))
        return _reason(" ".join(heard), answers, now, self._secrets)


@contextmanager
def open_service(url: str, allowed: Allowed) -> Iterator[OpenService]:
    yield OpenService(url, allowed)


@cache
def usable_schemas() -> dict[str, str]:
    """Every schema that may be used, and the name of its service."""
    plugins = _plugins()
    return {
        schema: str(plugins[schema].service_name)
        for schema in sorted(plugins.schemas())
        if plugins[schema].enabled and _speaks_http_or_mail(schema, plugins[schema])
    }


def _plugins() -> Any:
    """Apprise's classes by schema."""
    from apprise.manager_plugins import NotificationManager

    return NotificationManager()  # type: ignore[no-untyped-call]


def _speaks_http_or_mail(schema: str, plugin: type) -> bool:
    if schema in _REFUSED:
        return False
    if schema in _MAIL:
        return True
    # Some build on another service, or have what sends in a file beside the one of the class.
    modules = [one.__module__ for one in plugin.__mro__ if ".plugins." in one.__module__]
    modules += [name.removesuffix(".base") for name in modules]
    return any(hasattr(sys.modules[name], "requests") for name in modules)


def _asset() -> AppriseAsset:
    from apprise import AppriseAsset

    return AppriseAsset(
        app_id="CryptoSatX",
        app_desc="CryptoSatX",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,  # in this thread, where the guard stands
        service_timeout=0,
        http_redirects=False,
        storage_mode="memory",
        interpret_emojis=False,
    )


def _schema(url: str) -> str:
    return url.strip().partition("://")[0].lower()


def _instantiate(url: str) -> NotifyBase:
    url = url.strip()
    if len(url) > MOST_LETTERS:
        raise DeliveryError(f"The address is longer than {MOST_LETTERS:,} letters.")
    schema = _schema(url)
    if "://" not in url or not schema:
        raise DeliveryError(
            "The address has to begin with the name of a service, such as tgram://, slack://, "
            "discord:// or mailtos://."
        )
    from apprise import Apprise, OverflowMode

    if schema not in _WEB:
        _check_schema(schema)
    _refuse_files(url)
    with hushed() as heard:
        # Some services hand out an address for the web, which Apprise knows as theirs.
        plugin = Apprise.instantiate(url, asset=_asset())
    if schema in _WEB and (plugin is None or plugin.schema not in usable_schemas()):
        raise DeliveryError(
            "No service hands out such an address: for a webhook of your own choose that kind of channel."
        )
    if plugin is None:
        said = Secrets(secrets_of(url)).hide(" ".join(heard))
        raise DeliveryError(
            f"This is not a whole address of {usable_schemas()[schema]}: "
            f"{said or 'a part of it is missing.'} {_form(schema)}"
        )
    # Trying again is ours, and a failure is one, whatever the address says.
    plugin.retry, plugin.wait, plugin.optional = 0, 0.0, False
    plugin.redirects = False
    # It answers for all parts of a message together: were one not taken, those before it would come again.
    plugin.overflow_mode = OverflowMode.TRUNCATE
    plugin.socket_connect_timeout = min(plugin.socket_connect_timeout, CONNECT_SECONDS)
    plugin.socket_read_timeout = min(plugin.socket_read_timeout, READ_SECONDS)
    return plugin


def _check_schema(schema: str) -> None:
    usable = usable_schemas()
    if schema in usable:
        return
    if schema in _plugins().schemas():
        raise DeliveryError(
            f"{schema}:// is not used here: only services that are reached over HTTP or by e-mail are."
        )
    close = get_close_matches(schema, usable, n=1, cutoff=0.7)
    hint = f" Did you mean {close[0]}://?" if close else ""
    raise DeliveryError(f"There is no service {schema}://.{hint}")


def _refuse_files(url: str) -> None:
    for name, value in parse_qsl(urlsplit(url).query):
        if name.lower() in _FILES and value.startswith(("/", ".", "~", "file:", "\\")):
            raise DeliveryError(
                f"{name}= names a file of this machine, which is not read for a channel."
            )


def _refuse_several(plugin: NotifyBase) -> None:
    """It answers for all recipients together: were one not reached, the others would get it again."""
    from apprise import NotifyBase

    recipients = len(plugin)
    if type(plugin).__len__ is NotifyBase.__len__:
        recipients = max(recipients, len(getattr(plugin, "targets", None) or ()))
    if recipients > 1:
        raise DeliveryError(
            f"The address names {recipients} recipients: make a channel for each, so that one who is "
            "not reached is tried again without the others getting it twice."
        )
    is_everywhere = (getattr(plugin, "mode", ""), getattr(plugin, "rooms", None)) == ("off", [])
    if is_everywhere and not getattr(plugin, "users", ()):
        raise DeliveryError("The address names no room: add one, as in matrixs://.../#room.")


def _fitting(plugin: NotifyBase, title: str, text: str, link: str) -> str:
    """The text; where it is too long for the service, what fits of it and where the rest is."""
    if _fits(plugin, title, text):
        return text
    rest = f"\n... cut here: too long for this channel. All of it: {link or _ELSEWHERE}"
    letters = bisect_left(
        range(len(text)), True, key=lambda kept: not _fits(plugin, title, text[:kept] + rest)
    )
    if letters == 0:
        return text  # Not even that fits, and Apprise cuts it.
    kept = text[: letters - 1]
    whole_lines = kept.rpartition("\n")[0]
    return (whole_lines if len(whole_lines) > len(kept) / 2 else kept) + rest


def _fits(plugin: NotifyBase, title: str, text: str) -> bool:
    """Whether it is one message, as Apprise writes it for the service."""
    from apprise import conversion

    convert: Any = conversion.convert_between
    written = plugin.resolve_format("text")
    calls = plugin._build_send_calls(
        body=convert("text", written, text),
        title=convert("text", written, title) if plugin.title_maxlen <= 0 else title,
        body_format=written,
        body_passthrough=False,
        overflow="split",
    )
    return sum(1 for _ in calls) <= 1


def _form(schema: str) -> str:
    templates = _plugins()[schema].templates
    first = str(next(iter(templates), "")).replace("{schema}", schema)
    return f"Write it as {first}." if first else ""


def _check_host(plugin: NotifyBase, url: str, allowed: Allowed) -> None:
    """A host of the address's own; what is connected to in the end is checked when that happens."""
    tokens = str(plugin.templates)
    own = isinstance(plugin.host, str) and ("{host}" in tokens or "{hostname}" in tokens)
    smtp = getattr(plugin, "smtp_host", None)
    hosts = [smtp or plugin.host] if _schema(url) in _MAIL else [plugin.host] if own else []
    for host in hosts:
        # In some services what stands there may also be a key or a name, which nobody is asked about.
        if isinstance(host, str) and _HOST.search(host):
            resolve(host, plugin.port or 443, allowed)


def _shown(plugin: NotifyBase, url: str) -> str:
    """Apprise's own masked form, without its options and without what it left of a secret."""
    private: str = plugin.url(privacy=True)  # type: ignore[no-untyped-call]
    schema, _, rest = private.partition("://")
    masked = unquote(rest.partition("?")[0]).rstrip("/")
    parts = urlsplit(url)
    strong = [one for one in secrets_of(url, least=12) if one != parts.netloc]
    if parts.password:
        strong.append(parts.password)
    return Secrets(strong).hide(f"{schema}://{masked}")[:256] or f"{schema}://{HIDDEN}"


def _reason(said: str, answers: Sequence[Answer], now: datetime, secrets: Secrets) -> Outcome:
    """What Apprise's complaints tell, and what was answered to it.

    It answers only whether a message was taken. Not every answer is to the message itself, so where it
    complains of no status one counts only if another try may help.
    """
    plain = secrets.hide(said) or "It did not take the message and gave no reason."
    wait = _WAIT.search(said)
    waits = [longest_wait(answers, now), None if wait is None else float(wait.group(1))]
    seconds = max((one for one in waits if one is not None), default=None)
    found = _STATUS.search(said)
    if found is not None:
        status = int(next(group for group in found.groups() if group))
    else:
        status = next((one.status for one in answers if one.status in _PASSING), 0)
    if not 300 <= status < 600:
        return Outcome(False, plain, retry_after=seconds)
    return from_status(status, seconds, plain)
