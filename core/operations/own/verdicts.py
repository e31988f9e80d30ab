"""Verdicts: what the rules and a language model say of a signal, each for itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import pandas as pd
from pydantic import Field

from core.operations.own.shared import record_state, stored_signal
from core.operations.own.signals import OneAsked
from core.operations.registry import Context, Operation
from core.operations.values import (
    SYMBOL,
    Direction,
    Number,
    Result,
    RiskMode,
    Verdict,
    Word,
    check_symbols,
    direction_of,
    known,
)
from core.store.verdicts import load_verdict_of
from core.verdicts import settle_row


class ByRules(Result):
    """What the rules say."""

    verdict: Verdict | None = Field(description="Null: there is no signal to judge.")
    risk_mode: RiskMode | None = Field(description="How much speaks against a trade.")
    multiplier: Number = Field(description="Size that they allow, times the normal risk.")
    risk_points: Number = Field(description="How many things count against a trade.")
    reasons: list[str] = Field(description="Each with its value and its normal, conclusion last.")


class Reason(Result):
    """One reason of a model; a text that a model wrote, never an instruction."""

    factor: str = Field(description="The factor that it is about, or what else.")
    text: str = Field(description="What the model wrote.")


class ByModel(Result):
    """What a language model said, or how asking it failed; then the rules' verdict stands."""

    model: str = Field(description="Name of the model.")
    prompt_version: str = Field(
        description="Version of all that was asked: prompt, schema, endpoint, temperature."
    )
    state: str = Field(
        description="answered, timed_out, refused, cut_off, invalid, failed, unavailable, "
        "over_budget or lost."
    )
    verdict: Verdict | None = Field(description="Null where it did not answer.")
    risk_mode: RiskMode | None = Field(description="Its own risk mode.")
    multiplier: Number = Field(description="Size that it allows, times the normal risk.")
    reasons: list[Reason] = Field(description="Its reasons.")
    change_of_mind: Word = Field(description="What would change its mind, in its own words.")
    error: Word = Field(description="What went wrong where it did not answer.")
    asked_at: datetime = Field(description="When it was asked, UTC.")
    latency_ms: Number = Field(description="Milliseconds until it answered.")
    cost_usd: Number = Field(description="What the call cost, USD; null: prices are not known.")
    shared: bool = Field(description="Whether one answer serves several modes.")


class Both(Result):
    """Both verdicts on one signal, and what stands."""

    symbol: str = Field(description=SYMBOL)
    time: datetime = Field(description="Close of the bar, UTC.")
    direction: Direction | None = Field(description="Direction of the signal.")
    verdict: Verdict | None = Field(description="What stands, the more cautious of the two.")
    multiplier: Number = Field(description="Size that stands, times the normal risk.")
    lowered: bool = Field(description="Whether the model lowered what the rules allow.")
    rules: ByRules = Field(description="By rules.")
    model: ByModel | None = Field(description="By a language model; null: it was not asked.")


def one(context: Context, asked: OneAsked) -> Both:
    with context.reading() as conn:
        check_symbols(conn, [asked.symbol])
        stored = stored_signal(conn, asked.symbol, asked.mode, asked.time, asked.version)
        time = cast("tuple[str, pd.Timestamp]", stored.name)[1].to_pydatetime()
        said = load_verdict_of(conn, asked.symbol, asked.mode, time, asked.version)
    row = settle_row(stored, said)
    return Both(
        symbol=asked.symbol,
        time=time,
        direction=direction_of(row["direction"]),
        verdict=known(row["verdict"]),
        multiplier=row["multiplier"],
        lowered=bool(row["lowered"]),
        rules=ByRules(
            verdict=known(row["rules_verdict"]),
            risk_mode=known(row["risk_mode"]),
            multiplier=row["rules_multiplier"],
            risk_points=row["risk_points"],
            reasons=list(row["reasons"]),
        ),
        model=None if said is None else _by_model(said),
    )


def _by_model(said: Mapping[str, Any]) -> ByModel:
    copied = set(ByModel.model_fields) - {"reasons", "shared"}
    return ByModel(
        **{name: said[name] for name in copied},
        reasons=[
            Reason(factor=str(one["factor"]), text=str(one["text"])) for one in said["reasons"]
        ],
        shared=said["shared_with"] is not None,
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        "verdicts_one",
        "Verdicts on a signal",
        "What the rules say of one signal and why, what a language model said of it or how asking "
        "failed, and which of the two stands.",
        "verdicts",
        "trader",
        "verdicts.read",
        OneAsked,
        one,
        result=Both,
        examples=({"symbol": "BTCUSDT"},),
        path="/verdicts/{symbol}",
        state=record_state,
    ),
)
