"""Errors as RFC 9457 tells them: application/problem+json, whatever went wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from core.errors import (
    AccessDenied,
    AccountError,
    BacktestError,
    CryptoSatXError,
    DeliveryError,
    ProfileError,
    RecordingError,
    RuleError,
    SourceError,
    SourceKeyMissing,
    SourceRefused,
    SourceReplyWrong,
    StoreError,
    TookTooLong,
)
from core.operations import NotThere, UnknownOperation, WrongParameters

_logger = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_AGAIN_SECONDS = 5


class Fault(BaseModel):
    """One thing that is wrong with what was sent."""

    field: str = Field(description='The parameter it is about; "" for the whole.')
    message: str = Field(description="What is wrong, and what would be right.")


class Problem(BaseModel):
    """What went wrong, as RFC 9457 tells it."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Names the kind of problem; the same for all of a kind.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time, and what to do.")
    errors: list[Fault] = Field(
        default=[], description="What is wrong with the parameters, one by one."
    )


class Refusal(CryptoSatXError):
    """An answer that is a problem: status, kind and sentence."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.kind, self.faults = status, kind, list(faults)
        self.headers = dict(headers or {})
        super().__init__(detail)


# What nobody foresaw is in the log, and told as nothing more.
FAILED = Refusal(500, "failed", "This failed here, and not for what was sent; the log says why.")


def respond(refusal: Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """The response of a problem."""
    told = Problem(
        type=f"urn:cryptosatx:problem:{refusal.kind}",
        title=refusal.kind.replace("-", " ").capitalize(),
        status=refusal.status,
        detail=str(refusal),
        errors=refusal.faults,
    )
    return Response(
        told.model_dump_json(),
        refusal.status,
        {"Cache-Control": "no-store", **(headers or {}), **refusal.headers},
        MEDIA_TYPE,
    )


def refusal_of(error: CryptoSatXError | SQLAlchemyError) -> Refusal:
    """What an error that can be expected means to whoever asked."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, WrongParameters):
        faults = [Fault(field=field, message=said) for field, said in error.faults.items()]
        return Refusal(422, "wrong-parameters", str(error), faults=faults)
    if isinstance(error, RuleError):
        return Refusal(422, "rule-refused", str(error), faults=_rule_fault(error))
    if isinstance(error, SourceRefused):
        wait = _AGAIN_SECONDS if error.retry_after is None else math.ceil(error.retry_after)
        return Refusal(429, "source-busy", str(error), headers={"Retry-After": str(max(wait, 1))})
    for kinds, status, kind in _KNOWN:
        if isinstance(error, kinds):
            return Refusal(status, kind, str(error), headers=_again(status))
    if isinstance(error, OperationalError | PoolTimeout):
        _logger.warning("The database does not answer as it should.", exc_info=error)
        detail = "The database does not answer as it should: try again in a moment."
        return Refusal(503, "database-away", detail, headers=_again(503))
    _logger.error("An operation raised what the API has no answer for.", exc_info=error)
    return FAILED


def refusal_of_http(error: HTTPException) -> Refusal:
    """The same of what the framework itself refuses, such as an address that is none."""
    words = {404: "There is nothing at this address.", 405: "This address takes another method."}
    phrase = HTTPStatus(error.status_code).phrase
    kind = phrase.lower().replace(" ", "-")
    detail = words.get(error.status_code, f"{phrase}.")
    return Refusal(error.status_code, kind, detail, headers=error.headers)


_KNOWN: tuple[tuple[Any, int, str], ...] = (
    (UnknownOperation, 404, "unknown-operation"),
    (NotThere, 404, "not-there"),
    (AccessDenied, 403, "not-allowed"),
    ((BacktestError, ProfileError, AccountError, DeliveryError, RecordingError), 422, "refused"),
    (TookTooLong, 503, "took-too-long"),
    (StoreError, 503, "database-away"),
    (SourceKeyMissing, 424, "source-key-missing"),
    (SourceReplyWrong, 424, "source-refused"),
    (SourceError, 503, "source-away"),
)


def _again(status: int) -> dict[str, str]:
    return {"Retry-After": str(_AGAIN_SECONDS)} if status == 503 else {}


def _rule_fault(error: RuleError) -> list[Fault]:
    if error.position is None:
        return [Fault(field=error.field, message=str(error))] if error.field else []
    where = f"at character {error.position + 1}: {error}"
    return [Fault(field="expression", message=where)]
