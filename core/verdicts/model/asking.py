"""Asking a language model: one question to an endpoint that speaks as OpenAI does, and what came of it.

Whatever a server replies is read here as bytes of bounded length and held against the schema by us,
also where it promises to have done so. Every way to fail is a state of its own.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx2
import openai
import stamina
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel, Field, ValidationError

from core.errors import SourceRefused, SourceUnavailable
from core.market.http import retry_after
from core.settings import OPENAI, Settings, model_endpoint
from core.verdicts.model.answer import (
    LONGEST_CHANGE,
    LONGEST_REASON,
    Judged,
    UnusableAnswer,
    read_answer,
    schema,
)
from core.verdicts.model.question import Question
from core.verdicts.model.secrets import Secrets
from core.verdicts.model.version import same_model

ATTEMPTS = 3
# What a reply may hold: an answer has about 400 tokens, and a model that thinks first needs more.
MOST_TOKENS = 4_000
MOST_BYTES = 256 * 1024
LONGEST_RAW, LONGEST_ERROR = 20_000, 300
_CONNECT_SECONDS = 5.0
# Tokens by which the server may frame what it is sent.
_FRAME_TOKENS = 200


@dataclass(frozen=True)
class Reply:
    """How asking went; ``state`` is one of those in `core.store.tables.verdicts`.

    ``judged`` is there where the state is answered, ``error`` a sentence where it is not. Tokens and
    ``cost_usd`` are None where they are not known for every attempt.
    """

    state: str
    judged: Judged | None = None
    error: str | None = None
    attempts: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    raw_reply: str | None = None

    @property
    def reached(self) -> bool:
        """Whether the endpoint works, whatever the model said."""
        return self.state not in ("timed_out", "failed")


class Endpoint:
    """Where the model of the settings is asked; use what `opened` gives.

    ``first_wait`` is the first pause before a retry, in seconds.
    """

    def __init__(self, settings: Settings, first_wait: float = 0.5) -> None:
        assert settings.model is not None, "there is a model"
        self.model = settings.model
        self.temperature = settings.model_temperature
        self.seconds = settings.model_timeout
        self.prices: Mapping[str, float] | None = settings.model_prices or None
        self._first_wait = first_wait
        url = settings.openai_base_url or OPENAI
        self.address = model_endpoint(settings)
        self._query = dict(parse_qsl(urlsplit(url).query))
        key = settings.openai_api_key
        self._key = key.get_secret_value() if key else ""
        self._basic = _basic(url)
        password = unquote(urlsplit(url).password or "")
        self.secrets = Secrets([self._key, self._basic, password, *self._query.values()])
        for name in ("httpx2", "openai"):  # an address in their logs would tell its query
            logging.getLogger(name).setLevel(logging.WARNING)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Asker]:
        """Connections to it, for as long as the block lasts and on its event loop only."""
        seconds = httpx2.Timeout(self.seconds, connect=min(_CONNECT_SECONDS, self.seconds))
        basic = {"Authorization": f"Basic {self._basic}"} if self._basic and not self._key else {}
        transport = openai.DefaultAsyncHttpxClient(trust_env=False, follow_redirects=False)
        async with openai.AsyncOpenAI(
            # The package wants one also where the server does not.
            api_key=self._key or "none",
            base_url=self.address,
            default_headers={**basic, "Accept-Encoding": "identity"},
            default_query=self._query,
            timeout=seconds,
            max_retries=0,
            http_client=transport,
        ) as client:
            yield Asker(self, client, self._first_wait)

    def worst_usd(self, question: Question) -> float | None:
        """What one attempt can cost at most; None where prices are not known.

        No token is shorter than a byte, and a reply has at most `MOST_TOKENS`.
        """
        sent = json.dumps(question.messages).encode() + json.dumps(schema()).encode()
        return self.cost_usd(len(sent) + _FRAME_TOKENS, MOST_TOKENS)

    def cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        if self.prices is None:
            return None
        spent = prompt_tokens * self.prices["input"] + completion_tokens * self.prices["output"]
        return spent / 1e6


# Asked before each further try, which may cost as much as the first: why there is to be none.
WhyNot = Callable[[], Awaitable[str | None]]


class Asker:
    """An endpoint with its connections open."""

    def __init__(self, endpoint: Endpoint, client: openai.AsyncOpenAI, first_wait: float) -> None:
        self._endpoint, self._client, self._first_wait = endpoint, client, first_wait

    async def ask(self, question: Question, why_not: WhyNot | None = None) -> Reply:
        """Ask, again where that can help and ``why_not`` knows no reason against it, within the
        seconds of the settings.

        Never raises for what an endpoint does.
        """
        tally, began = _Tally(), monotonic()
        try:
            async with asyncio.timeout(self._endpoint.seconds):
                reply = await self._ask(question, why_not, tally, began)
        except TimeoutError:
            reply = self._late(tally)
        except SourceRefused as error:
            reply = Reply("failed", error=str(error))
        except SourceUnavailable as error:
            reply = Reply("timed_out" if isinstance(error, _Silent) else "failed", error=str(error))
        return self._finished(reply, tally, 1000 * (monotonic() - began))

    async def list_models(self) -> list[str] | None:
        """The models that the endpoint says it has; None where it lists none.

        Raises `SourceUnavailable` or `SourceRefused`.
        """
        try:
            async with asyncio.timeout(min(self._endpoint.seconds, 10.0)):
                told = self._endpoint.secrets.told
                return [told(one.id, LONGEST_ERROR) async for one in self._client.models.list()]
        except TimeoutError:
            raise SourceUnavailable(f"{self._endpoint.address} does not answer.") from None
        except openai.NotFoundError:
            return None
        except openai.APIStatusError as error:
            raise SourceRefused(self._status_words(error)) from None
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise SourceUnavailable(self._connection_words(error)) from None
        except (ValueError, AttributeError, TypeError):
            return None  # what is listed is in no form that the package knows

    async def _ask(
        self, question: Question, why_not: WhyNot | None, tally: _Tally, began: float
    ) -> Reply:
        def seconds_before_retry(error: Exception) -> bool | float:
            if not isinstance(error, _Again):
                return False
            left = self._endpoint.seconds - (monotonic() - began)
            wait = error.retry_after
            return left > self._first_wait if wait is None else (wait if wait < left else False)

        async for attempt in stamina.retry_context(
            on=seconds_before_retry,
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=self._first_wait,
            wait_jitter=self._first_wait,
            wait_max=8.0,
        ):
            with attempt:
                if tally.attempts and why_not is not None:
                    reason = await why_not()
                    if reason is not None:
                        raise SourceRefused(f"{tally.last} {reason}")
                tally.begin()
                try:
                    body = await self._send(question, tally)
                except SourceUnavailable as error:
                    tally.last = str(error)
                    raise
                return self._read(body, question, tally)
        raise AssertionError("a retry ends with a reply or an error")

    async def _send(self, question: Question, tally: _Tally) -> bytes | _Unreadable:
        endpoint = self._endpoint
        messages: Any = question.messages
        wanted: list[ChatCompletionMessageParam] = messages
        temperature = openai.omit if endpoint.temperature is None else endpoint.temperature
        try:
            async with self._client.chat.completions.with_streaming_response.create(
                model=endpoint.model,
                messages=wanted,
                max_completion_tokens=MOST_TOKENS,
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "verdict", "strict": True, "schema": schema()},
                },
                temperature=temperature,
            ) as response:
                return await _bounded(response.iter_bytes())
        except openai.APIStatusError as error:
            raise self._refusal(error, tally) from None
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise self._break(error, tally) from None

    def _refusal(self, error: openai.APIStatusError, tally: _Tally) -> Exception:
        """An HTTP error was not billed."""
        tally.end(free=True)
        status, words = error.status_code, self._status_words(error)
        tally.raw = error.response.text if error.response.is_closed else None
        if status in (408, 409, 429) or status >= 500:
            header = error.response.headers.get("retry-after", "")
            return _Again(words, retry_after(header, datetime.now(UTC)))
        return SourceRefused(words)

    def _break(self, error: Exception, tally: _Tally) -> Exception:
        """What broke off after it was sent may have been answered, and billed, out there."""
        cause = error if isinstance(error, httpx2.HTTPError) else error.__cause__
        never_there = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
        tally.end(free=never_there)
        if isinstance(cause, httpx2.TimeoutException) and not never_there:
            return _Silent(f"No answer within {self._endpoint.seconds:g} s.")
        return _Again(self._connection_words(error), None)

    def _connection_words(self, error: Exception) -> str:
        cause = error.__cause__ or error
        said = self._endpoint.secrets.told(str(cause), 120) or type(cause).__name__
        return f"{self._endpoint.address} cannot be reached: {said}"

    def _status_words(self, error: openai.APIStatusError) -> str:
        body = error.body
        said = body.get("message") if isinstance(body, dict) else body
        words = self._endpoint.secrets.told(str(said or ""), 200)
        return f"The endpoint answered {error.status_code}" + (f": {words}" if words else ".")

    def _read(self, body: bytes | _Unreadable, question: Question, tally: _Tally) -> Reply:
        """What a reply of 200 comes to."""
        if isinstance(body, _Unreadable):
            tally.end()
            return Reply("invalid", error=body.why)
        text = body.decode("utf-8", "replace")
        tally.raw = text
        tally.end(_usage(text))
        try:
            completion = _Completion.model_validate_json(text)
        except ValidationError:
            return Reply("invalid", error="The reply is no chat completion.")
        choice = completion.choices[0]
        message = choice.message
        if message.refusal:
            return Reply("refused", error=f"It said: {message.refusal}")
        if choice.finish_reason == "content_filter":
            return Reply("refused", error="A filter of the provider held the answer back.")
        if choice.finish_reason == "length":
            return Reply("cut_off", error="The answer was cut off at its longest.")
        if choice.finish_reason != "stop":
            how = choice.finish_reason or "nothing that says so"
            return Reply("invalid", error=f"The answer ended with {how} instead of stop.")
        if not same_model(self._endpoint.model, completion.model):
            return Reply("invalid", error=f"Another model answered: {completion.model}.")
        if not message.content:
            return Reply("invalid", error="The reply is empty.")
        try:
            judged = read_answer(message.content, question.bounds)
        except UnusableAnswer as error:
            return Reply("invalid", error=str(error))
        return Reply("answered", self._without_secrets(judged))

    def _without_secrets(self, judged: Judged) -> Judged:
        told = self._endpoint.secrets.told
        return replace(
            judged,
            reasons=tuple((factor, told(text, LONGEST_REASON)) for factor, text in judged.reasons),
            change_of_mind=told(judged.change_of_mind, LONGEST_CHANGE),
        )

    def _late(self, tally: _Tally) -> Reply:
        if tally.under_way:
            return Reply("timed_out", error=f"No answer within {self._endpoint.seconds:g} s.")
        return Reply("failed", error=tally.last or "There was no time left.")

    def _finished(self, reply: Reply, tally: _Tally, latency_ms: float) -> Reply:
        if tally.under_way:
            tally.end()
        tokens = tally.tokens if tally.unknown == 0 else None
        cost = None if tokens is None else self._endpoint.cost_usd(*tokens)
        secrets = self._endpoint.secrets
        heard = tally.tokens if tally.answered else (None, None)
        return replace(
            reply,
            error=None if reply.error is None else secrets.told(reply.error, LONGEST_ERROR),
            attempts=tally.attempts,
            prompt_tokens=heard[0],
            completion_tokens=heard[1],
            cost_usd=cost,
            latency_ms=latency_ms,
            raw_reply=None if tally.raw is None else secrets.kept(tally.raw, LONGEST_RAW),
        )


class _Again(SourceUnavailable):
    """Asking once more may help, after so many seconds where the endpoint said."""

    def __init__(self, words: str, wait: float | None) -> None:
        self.retry_after = wait
        super().__init__(words)


class _Silent(SourceUnavailable):
    """The endpoint did not answer in time."""


@dataclass(frozen=True)
class _Unreadable:
    why: str


@dataclass
class _Tally:
    """What the attempts of a question have taken so far."""

    attempts: int = 0
    unknown: int = 0
    tokens: tuple[int, int] = (0, 0)
    answered: bool = False
    under_way: bool = False
    last: str = ""
    raw: str | None = field(default=None, repr=False)

    def begin(self) -> None:
        self.attempts += 1
        self.under_way = True

    def end(self, tokens: tuple[int, int] | None = None, *, free: bool = False) -> None:
        """An attempt is over, with the tokens it took, or none, or nobody knows how many."""
        self.under_way = False
        if tokens is not None:
            self.tokens = (self.tokens[0] + tokens[0], self.tokens[1] + tokens[1])
            self.answered = True
        elif not free:
            self.unknown += 1


Tokens = Annotated[int, Field(ge=0, le=10_000_000)]


class _Usage(BaseModel):
    prompt_tokens: Tokens
    completion_tokens: Tokens


class _Used(BaseModel):
    usage: _Usage


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    model: str | None = None


def _usage(text: str) -> tuple[int, int] | None:
    try:
        usage = _Used.model_validate_json(text).usage
    except ValidationError:
        return None
    return usage.prompt_tokens, usage.completion_tokens


async def _bounded(parts: AsyncIterator[bytes]) -> bytes | _Unreadable:
    """A body that is not longer than `MOST_BYTES`; the rest of a longer one is not read."""
    body = bytearray()
    try:
        async for part in parts:
            body += part
            if len(body) > MOST_BYTES:
                return _Unreadable(f"The reply is longer than {MOST_BYTES // 1024} kB.")
    except httpx2.DecodingError:
        return _Unreadable("The reply cannot be unpacked.")
    return bytes(body)


def _basic(url: str) -> str:
    """User and password of an address as a header takes them; empty where it has none."""
    parts = urlsplit(url)
    if parts.username is None:
        return ""
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return base64.b64encode(pair.encode()).decode()
