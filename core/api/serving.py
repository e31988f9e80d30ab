"""One request: who asks and how often, in a thread of its own and for a bounded time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from core.accounts import keys
from core.accounts.keys import Bearer
from core.api.limiting import rates_of
from core.api.problems import FAILED, Refusal, refusal_of, respond
from core.errors import CryptoSatXError
from core.instance import Instance, instance
from core.operations import Context, Operation

_logger = logging.getLogger(__name__)
JSON = "application/json"
# What one request may take, and how many are worked on and wait at a time.
SECONDS, AT_ONCE, WAITING = 20.0, 8, 64
LARGEST_BODY = 64 * 1024
_GRACE_SECONDS = 2.0
_CHALLENGE = 'Bearer realm="CryptoSatX"'


@dataclass(frozen=True)
class Visit:
    """A request of somebody who is known; ``until`` is when to give up, by `time.monotonic`."""

    request: Request
    body: bytes
    here: Instance
    bearer: Bearer
    now: datetime
    until: float

    @property
    def context(self) -> Context:
        """Where an operation runs that this visit asks for."""
        here, person = self.here, self.bearer.person
        return Context(
            here.engine, here.accounts, here.market, here.settings,
            person.username, person.role, self.now, self.until,
        )  # fmt: skip


T = TypeVar("T")
Answer = Callable[[Visit], Response]
_at_once = CapacityLimiter(AT_ONCE)


async def serve(request: Request, answer: Answer) -> Response:
    """What ``answer`` says to the request, or the problem that keeps it from doing so."""
    until = monotonic() + SECONDS
    try:
        _accepts_json(request)
        body = await _read_body(request) if request.method == "POST" else b""
        return await in_thread(_work, request, body, answer, until)
    except Refusal as refusal:
        return respond(refusal)


async def in_thread(work: Callable[..., T], *given: Any) -> T:
    """What ``work`` gives, in a thread; `Refusal` where too much waits already or it takes too long."""
    if _at_once.statistics().tasks_waiting >= WAITING:
        raise Refusal(
            503, "busy", "Too much is asked for at once: try again in a moment.",
            headers={"Retry-After": "1"},
        )  # fmt: skip
    try:
        with anyio.fail_after(SECONDS + _GRACE_SECONDS):
            return await to_thread.run_sync(work, *given, abandon_on_cancel=True, limiter=_at_once)
    except TimeoutError:
        said = f"This took longer than {SECONDS:g} s: ask for less. What writes may still be done."
        raise Refusal(503, "took-too-long", said, headers={"Retry-After": "5"}) from None


def _work(request: Request, body: bytes, answer: Answer, until: float) -> Response:
    headers: dict[str, str] = {}
    try:
        here, now = instance(), datetime.now(UTC)
        bearer, headers = admit(here, request.headers.get("authorization"), now)
        response = answer(Visit(request, body, here, bearer, now, until))
    except (CryptoSatXError, SQLAlchemyError) as error:
        return respond(refusal_of(error), headers)
    except Exception:  # the top of a thread: whatever it was is told as a problem
        _logger.exception("A request to %s failed.", request.url.path)
        return respond(FAILED, headers)
    response.headers.update(headers)
    if keys.is_used_long_ago(bearer, now):
        response.background = BackgroundTask(mark_used, here, bearer, now)
    return response


def admit(
    here: Instance, authorization: str | None, now: datetime
) -> tuple[Bearer, dict[str, str]]:
    """Who asks, and headers that tell what is left of the key's rate; `Refusal` for a stranger and
    for a key that asks too often."""
    bearer = authenticate(here, authorization, now)
    settings = here.settings
    spent = rates_of(settings.api_calls_per_minute, settings.redis_url).spend(bearer.key_id)
    if not spent.allowed:
        raise Refusal(
            429, "too-many-requests",
            f"This key may ask {spent.quota:,} times in {spent.window:,} s: go on in "
            f"{spent.seconds} s.",
            headers=spent.headers,
        )  # fmt: skip
    return bearer, spent.headers


def authenticate(here: Instance, authorization: str | None, now: datetime) -> Bearer:
    """Who the header's key speaks for; `Refusal` for a stranger."""
    scheme, _, text = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise Refusal(
            401, "no-key",
            "Send a key as Authorization: Bearer csx_...; people make theirs on the Account page.",
            headers={"WWW-Authenticate": _CHALLENGE},
        )  # fmt: skip
    with here.accounts.connect() as conn:
        bearer = keys.read(conn, text.strip(), now=now)
    if bearer is None:
        raise Refusal(
            401, "key-not-valid",
            "This key opens nothing: it is unknown, expired or revoked, or its owner is disabled.",
            headers={"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'},
        )  # fmt: skip
    if here.lacks_factor(bearer):
        raise Refusal(
            403, "factor-missing",
            f"Here an administrator needs a second factor before anything else: {bearer.person.username} "
            "sets it up on the Account page.",
        )  # fmt: skip
    return bearer


def allow(operation: Operation[Any], bearer: Bearer) -> None:
    """Refuse what the key's scopes or its owner's role do not allow."""
    if not operation.is_open_to(bearer.scopes):
        error = f'error="insufficient_scope", scope="{operation.scope}"'
        raise Refusal(
            403, "scope-missing", f"This key does not have the scope {operation.scope}.",
            headers={"WWW-Authenticate": f"{_CHALLENGE}, {error}"},
        )  # fmt: skip
    if not operation.admits(bearer.person):
        who = f"{bearer.person.username} is {bearer.person.role}"
        raise Refusal(403, "role-missing", f"This needs the role {operation.role}, and {who}.")


def _accepts_json(request: Request) -> None:
    """Refuse a reader that takes no JSON."""
    accepted = [part.strip() for part in request.headers.get("accept", "*/*").split(",")]
    for part in accepted:
        kind, _, rest = part.partition(";")
        if kind.strip().lower() in ("*/*", "application/*", JSON, "") and "q=0" not in [
            one.strip() for one in rest.split(";")
        ]:
            return
    raise Refusal(406, "not-acceptable", f"Answers are {JSON}: accept that.")


async def _read_body(request: Request) -> bytes:
    """The body, no larger than it may be and said to be JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Refusal(415, "unsupported-media-type", f"Send {JSON}.")
    too_large = Refusal(413, "too-large", f"A body has at most {LARGEST_BODY:,} bytes.")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > LARGEST_BODY:
        raise too_large
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_BODY:
                raise too_large
    except ClientDisconnect:
        raise Refusal(400, "no-body", "The body did not come whole.") from None
    return body


def mark_used(here: Instance, bearer: Bearer, now: datetime) -> None:
    try:
        with here.accounts.begin() as conn:
            keys.mark_used(conn, bearer.key_id, now=now)
    except SQLAlchemyError:
        _logger.warning("The use of a key could not be noted.", exc_info=True)
