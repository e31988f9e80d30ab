"""`python -m core replay`: a recording through the whole pipeline into its database."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from time import monotonic
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from sqlalchemy import Connection, Engine, func, select

from core.commands.console import beside, out
from core.market.choice import Market, database_url, market_at
from core.replay import PROFILES, Replayed, replay
from core.replay import Progress as Step
from core.settings import ROOT, Settings, load_settings
from core.store import open_store
from core.store.signals import load_newest
from core.store.tables import signals
from core.verdicts.rules import VERDICTS


def command(
    path: Annotated[str, typer.Argument(help="Folder of a recording, or demo.")],
    start: Annotated[
        str | None, typer.Option(help="First bar to store, UTC; earlier ones serve as history.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="Last bar to store, UTC.")] = None,
    symbols: Annotated[
        str | None, typer.Option(help="Only these, separated by commas: BTCUSDT,ETHUSDT.")
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="Only this profile; may be given more than once.")
    ] = None,
) -> None:
    """Run a recording through the whole pipeline into its database; do it again to go on."""
    began = monotonic()
    settings = load_settings()
    market = market_at(path, settings)
    if market.kind == "demo":
        _make_demo(market)
    url = database_url(settings, market)
    engine = open_store(url, market.key)
    profiles = tuple(dict.fromkeys(profile)) if profile else PROFILES
    wanted = [name.strip().upper() for name in symbols.split(",")] if symbols else None
    with _progress_bar() as bar:
        tasks: dict[str, TaskID] = {}

        def show(step: Step) -> None:
            if step.profile not in tasks:
                tasks[step.profile] = bar.add_task(step.profile, total=step.rows_total)
            bar.update(tasks[step.profile], completed=step.rows_done)

        stored = replay(
            market, engine, profiles=profiles, start=start, end=end, symbols=wanted, progress=show
        )
    with engine.connect() as conn:
        _summarise(conn, profiles)
    _close(path, market, settings, engine, stored, monotonic() - began)
    engine.dispose()


def fill(market: Market, engine: Engine) -> None:
    """Work a market's past through, where that has not been done."""
    if market.kind == "demo":
        _make_demo(market)
    replay(market, engine)


def _make_demo(market: Market) -> None:
    from core.market.demo import write_demo

    assert market.path is not None
    if not market.path.is_dir():
        with beside.status("Simulating the demo market"):
            write_demo(market.path)


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("bars"),
        TimeElapsedColumn(),
        console=beside,
        disable=not beside.is_terminal,
    )


def _summarise(conn: Connection, profiles: Sequence[str]) -> None:
    newest = load_newest(conn, profiles[0]).reset_index()
    table = Table("symbol", "newest bar", "coverage", "signal", title=f"Newest bar, {profiles[0]}")
    silent = newest["no_signal"].notna()
    for row in newest[~silent].to_dict("records"):
        side = {-1.0: "SHORT", 0.0: "NEUTRAL", 1.0: "LONG"}[row["direction"]]
        said = f"{side} {row['score']:.1f}, {row['verdict']}"
        when = f"{row['time']:%Y-%m-%d %H:%M} UTC"
        table.add_row(row["symbol"], when, f"{row['coverage']:.2f}", said)
    if not silent.all():
        out.print(table)
    for reason, group in newest[silent].groupby("no_signal"):
        out.print(f"No signal for {', '.join(group['symbol'])}: {reason}.")
    counts = Table("profile", *VERDICTS, "no signal", title="Verdicts of all bars")
    for profile in profiles:
        found = _verdict_counts(conn, profile)
        counts.add_row(profile, *(f"{found.get(name, 0):,}" for name in (*VERDICTS, None)))
    out.print(counts)


def _verdict_counts(conn: Connection, profile: str) -> dict[str | None, int]:
    query = (
        select(signals.c.verdict, func.count())
        .where(signals.c.profile_name == profile)
        .group_by(signals.c.verdict)
    )
    return {row[0]: row[1] for row in conn.execute(query)}


def _close(
    path: str, market: Market, settings: Settings, engine: Engine, stored: Replayed, seconds: float
) -> None:
    place = engine.url.render_as_string(hide_password=True)
    out.print(
        f"{stored.rows:,} bars, {stored.new_signals:,} new signals and {stored.new_outcomes:,} new "
        f"outcomes in {seconds:.1f} s.",
        soft_wrap=True,
    )
    out.print(f"Database: {place}", soft_wrap=True)
    shown = path if (ROOT / path).resolve() == market.path else market.path
    chosen = "demo" if market.kind == "demo" else shlex.quote(f"recording:{shown}")
    extra = "" if settings.database_url is None else "DATABASE_URL=... "
    out.print(f"To look at it: {extra}CRYPTOSATX_MARKET={chosen} make run", soft_wrap=True)
