"""What the workers of a market do, what became of its past, and its database, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

import pandas as pd

from core.store.bookkeeping import Work
from core.store.operation import Operation
from core.store.system import About
from core.ui.formats import DASH, Clock, compact, count, duration, number, percent
from core.ui.system_html import Shape, ago, listed, pairs, section, state, table
from core.ui.system_words import table_title
from core.ui.system_worker import Rounds, StreamView, as_text, as_time
from core.ui.venues import venue_name

_SHOWN_BARS = 6
_STREAM_SHAPES: Mapping[str, Shape] = {
    "live": "good",
    "connecting": "half",
    "down": "bad",
    "silent": "bad",
    "followed by nobody": "bad",
}
_WORKED: Mapping[str, Shape] = {"done": "good", "running": "half", "failed": "bad"}
_WORK_WORDS = {
    "PENDING": "under way",
    "ENQUEUED": "waiting",
    "ERROR": "ended in an error",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "given up",
}


def streams_part(streams: Sequence[StreamView], now: datetime, clock: Clock) -> str:
    """The liquidation streams: who follows them, and what is missing."""
    columns = (
        ("Stream", "", False),
        ("State", "", False),
        ("Held by", "the worker that follows it, and since when", False),
        ("Heard", "any sign of life, an answer to a ping included", True),
        ("Newest event", "when the newest liquidation occurred", True),
        ("Received", "events since the stream was first followed", True),
        ("Refused", "events that could not be understood", True),
        ("Spooled", "events on disk, waiting for the database", True),
        ("Lost", "events that could be neither stored nor kept", True),
        ("Gaps 24 h", "times without events for certain, and how long together", True),
    )
    rows = [_stream_cells(one, now, clock) for one in streams]
    return section("Liquidation streams", "", table(columns, rows, "Liquidation streams"))


def _stream_cells(one: StreamView, now: datetime, clock: Clock) -> list[str]:
    said = f"<br><small>{escape(one.message)}</small>" if one.message else ""
    return [
        escape(venue_name(one.venue)),
        f'<span class="long">{state(_STREAM_SHAPES.get(one.state, "none"), one.state)}{said}</span>',
        f'<span class="long">{_worker_name(one.holder)}</span>'
        + (f"<br><small>{ago(one.held_since, now, clock)}</small>" if one.held_since else ""),
        ago(one.heard_at, now, clock),
        ago(one.newest_at, now, clock, "no event yet"),
        number(one.received),
        number(one.refused),
        number(one.spooled),
        number(one.lost),
        _gaps(one),
    ]


def _gaps(one: StreamView) -> str:
    if not one.gaps:
        return "0"
    said = f"<br><small>{escape(one.newest_gap)}</small>" if one.newest_gap else ""
    return f'<span class="long">{one.gaps}, {duration(one.missing)}{said}</span>'


def _worker_name(name: str | None) -> str:
    return DASH if name is None else escape(name)


def worker_part(
    operation: Operation, rounds: Rounds, work: Sequence[Work] | str, now: datetime, clock: Clock
) -> str:
    """Living workers, how fast bars are stored, and the rounds one by one."""
    alive = [
        f"{state('good', str(name))} <small>alive since {ago(row['taken_at'], now, clock)}</small>"
        for name, row in operation.workers.to_dict("index").items()
    ]
    figures = pairs(
        [
            ("Rounds done, 24 h", number(int((operation.rounds["state"] == "done").sum()))),
            ("Close to stored, median", _seconds(rounds.median)),
            ("Close to stored, worst", _seconds(rounds.worst)),
            ("Bars without a round, 24 h", number(len(rounds.unfinished))),
            *_past(operation.past),
            *_work(work, now, clock),
        ]
    )
    return section(
        "Workers and rounds",
        "A round collects, decides and stores one bar; a failed one is tried again by itself.",
        listed(alive) or state("bad", "no worker is alive"),
        f"<br>{figures}",
        _unfinished(rounds, clock),
        _rounds_table(operation.rounds, clock),
    )


def _seconds(lag: timedelta | None) -> str:
    if lag is None:
        return DASH
    return (
        f"{number(lag.total_seconds(), 1)}\u00a0s" if lag < timedelta(minutes=2) else duration(lag)
    )


def _past(past: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Progress of what was announced of the past."""
    if not past:
        return []
    done, total = (sum(row[name] for row in past) for name in ("rows_done", "rows_total"))
    going = any(row["state"] in ("waiting", "running") for row in past)
    share = percent(done / total if total else 1.0, 0) if going else "done"
    return [("Past worked through", f"{share}, {compact(done)} of {compact(total)} rows")]


def _work(work: Sequence[Work] | str, now: datetime, clock: Clock) -> list[tuple[str, str]]:
    if isinstance(work, str):
        return [("Pieces of work", escape(work))]
    return [
        (
            f"{one.name}: {_WORK_WORDS[one.state]}",
            f"{number(one.count)}, <small>oldest {ago(one.since, now, clock)}</small>",
        )
        for one in work
    ]


def _unfinished(rounds: Rounds, clock: Clock) -> str:
    if not rounds.unfinished:
        return ""
    told = [
        f"{clock.minute(bar)} ({count(stored, 'market')} stored)"
        for bar, stored in list(rounds.unfinished.items())[:_SHOWN_BARS]
    ]
    more = len(rounds.unfinished) - len(told)
    rest = f" and {more} earlier" if more else ""
    return (
        f'<p class="note">Bars without a finished round: {", ".join(told)}{rest}. '
        "A later round fills in what is missing.</p>"
    )


def _rounds_table(rounds: pd.DataFrame, clock: Clock) -> str:
    if rounds.empty:
        return '<p class="note">No round in the last 24 h.</p>'
    columns = (
        (f"Bar, {clock.label}", "its close", False),
        ("State", "", False),
        ("Close to stored", "from the bar's close to the end of its round", True),
        ("New rows", "observations that had not been seen", True),
        ("Bars", "", True),
        ("Signals", "", True),
        ("Outcomes", "", True),
        ("Worker", "", False),
    )
    rows = []
    for row in rounds.reset_index().to_dict("records"):
        bar, finished = row["time"].to_pydatetime(), as_time(row["finished_at"])
        done = row["state"] == "done" and finished is not None
        message = escape(as_text(row["message"]))
        said = f"<br><small>{message}</small>" if message else ""
        rows.append(
            [
                clock.stamp(bar),
                f'<span class="long">{state(_WORKED[row["state"]], row["state"])}{said}</span>',
                _seconds(finished - bar if done and finished else None),
                *(number(row[f"new_{name}"]) for name in ("observations", "bars", "signals")),
                number(row["new_outcomes"]),
                f'<span class="long"><small>{escape(row["worker"])}</small></span>',
            ]
        )
    return table(columns, rows, "Rounds of the last 24 hours", dense=3)


def replay_part(
    past: Sequence[Mapping[str, Any]], simulated: bool, now: datetime, clock: Clock
) -> str:
    """What takes the place of sources and streams on a market that is not live."""
    kind = "simulated market" if simulated else "recording"
    note = (
        f"This {kind} has no sources and no streams: all of it is there from the start and is worked "
        "through once by every profile."
    )
    if not past:
        return section("Replay", note, '<p class="note">Nothing has been worked through yet.</p>')
    columns = (
        ("Profile", "", False),
        ("State", "", False),
        ("Rows", "worked through, of all", True),
        ("Up to", "the last bar that is stored", True),
        ("Begun", "", True),
        ("Last word", "", True),
    )
    rows = [
        [
            escape(row["profile_name"]),
            f'<span class="long">{state(_WORKED.get(row["state"], "none"), row["state"])}'
            + (f"<br><small>{escape(row['message'])}</small>" if row["message"] else "")
            + "</span>",
            f"{number(row['rows_done'])} of {number(row['rows_total'])}",
            clock.stamp(row["through"]),
            ago(row["started_at"], now, clock),
            ago(row["updated_at"], now, clock),
        ]
        for row in past
    ]
    return section("Replay", f"{note} Times in {clock.label}.", table(columns, rows, "Replay"))


def database_part(about: About, label: str) -> str:
    """What the database holds and how large it is."""
    facts = pairs(
        [
            ("Market", escape(label)),
            ("Database", about.kind),
            ("Size on disk", f"{compact(about.size_bytes)}B"),
            ("Schema", escape(about.revision or DASH)),
        ]
    )
    about_word = "about " if about.rows_are_about else ""
    held = {name: rows for name, rows in about.rows.items() if name != "meta"}
    counts = "".join(
        f"<div><dt>{escape(table_title(name))}</dt>"
        f"<dd>{DASH if rows is None else about_word + number(rows)}</dd></div>"
        for name, rows in sorted(held.items(), key=lambda item: (-(item[1] or 0), item[0]))
    )
    note = (
        "Rows by table, from PostgreSQL's own statistics: about."
        if about.rows_are_about
        else "Rows by table."
    )
    return section("Database", note, facts, f'<br><dl class="grid">{counts}</dl>')
