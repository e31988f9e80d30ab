"""Plans: stop, target and size of a signal for somebody's own account."""

from __future__ import annotations

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
    Verdict,
    Word,
    check_symbols,
    direction_of,
    known,
)
from core.plan import Account, plan_row
from core.store.verdicts import load_verdict_of
from core.verdicts import settle_row

_USUAL = Account()
_NUMBERS = (
    "entry_price", "stop_price", "target_price", "liquidation_price", "quantity", "notional_usd",
    "risk_usd", "size_multiplier", "counterfactual_entry_price", "counterfactual_stop_price",
    "counterfactual_target_price", "multiplier",
)  # fmt: skip


class PlanAsked(OneAsked):
    equity_usd: float = Field(
        _USUAL.equity_usd, gt=0, le=1e12, description="Equity of the account, USD."
    )
    risk_fraction: float = Field(
        _USUAL.risk_fraction,
        gt=0,
        le=0.2,
        description="Part of the equity that is lost at the stop of a full-size trade, fraction.",
    )
    leverage: float = Field(
        _USUAL.leverage, ge=1, le=125, description="Leverage of the account, times."
    )


class Plan(Result):
    """A plan, or why there is none; prices in quote currency."""

    symbol: str = Field(description=SYMBOL)
    time: datetime = Field(description="Close of the signal's bar, UTC.")
    direction: Direction | None = Field(description="Direction of the signal.")
    verdict: Verdict | None = Field(description="The verdict that stands.")
    multiplier: Number = Field(description="Size that the verdict allows, times the normal risk.")
    no_plan: Word = Field(description="Why there is no plan; null where there is one.")
    entry_price: Number = Field(description="Close of the bar, for a trade at the next open.")
    stop_price: Number = Field(description="Where the loss is taken.")
    target_price: Number = Field(description="Where the profit is taken.")
    liquidation_price: Number = Field(description="Where the position would be liquidated.")
    quantity: Number = Field(description="Base units, a whole number of lots.")
    notional_usd: Number = Field(description="Value of the position, USD.")
    risk_usd: Number = Field(description="Loss at the stop before costs, USD.")
    size_multiplier: Number = Field(
        description="0.25..2, of the size that the market's normal volatility would give."
    )
    binding_cap: Word = Field(
        description="What limited the size: none, leverage, size ceiling, size floor, lot."
    )
    counterfactual_entry_price: Number = Field(
        description="Of WAIT and SKIP what would have been: the entry."
    )
    counterfactual_stop_price: Number = Field(description="The same: the stop.")
    counterfactual_target_price: Number = Field(description="The same: the target.")


def one(context: Context, asked: PlanAsked) -> Plan:
    """The stored row planned again for this account, as the Symbol page does."""
    account = Account(
        equity_usd=asked.equity_usd, risk_fraction=asked.risk_fraction, leverage=asked.leverage
    )
    with context.reading() as conn:
        check_symbols(conn, [asked.symbol])
        stored = stored_signal(conn, asked.symbol, asked.mode, asked.time, asked.version)
        time = cast("tuple[str, pd.Timestamp]", stored.name)[1].to_pydatetime()
        said = load_verdict_of(conn, asked.symbol, asked.mode, time, asked.version)
    planned = plan_row(settle_row(stored, said), account)
    return Plan(
        symbol=asked.symbol,
        time=time,
        direction=direction_of(planned["direction"]),
        **{name: known(planned[name]) for name in (*_NUMBERS, "verdict", "no_plan", "binding_cap")},
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        "plans_one",
        "Plan of a signal",
        "Entry, stop, target, quantity and risk of a signal for an account of this equity, risk and "
        "leverage, or why there is no plan. Not investment advice.",
        "plans",
        "trader",
        "plans.read",
        PlanAsked,
        one,
        result=Plan,
        examples=({"symbol": "BTCUSDT", "equity_usd": 25_000, "risk_fraction": 0.005},),
        path="/plans/{symbol}",
        state=record_state,
    ),
)
