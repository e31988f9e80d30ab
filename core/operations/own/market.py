"""Markets: which there are, their bars, and the profiles that judge them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from core.operations.cursors import read_cursor, write_cursor
from core.operations.own.ledger import Nothing
from core.operations.own.shared import Values, market_state, values_of
from core.operations.registry import Context, NotThere, Operation, Parameters
from core.operations.values import (
    END,
    MODE,
    START,
    SYMBOL,
    Cursor,
    Limit,
    Line,
    Mode,
    Moment,
    Number,
    Page,
    Result,
    Symbol,
    Time,
    Version,
    Whole,
    Word,
    check_symbols,
    known,
    page_of,
)
from core.signals import PROFILE_NAMES, Profile
from core.store.coins import load_coins
from core.store.profiles import load_schedules, load_settings, load_versions
from core.store.signals import last_times, load_bars, load_symbols, market_range
from core.store.tracing import load_stored_profile


class About(Result):
    """What this server serves."""

    kind: str = Field(description="live, demo (simulated) or recording.")
    label: str = Field(description="The same for people.")
    simulated: bool = Field(description="Whether its numbers are invented.")
    first_bar_at: Time = Field(description="Close of the first stored bar, UTC.")
    last_bar_at: Time = Field(description="Close of the newest stored bar, UTC.")
    now: datetime = Field(description="The server's clock, UTC.")


def about(context: Context, _: Nothing) -> About:
    with context.reading() as conn:
        first, last = market_range(conn) or (None, None)
    market = context.market
    return About(
        kind=market.kind,
        label=market.label,
        simulated=market.simulated,
        first_bar_at=first,
        last_bar_at=last,
        now=context.now,
    )


class SymbolsAsked(Parameters):
    search: Line = Field("", max_length=64, description="Part of a symbol or of a coin's name.")
    limit: Limit = 500
    cursor: Cursor = None


class Market(Result):
    """A market that has signals."""

    symbol: str = Field(description=SYMBOL)
    coin: Word = Field(description="Name of its coin where it is certain, else null.")
    coin_id: Word = Field(description="Id of the coin at CoinGecko.")
    rank: Whole = Field(description="Rank of the coin by market value.")
    market_cap_usd: Number = Field(description="Market value of the coin, USD.")
    coin_seen_at: Time = Field(description="When the coin was last asked about, UTC.")


def symbols(context: Context, asked: SymbolsAsked) -> dict[str, Any]:
    place = read_cursor("symbols_list", asked, asked.cursor, tuple[str])
    with context.reading() as conn:
        names, coins = stored_symbols(conn), load_coins(conn)
    wanted, found = asked.search.strip().upper(), []
    for name in names:
        coin = coins.loc[name].to_dict() if name in coins.index else {}
        if wanted in name.upper() or wanted in str(coin.get("name", "")).upper():
            found.append((name, coin))
    behind = [row for row in found if place is None or row[0] > place[0]]
    return page_of(
        behind,
        asked.limit,
        lambda each: write_cursor("symbols_list", asked, (each[0],)),
        lambda each: Market(
            symbol=each[0],
            coin=known(each[1].get("name")),
            coin_id=known(each[1].get("coin_id")),
            rank=known(each[1].get("rank")),
            market_cap_usd=known(each[1].get("market_cap_usd")),
            coin_seen_at=known(each[1].get("seen_at")),
        ),
    )


def stored_symbols(conn: Connection) -> list[str]:
    """The symbols of every market that has signals, sorted."""
    return sorted({name for mode in PROFILE_NAMES for name in load_symbols(conn, mode)})


class BarsAsked(Parameters):
    symbol: Symbol = Field(description=SYMBOL, examples=["BTCUSDT"])
    start: Moment | None = Field(None, description=START)
    end: Moment | None = Field(None, description=END)
    limit: Limit = 100
    cursor: Cursor = None


class Bar(Values):
    """A bar as it was known when it closed."""

    time: datetime = Field(description="Close of the bar, UTC.")


def bars(context: Context, asked: BarsAsked) -> dict[str, Any]:
    place = read_cursor("bars_list", asked, asked.cursor, tuple[Moment])
    with context.reading() as conn:
        check_symbols(conn, [asked.symbol])
        times = last_times(
            conn,
            asked.symbol,
            None,
            limit=asked.limit + 1,
            before=None if place is None else place[0],
            start=asked.start,
            end=asked.end,
        )
        if not times:
            return {"items": [], "next_cursor": None}
        frame = load_bars(conn, asked.symbol, times[-1], times[0]).iloc[::-1]
    return page_of(
        list(frame.iterrows()),
        asked.limit,
        lambda each: write_cursor("bars_list", asked, (each[0].to_pydatetime(),)),
        lambda each: Bar(time=each[0], **values_of(each[1].to_dict())),
    )


class InForce(Result):
    """Which version of a mode decides the bars from a moment on."""

    mode: str = Field(description="The mode.")
    version: str = Field(description="Version of its profile.")
    from_at: Time = Field(description="From this bar on, UTC; null: since the beginning.")
    set_by: Word = Field(description="Who put it in force; null: it is the built-in one.")
    set_at: Time = Field(description="When that was decided, UTC.")


class StoredVersion(Result):
    """A stored version of a mode."""

    mode: str = Field(description="The mode.")
    version: str = Field(description="16 hexadecimal digits over every number of it.")
    created_at: datetime = Field(description="Since when it is stored, UTC.")


class Profiles(Result):
    """The modes, what decides in each, and every stored version."""

    in_force: list[InForce] = Field(description="What decides bars, the oldest of a mode first.")
    versions: list[StoredVersion] = Field(description="Every stored version, the newest first.")


def profiles(context: Context, _: Nothing) -> Profiles:
    with context.reading() as conn:
        schedules, settings = load_schedules(conn), load_settings(conn)
        versions = load_versions(conn)
    made = {(one.profile_name, one.from_at, one.profile_version): one for one in reversed(settings)}
    found = []
    for schedule in schedules:
        mode = schedule.first.name
        for from_at, profile in ((None, schedule.first), *schedule.changes):
            one = None if from_at is None else made.get((mode, from_at, profile.version))
            found.append(
                InForce(
                    mode=mode,
                    version=profile.version,
                    from_at=from_at,
                    set_by=None if one is None else one.set_by,
                    set_at=None if one is None else one.set_at,
                )
            )
    return Profiles(
        in_force=found,
        versions=[
            StoredVersion(
                mode=one.profile.name, version=one.profile.version, created_at=one.created_at
            )
            for one in versions
        ],
    )


class ProfileAsked(Parameters):
    mode: Mode = Field(description=MODE, examples=["balanced"])
    version: Version | None = Field(
        None, description="Version of it, 16 hexadecimal digits; by default the one in force now."
    )


class Numbers(Result):
    """Every number of a profile."""

    mode: str = Field(description="The mode.")
    version: str = Field(description="16 hexadecimal digits over every number.")
    windows_version: str = Field(description="The same over the windows alone.")
    profile: Profile = Field(description="Weights, windows in hours, thresholds and rules.")


def profile(context: Context, asked: ProfileAsked) -> Numbers:
    with context.reading() as conn:
        (schedule,) = load_schedules(conn, [asked.mode])
        found: Profile | None = schedule.at(context.now)
        if asked.version is not None and asked.version != schedule.first.version:
            found = load_stored_profile(conn, asked.mode, asked.version)
        elif asked.version is not None:
            found = schedule.first
    if found is None:
        raise NotThere(f"There is no version {asked.version} of {asked.mode}.")
    return Numbers(
        mode=asked.mode,
        version=found.version,
        windows_version=found.windows_version,
        profile=found,
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        "market_about",
        "The market behind this server",
        "Whether it is live, recorded or simulated, which bars are stored, and the server's clock.",
        "market",
        "trader",
        "market.read",
        Nothing,
        about,
        result=About,
        examples=({},),
        path="/market",
    ),
    Operation(
        "symbols_list",
        "Markets and their coins",
        "Every market that has signals, with the name, rank and value of its coin where it is certain.",
        "market",
        "trader",
        "market.read",
        SymbolsAsked,
        symbols,
        result=Page[Market],
        examples=({"search": "BTC"},),
        path="/symbols",
        state=market_state,
    ),
    Operation(
        "bars_list",
        "Bars of a market",
        "Hourly bars of one market with everything that was known when they closed, the newest first.",
        "market",
        "trader",
        "market.read",
        BarsAsked,
        bars,
        result=Page[Bar],
        examples=({"symbol": "BTCUSDT", "limit": 24},),
        path="/bars/{symbol}",
        state=market_state,
    ),
    Operation(
        "profiles_list",
        "Modes and their versions",
        "Which version of each mode decides which bars, and every version that is stored.",
        "market",
        "trader",
        "market.read",
        Nothing,
        profiles,
        result=Profiles,
        examples=({},),
        path="/profiles",
    ),
    Operation(
        "profiles_one",
        "One profile with its numbers",
        "Weights, windows, thresholds and rules of a mode, of any stored version.",
        "market",
        "trader",
        "market.read",
        ProfileAsked,
        profile,
        result=Numbers,
        examples=({"mode": "balanced"},),
        path="/profiles/{mode}",
    ),
)
