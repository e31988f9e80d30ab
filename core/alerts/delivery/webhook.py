"""Webhooks of our own: signed JSON to one address, and nowhere else.

The signature is that of the Standard Webhooks specification, for which receivers find libraries in most
languages (https://www.standardwebhooks.com): ``webhook-id`` is the message's key and the same at every
try, ``webhook-timestamp`` the seconds since 1970 of this try, ``webhook-signature`` is ``v1,`` and the
base64 of HMAC-SHA256 over ``id.timestamp.body`` with the channel's secret. ``Idempotency-Key`` repeats the
key. A receiver answers 2xx within ten seconds; anything else is tried again or given up.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Protocol

import httpcore
import httpx
import orjson

from core.alerts.delivery.addresses import Allowed, resolve
from core.alerts.delivery.hiding import Secrets, hushed, secrets_of
from core.alerts.delivery.line import Line
from core.alerts.delivery.outcome import Outcome, from_status, refused, unreachable
from core.errors import DeliveryError
from core.market.http import retry_after

TOTAL_SECONDS, CONNECT_SECONDS, READ_SECONDS = 15.0, 4.0, 10.0
MOST_BYTES = 4_096
_READ_OUT_SECONDS = 0.5
# As long as a connection that nobody uses is trusted to be open.
_KEPT_SECONDS = 5.0
_ADDRESSES_TRIED = 2
_PREFIX = "whsec_"
_LOWEST_FREE_PORT, _HIGHEST_PORT = 1024, 65_535


class Sent(Protocol):
    """What of a message goes out."""

    @property
    def key(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]: ...
    @property
    def made_at(self) -> datetime: ...


@dataclass(frozen=True)
class Webhook:
    url: str = field(repr=False)
    secret: str = field(repr=False)


def new_secret() -> str:
    """A secret for signatures, as receivers' libraries take it."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def check_webhook(url: str, secret: str, allowed: Allowed) -> None:
    """`DeliveryError` names the part that is wrong."""
    address = _parse(url)
    _check_port(address, allowed)
    _key(secret)
    try:
        resolve(address.host, _port(address), allowed)
    except LookupError as error:
        raise DeliveryError(f"{error} Check the host of the address.") from error


def shown(url: str) -> str:
    """An address without what may be a secret in it.

    >>> shown("https://me:pw@hooks.example:8443/T0KEN/x?key=1")
    'https://hooks.example:8443/...'
    """
    address = _parse(url)
    port = "" if address.port is None else f":{address.port}"
    rest = "/..." if address.raw_path not in (b"", b"/") else "/"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.scheme}://{host}{port}{rest}"


def sign(secret: str, key: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``.

    >>> sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    ...      b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{key}.{timestamp}.".encode() + body
    return (
        "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()
    )


def payload(message: Sent) -> bytes:
    """The body, the same to the byte at every try."""
    content = dict(message.body.get("content", {}))
    said = {
        "id": message.key,
        "type": f"alert.{content.get('kind', 'message')}",
        "timestamp": message.made_at.isoformat(),
        "severity": message.severity,
        "title": message.body.get("title", ""),
        "text": message.body.get("text", ""),
        "data": content,
    }
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)


class OpenWebhook:
    """A webhook with its connection, for the messages of one thread."""

    def __init__(self, webhook: Webhook, allowed: Allowed) -> None:
        self._address, self._key = _parse(webhook.url), webhook.secret
        self._allowed = allowed
        self._secrets = Secrets([*secrets_of(webhook.url), webhook.secret])
        self._line = Line(CONNECT_SECONDS)
        self._connection: httpcore.HTTPConnection | None = None

    def send(self, message: Sent, now: datetime) -> Outcome:
        try:
            _check_port(self._address, self._allowed)
            found = resolve(self._address.host, _port(self._address), self._allowed)
        except DeliveryError as error:
            return refused(str(error))
        except LookupError as error:
            return unreachable(self._secrets.hide(str(error)))
        with hushed():
            return self._send_to(found[:_ADDRESSES_TRIED], message, now)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send_to(self, addresses: list[str], message: Sent, now: datetime) -> Outcome:
        """To the very addresses that were checked, under the name that was asked for."""
        self._line.allow(addresses, TOTAL_SECONDS)
        try:
            return self._post(message, now)
        except httpcore.TimeoutException:
            return unreachable("It did not answer in time.")
        except httpcore.ConnectError as error:
            return unreachable(self._secrets.hide(f"It cannot be connected to: {error}."))
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            return unreachable(f"It broke the connection off ({type(error).__name__}).")

    def _post(self, message: Sent, now: datetime) -> Outcome:
        body = payload(message)
        url = httpcore.URL(
            scheme=self._address.raw_scheme,
            host=self._address.raw_host,
            port=_port(self._address),
            target=self._address.raw_path,
        )
        with self._connected(url).stream(
            "POST",
            url,
            headers=self._headers(message, int(now.timestamp()), body),
            content=body,
            extensions={"timeout": {"read": READ_SECONDS, "write": READ_SECONDS}},
        ) as response:
            answered = httpx.Headers(response.headers)
            said = b""
            if 200 <= response.status < 300:
                self._read_out(response, answered)
            else:
                for part in response.iter_stream():
                    said += part
                    if len(said) >= MOST_BYTES:
                        break
        wait = retry_after(answered.get("retry-after", ""), now)
        words = self._secrets.hide(said[:160].decode("utf-8", "replace"))
        return from_status(response.status, wait, words)

    def _connected(self, url: httpcore.URL) -> httpcore.HTTPConnection:
        """The connection of the message before, where it still can be used, or a new one."""
        kept = self._connection
        if kept is not None and kept.is_idle() and not kept.has_expired() and self._line.leads:
            return kept
        self.close()
        self._connection = httpcore.HTTPConnection(
            url.origin,
            ssl_context=_trusted(),
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=self._line,
        )
        return self._connection

    def _headers(
        self, message: Sent, at: int, body: bytes
    ) -> list[tuple[bytes | str, bytes | str]]:
        headers: list[tuple[bytes | str, bytes | str]] = [
            ("host", self._address.netloc),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("accept-encoding", "identity"),
            ("user-agent", "CryptoSatX"),
            ("idempotency-key", message.key),
            ("webhook-id", message.key),
            ("webhook-timestamp", str(at)),
            ("webhook-signature", sign(self._key, message.key, at, body)),
        ]
        if self._address.userinfo:
            person = f"{self._address.username}:{self._address.password}".encode()
            headers.append(("authorization", f"Basic {base64.b64encode(person).decode()}"))
        return headers

    def _read_out(self, response: httpcore.Response, answered: httpx.Headers) -> None:
        """So that the next message finds the connection open; what was accepted is accepted anyhow."""
        if int(answered.get("content-length") or MOST_BYTES + 1) <= MOST_BYTES:
            self._line.end_within(_READ_OUT_SECONDS)
            with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
                for _ in response.iter_stream():  # never unpacked: it may be packed many times
                    pass


@cache
def _trusted() -> ssl.SSLContext:
    """The usual authorities; to load them takes a while."""
    return httpx.create_ssl_context(trust_env=False)


@contextmanager
def open_webhook(webhook: Webhook, allowed: Allowed) -> Iterator[OpenWebhook]:
    opened = OpenWebhook(webhook, allowed)
    try:
        yield opened
    finally:
        opened.close()


def _parse(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError, TypeError):
        raise DeliveryError(
            "This is no address: write one such as https://host.example/path."
        ) from None
    if address.scheme not in ("https", "http"):
        raise DeliveryError("The address has to begin with https:// or http://.")
    if not address.host:
        raise DeliveryError(
            "The address names no host: write one such as https://host.example/path."
        )
    return address


def _port(address: httpx.URL) -> int:
    return address.port or (443 if address.scheme == "https" else 80)


def _check_port(address: httpx.URL, allowed: Allowed) -> None:
    port = _port(address)
    if address.port == 0 or not 0 < port <= _HIGHEST_PORT:
        raise DeliveryError("The address names no port that there is: leave it out, or write 443.")
    if port < _LOWEST_FREE_PORT and port not in (80, 443) and not allowed.private:
        raise DeliveryError(f"Port {port} is not for webhooks: use 443, 80 or one from 1024 on.")


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 16 <= len(key) <= 128:
        raise DeliveryError(
            "The signing secret has to be whsec_ and 16 to 128 random bytes as base64; leave it empty "
            "to have one made."
        )
    return key
