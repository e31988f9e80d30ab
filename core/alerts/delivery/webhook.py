"""Webhooks of our own: signed JSON to one address, and nowhere else.

The signature is that of the Standard Webhooks specification, for which receivers find libraries in most
languages (https://www.standardwebhooks.com): ``webhook-id`` is the message's key and the same at every
try, ``webhook-timestamp`` the seconds since 1970 of this try, ``webhook-signature`` is ``v1,`` and the
base64 of HMAC-SHA256 over ``id.timestamp.body`` with the channel's secret. ``Idempotency-Key`` repeats the
key. A receiver answers 2xx within ten seconds; anything else is tried again or given up.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Protocol

import httpx
import orjson

from core.alerts.delivery.addresses import Allowed, resolve
from core.alerts.delivery.hiding import Secrets, hushed, secrets_of
from core.alerts.delivery.outcome import Outcome, from_status, refused, unreachable
from core.errors import DeliveryError
from core.market.http import retry_after

TOTAL_SECONDS, CONNECT_SECONDS, READ_SECONDS = 15.0, 4.0, 10.0
MOST_BYTES = 4_096
_READ_OUT_SECONDS = 0.5
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

    def __init__(self, webhook: Webhook, allowed: Allowed, runner: asyncio.Runner) -> None:
        self._address, self._key = _parse(webhook.url), webhook.secret
        self._allowed, self._runner = allowed, runner
        self._secrets = Secrets([*secrets_of(webhook.url), webhook.secret])
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            verify=_trusted(),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=1),
        )

    def send(self, message: Sent, now: datetime) -> Outcome:
        try:
            _check_port(self._address, self._allowed)
            found = resolve(self._address.host, _port(self._address), self._allowed)
        except DeliveryError as error:
            return refused(str(error))
        except LookupError as error:
            return unreachable(self._secrets.hide(str(error)))
        with hushed():
            return self._runner.run(self._post(message, now, found), context=copy_context())

    def close(self) -> None:
        self._runner.run(self._client.aclose())

    async def _post(self, message: Sent, now: datetime, found: list[str]) -> Outcome:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                *others, last = found[:_ADDRESSES_TRIED]
                for address in others:
                    with suppress(httpx.ConnectError):
                        return await self._post_to(address, message, now)
                return await self._post_to(last, message, now)
        except (TimeoutError, httpx.TimeoutException):
            return unreachable("It did not answer in time.")
        except httpx.ConnectError as error:
            return unreachable(self._secrets.hide(f"It cannot be connected to: {error}."))
        except (httpx.HTTPError, httpx.StreamError) as error:
            return unreachable(f"It broke the connection off ({type(error).__name__}).")
        finally:
            self._client.cookies.clear()

    async def _post_to(self, address: str, message: Sent, now: datetime) -> Outcome:
        """To the very address that was checked, under the name that was asked for."""
        body, at = payload(message), int(now.timestamp())
        headers = {
            "host": self._address.netloc.decode("ascii"),
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "CryptoSatX",
            "idempotency-key": message.key,
            "webhook-id": message.key,
            "webhook-timestamp": str(at),
            "webhook-signature": sign(self._key, message.key, at, body),
        }
        request = self._client.build_request(
            "POST",
            self._address.copy_with(host=address),
            content=body,
            headers=headers,
            extensions={"sni_hostname": self._address.raw_host.decode("ascii")},
        )
        response = await self._client.send(request, stream=True)
        try:
            said = b""
            if response.is_success:
                await _read_out(response)
            else:
                async for part in response.aiter_raw():
                    said += part
                    if len(said) >= MOST_BYTES:
                        break
        finally:
            await response.aclose()
        wait = retry_after(response.headers.get("retry-after", ""), now)
        words = self._secrets.hide(said[:160].decode("utf-8", "replace"))
        return from_status(response.status_code, wait, words)


async def _read_out(response: httpx.Response) -> None:
    """So that the next message finds the connection open; what was accepted is accepted anyhow."""
    if int(response.headers.get("content-length") or MOST_BYTES + 1) <= MOST_BYTES:
        with suppress(httpx.HTTPError, httpx.StreamError, TimeoutError):
            async with asyncio.timeout(_READ_OUT_SECONDS):
                async for _ in response.aiter_raw():  # never unpacked: it may be packed many times
                    pass


@cache
def _trusted() -> ssl.SSLContext:
    """The usual authorities; to load them takes a while."""
    return httpx.create_ssl_context(trust_env=False)


@contextmanager
def open_webhook(webhook: Webhook, allowed: Allowed) -> Iterator[OpenWebhook]:
    with asyncio.Runner() as runner:
        opened = OpenWebhook(webhook, allowed, runner)
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
