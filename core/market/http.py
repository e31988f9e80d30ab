"""The one HTTP client: every request to a source goes through it, and nothing it must not do.

Per source it keeps time-outs, budgets, retries with jitter, Retry-After, a circuit breaker and a
size limit, remembers replies that did not change, and knows how the source is doing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import stamina

from core.errors import SourceError, SourceRefused, SourceReplyWrong, SourceUnavailable
from core.market.breaker import Breaker
from core.market.budgets import Budget, Budgets, BudgetUse
from core.market.replies import Replies, Reply
from core.market.source_state import SourceState, Watched

Check = Callable[[Any], None]

_LONGEST_RETRY_AFTER = 3600.0
_logger = logging.getLogger(__name__)
# Seconds by which a source's clock may differ before it is said.
_CLOCKS_APART = 30.0

# What fails is kept in the source's state; a log line for every attempt would drown the rest.
stamina.instrumentation.set_on_retry_hooks([])


@dataclass(frozen=True)
class Limits:
    """What a request may cost; times in seconds.

    ``patience`` bounds the retries of a call (waiting for the budget included).
    ``longest_queue`` is how long a request waits for its budget before it is refused instead.
    ``budget_share`` is the part of every budget that the worker may spend, ``reader_share`` what
    programs that read sources through this product may.
    ``refused`` is how long a source that refuses is left alone when it does not say so itself,
    ``connections`` how many one source has at a time (a quarter more in the background).
    """

    connect: float = 3.0
    read: float = 5.0
    total: float = 10.0
    patience: float = 30.0
    longest_queue: float = 600.0
    attempts: int = 3
    first_wait: float = 0.2
    longest_wait: float = 3.0
    refused: float = 15.0
    megabytes: float = 32.0
    budget_share: float = 0.8
    reader_share: float = 0.15
    connections: int = 64
    failures_to_open: int = 5
    open_seconds: float = 5.0
    longest_open: float = 30.0
    kept_replies: int = 64


@dataclass(frozen=True)
class _Question:
    watched: Watched
    address: httpx.URL
    headers: Mapping[str, str]
    costs: Mapping[str, int]
    check: Check | None
    background: bool
    keep: bool


class Http:
    """Asks sources, each within its own limits.

    ``budgets`` names the sources; ``endpoints`` puts another address in the place of a source's own
    (tests, proxies); ``transport`` replaces the network; ``now`` is the clock that replies are
    stamped with; ``others_share`` is the part of every budget that others of ours may spend beside
    this. Use it inside ``async with``.
    """

    def __init__(
        self,
        budgets: Mapping[str, Sequence[Budget]],
        limits: Limits | None = None,
        *,
        endpoints: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        others_share: float = 0.0,
    ) -> None:
        self.limits = limits or Limits()
        self._others_share = others_share
        self.now = now
        self._endpoints = {name: httpx.URL(url) for name, url in (endpoints or {}).items()}
        self._watched = {name: self._watch(name, budgets[name]) for name in budgets}
        most = self.limits.connections
        self._slots = {(name, False): asyncio.Semaphore(most) for name in budgets}
        self._slots |= {(name, True): asyncio.Semaphore(max(1, most // 4)) for name in budgets}
        self._replies = Replies(self.limits.kept_replies)
        # The last question of every path that was not answered well yet.
        self._failed: dict[tuple[str, str], _Question] = {}
        self._transport, self._tls = transport, httpx.create_ssl_context(trust_env=False)
        self._clients: dict[str, list[httpx.AsyncClient]] = {name: [] for name in budgets}

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in [one for several in self._clients.values() for one in several]:
            await client.aclose()

    async def get(
        self,
        source: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        charges: Mapping[str, int] | None = None,
        check: Check | None = None,
        fresh_seconds: float = 0.0,
        background: bool = False,
    ) -> Reply:
        """The reply to a GET, asked again where that can help.

        ``charges`` is what it costs of the source's budgets (default: 1 of each). ``check`` raises
        a `SourceError` for a reply that is an error in disguise. A reply younger than
        ``fresh_seconds`` is not asked for again. ``background`` leaves part of the budget to others.

        Raises `SourceUnavailable`, `SourceRefused` (at once while the source is left alone), or
        `SourceReplyWrong`.
        """
        address = self._address(source, url, params)
        if kept := self._replies.recall(source, str(address), fresh_seconds):
            return kept
        watched = self._watched[source]
        costs = charges or {use.name: 1 for use in watched.budgets.use()}
        question = _Question(
            watched, address, headers or {}, costs, check, background, keep=fresh_seconds > 0
        )
        async for attempt in stamina.retry_context(
            on=self._seconds_before_retry,
            attempts=self.limits.attempts,
            timeout=self.limits.patience,
            wait_initial=self.limits.first_wait,
            wait_max=self.limits.longest_wait,
            wait_jitter=self.limits.first_wait,
        ):
            with attempt:
                return await self._ask_in_turn(question)
        raise AssertionError("a retry ends with a reply or an error")

    async def ask_failed_again(self, most: int = 4) -> None:
        """Put a few questions of every source again that failed and were not put again since: what
        is asked seldom would else be thought ill for long."""
        again: Counter[str] = Counter()
        for (source, path), question in list(self._failed.items()):
            again[source] += 1
            if again[source] <= most and path in self.state(source).troubles:
                try:
                    await self._ask_in_turn(question)
                except SourceError:
                    continue  # It is noted in the source's state.

    def state(self, source: str) -> SourceState:
        """How the source is doing now."""
        return self._watched[source].state(self._replies.oldest_seconds(source))

    def states(self) -> tuple[SourceState, ...]:
        """All sources, in the order they were named."""
        return tuple(self.state(source) for source in self._watched)

    def note_failure(self, source: str, reply: Reply, error: SourceError) -> None:
        """Write down a failure that showed only when the reply was read."""
        self._watched[source].note(reply.path, error)

    def note_remarks(self, source: str, reply: Reply, said: Sequence[str]) -> None:
        """Write down what was odd about a reply that could be used all the same."""
        self.remark(source, reply.path, f"{'; '.join(said)}.")

    def remark(self, source: str, what: str, words: str) -> None:
        """Write down what was odd about ``what`` a source said."""
        self._watched[source].remark(what, words)

    def note_used(self, source: str, used: Sequence[BudgetUse]) -> None:
        """Count what another process of ours has spent of a source's budgets."""
        if source in self._watched:
            self._watched[source].budgets.note_spent(used)

    def _watch(self, source: str, budgets: Sequence[Budget]) -> Watched:
        limits = self.limits
        breaker = Breaker(limits.failures_to_open, limits.open_seconds, limits.longest_open)
        spent = Budgets(budgets, limits.budget_share, self._others_share)
        return Watched(source, spent, breaker, self.now)

    @asynccontextmanager
    async def _client(self, source: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client that nobody else uses meanwhile, so that it needs one connection: a pool of many
        looks through all of them at every request."""
        idle = self._clients[source]
        client = idle.pop() if idle else self._new_client()
        try:
            yield client
        finally:
            idle.append(client)

    def _new_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._transport,
            verify=self._tls,
            timeout=httpx.Timeout(self.limits.read, connect=self.limits.connect, pool=None),
            trust_env=False,
        )

    def _address(self, source: str, url: str, params: Mapping[str, str | int] | None) -> httpx.URL:
        address = httpx.URL(url)
        if params:
            address = address.copy_merge_params(dict(params))
        if other := self._endpoints.get(source):
            path = other.raw_path.rstrip(b"/") + address.raw_path
            address = other.copy_with(raw_path=path)
        return address

    def _seconds_before_retry(self, error: Exception) -> bool | float:
        if isinstance(error, SourceRefused):
            wait = error.retry_after
            return wait if wait is not None and wait <= self.limits.longest_wait else False
        return isinstance(error, SourceUnavailable)

    async def _ask_in_turn(self, question: _Question) -> Reply:
        """The budget is booked last, so that a request leaves when it is paid for."""
        watched = question.watched
        watched.secrets.update(value.split()[-1] for value in question.headers.values() if value)
        async with self._slots[watched.source, question.background]:
            watched.refuse_early()
            await watched.budgets.spend(
                question.costs,
                background=question.background,
                longest_wait=self.limits.longest_queue,
            )
            return await self._ask(question)

    async def _ask(self, question: _Question) -> Reply:
        """One request, and what it says about the source."""
        watched, path = question.watched, question.address.path
        watched.admit()
        began = time.monotonic()
        try:
            reply = await self._send_safely(question)
        except SourceRefused as error:
            wait = error.retry_after
            watched.leave_alone(self.limits.refused if wait is None else wait)
            watched.answer(path, error)
            raise
        except SourceUnavailable as error:
            watched.fail(path, error)
            raise
        except SourceReplyWrong as error:
            watched.answer(path, error)
            raise
        except BaseException:
            watched.give_up()
            raise
        self._failed.pop((watched.source, path), None)
        watched.succeed(path, time.monotonic() - began)
        return reply

    async def _send_safely(self, question: _Question) -> Reply:
        """Every failure as a `SourceError` that does not repeat what it was asked with."""
        source = question.watched.source
        self._failed[source, question.address.path] = question
        try:
            return await self._send(question)
        except SourceError as error:
            error.args = (question.watched.hide(str(error)),)
            raise
        except Exception as error:
            _logger.exception("A reply of %s could not be handled.", source)
            kind = type(error).__name__
            raise SourceReplyWrong(f"{source} sent what could not be read ({kind}).") from error

    async def _send(self, question: _Question) -> Reply:
        source, address = question.watched.source, str(question.address)
        headers = {**question.headers, **self._replies.conditions(source, address)}
        try:
            async with (
                asyncio.timeout(self.limits.total),
                self._client(source) as client,
                client.stream("GET", question.address, headers=headers) as response,
            ):
                question.watched.budgets.note_reported(response.headers)
                body = await self._read(source, response)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise SourceUnavailable(f"{source} did not answer in time.") from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise SourceUnavailable(
                f"{source} broke the connection off ({type(error).__name__})."
            ) from error
        if response.status_code == 304 and (kept := self._replies.recall(source, address)):
            return kept
        _check_status(source, response, body, self.limits.refused, self.now())
        reply = Reply(
            json=_parse(source, body),
            seen_at=self._seen_at(question.watched, response),
            headers=response.headers,
            path=question.address.path,
        )
        if question.check:
            question.check(reply.json)
        self._replies.keep(source, address, reply, always=question.keep)
        return reply

    async def _read(self, source: str, response: httpx.Response) -> bytes:
        most = int(self.limits.megabytes * 1_000_000)
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > most:
                raise SourceReplyWrong(
                    f"{source} sent more than {self.limits.megabytes:g} MB in one reply."
                )
        return bytes(body)

    def _seen_at(self, watched: Watched, response: httpx.Response) -> datetime:
        ours = self.now()
        theirs = _time(response.headers.get("date", ""))
        if theirs is None:
            return ours
        if abs(apart := (theirs - ours).total_seconds()) > _CLOCKS_APART:
            way = "behind" if apart < 0 else "ahead of"
            watched.remark("clock", f"its clock is {abs(apart):,.0f} s {way} this machine's.")
        return min(ours, theirs)


def retry_after(text: str, now: datetime) -> float | None:
    """Seconds a Retry-After header asks for, in seconds or as a date; None where it says nothing.

    >>> retry_after("7", datetime(2025, 1, 1, tzinfo=UTC))
    7.0
    >>> retry_after("Wed, 01 Jan 2025 00:00:30 GMT", datetime(2025, 1, 1, tzinfo=UTC))
    30.0
    """
    if text.strip().isdecimal():
        return min(float(text), _LONGEST_RETRY_AFTER)
    until = _time(text)
    if until is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), _LONGEST_RETRY_AFTER)


def _check_status(
    source: str, response: httpx.Response, body: bytes, refused: float, now: datetime
) -> None:
    status = response.status_code
    if status == 200:
        return
    wait = retry_after(response.headers.get("retry-after", ""), now)
    if status in (418, 429):
        raise SourceRefused(
            f"{source} says that it is asked too often ({status}).",
            retry_after=refused if wait is None else wait,
        )
    if status in (401, 403, 451):
        raise SourceRefused(
            f"{source} refuses this address or key ({status}): {_words(body)}",
            retry_after=refused if wait is None else wait,
        )
    if 400 <= status < 500 and status != 408:
        raise SourceReplyWrong(f"{source} does not know this request ({status}): {_words(body)}")
    raise SourceUnavailable(f"{source} is not working ({status}).")


def _parse(source: str, body: bytes) -> Any:
    """NaN and Infinity are let through as numbers: whoever reads a value refuses it alone."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise SourceUnavailable(f"{source} did not send whole JSON: {_words(body)}") from error


def _words(body: bytes) -> str:
    return " ".join(body[:160].decode("utf-8", "replace").split())


def _time(text: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
