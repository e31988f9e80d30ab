"""Answers that come while a round takes them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pandas as pd

from core.jobs.asking import Asking, Question
from core.market.symbols import Contract

BAR = datetime(2025, 6, 2, 12, tzinfo=UTC)
MANY = [
    Question("okx", "long_short", Contract("okx", f"{name}-USDT-SWAP", name, "USDT"))
    for name in ("BTC", "ETH")
]


def test_what_comes_while_a_round_takes_is_taken_once_and_held_until_it_is_stored() -> None:
    first, second = MANY

    async def answer(question: Question, _: datetime | None) -> pd.DataFrame:
        if question == second:
            await late.wait()
        said = {"symbol": [question.contract.symbol], "published_at": [pd.Timestamp(BAR)]}
        return pd.DataFrame(said)

    async def ask() -> None:
        asking = Asking(answer, lambda: BAR)
        asking.expect(MANY, {})
        while not (early := asking.take()):
            await asyncio.sleep(0.01)
        assert _symbols(early) == [first.contract.symbol]
        late.set()
        while not (more := asking.take_more()):
            await asyncio.sleep(0.01)
        assert _symbols(more) == [second.contract.symbol]
        assert asking.take_more() == {}
        assert len(_symbols(asking.take())) == 2, "what is not stored is taken again"
        asking.confirm()
        assert asking.take() == {}
        await asking.stop()

    late = asyncio.Event()
    asyncio.run(ask())


def _symbols(found: dict[str, list[pd.DataFrame]]) -> list[str]:
    return [symbol for rows in found.get("long_short", []) for symbol in rows["symbol"]]
