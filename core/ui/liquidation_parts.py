"""Parts of the page of liquidations as HTML; texts are escaped here."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from core.market.liquidation_sums import SILENT, stream_of
from core.market.liquidation_windows import HOUR
from core.market.spikes import LEAST_STRETCHES, LEAST_USD, by_luck, stand_out
from core.market.stream.feeds import FEEDS
from core.ui.formats import DASH, Clock, compact, count, duration, number, price, times, usd
from core.ui.liquidation_view import Asked, Spikes, Tally
from core.ui.palette import Palette
from core.ui.venues import venue_name

_STYLE = (Path(__file__).parent / "liquidations.css").read_text(encoding="utf-8")
_MOST_GAPS, _MOST_SPIKES = 15, 6
_SIDES = {"long": "▲ long", "short": "▼ short"}


def style(colours: Palette) -> str:
    """The style of all parts, once on the page."""
    names = ("grid", "ink", "muted", "neutral", "live")
    variables = {name: getattr(colours, name) for name in names}
    variables |= {"long-ink": colours.long_ink, "short-ink": colours.short_ink}
    declared = "".join(f"--{name}: {value};" for name, value in variables.items())
    return f"<style>.cx-l {{{declared}}}\n{_STYLE}</style>"


def headline(tally: Tally, asked: Asked) -> str:
    """What was liquidated in the window, in a sentence, and what it is a bound of."""
    whose = (
        f"of {', '.join(asked.symbols)} " if 0 < len(asked.symbols) <= 3 else
        f"of {len(asked.symbols)} symbols " if asked.symbols else ""
    )  # fmt: skip
    source = (
        "as reported by " + ", ".join(venue_name(venue) for venue in asked.venues)
        if asked.venues
        else "as the hourly totals of the bars say"
    )
    left = [f"{venue_name(venue)} repeats what is here already" for venue in asked.left_out]
    note = f"Lower bounds, {escape(source)}." + (
        f" Left out: {escape('; '.join(left))}." if left else ""
    )
    return _part(
        f'<p class="said"><span class="long">▲ {usd(tally.longs)}</span> of longs and '
        f'<span class="short">▼ {usd(tally.shorts)}</span> of shorts {escape(whose)}'
        f'liquidated in {asked.window}</p><p class="note">{note}</p>'
    )


def streams_part(streams: pd.DataFrame, now: datetime, clock: Clock) -> str:
    """Each stream's state, and what it does not report."""
    if streams.empty:
        return _part(
            '<p class="note">No stream is followed yet: a worker has to run '
            "(CRYPTOSATX_WORKER=on, or python -m core worker).</p>"
        )
    rows = [_stream(str(name), row, now, clock) for name, row in streams.iterrows()]
    return _part(f"<ul>{''.join(rows)}</ul>")


def _stream(name: str, row: pd.Series, now: datetime, clock: Clock) -> str:
    heard = row["heard_at"]
    known = heard is not None and not pd.isna(heard)
    ago = duration(now - heard) if known else DASH
    if row["state"] == "live" and known and now - heard <= SILENT:
        since = row["live_since"]
        begun = "" if pd.isna(since) else f", without a gap since {clock.stamp(since)}"
        shape, words = "live", f"live{begun}; heard {ago} ago"
    elif row["state"] == "down":
        shape, words = "down", f"down; last heard {ago} ago. {row['message'] or ''}"
    elif row["state"] == "live":
        shape, words = "down", f"not heard for {ago}: no worker follows it"
    else:
        shape, words = "waiting", "connecting" + (f"; last heard {ago} ago" if known else "")
    lost = f" {count(int(row['lost']), 'event')} lost." if row["lost"] else ""
    feed = FEEDS.get(stream_of(name))
    reports = f'<p class="note">{escape(feed.incomplete)}</p>' if feed else ""
    return (
        f'<li data-stream="{escape(name)}"><span class="state {shape}"></span>'
        f"<span><b>{escape(venue_name(name))}</b> {escape(words)}{lost}</span>{reports}</li>"
    )


def spikes_part(spikes: Spikes) -> str:
    """Markets that stand out against their own past, and what that says."""
    found = stand_out(spikes.compared)
    span = "hour" if spikes.length == HOUR else "15 min"
    judged = int(spikes.compared["rarity"].notna().sum())
    rows = "".join(_spike(str(name), row) for name, row in found.head(_MOST_SPIKES).iterrows())
    body = (
        '<table><thead><tr><th>Symbol</th><th class="n">▲ longs, USD</th>'
        '<th class="n">▼ shorts, USD</th><th class="n">× own mean</th>'
        f'<th class="n">larger than</th></tr></thead><tbody>{rows}</tbody></table>'
        if rows
        else f"<p>No market stands out in the last {span}.</p>"
    )
    return _part(f'{body}<p class="note">{escape(_about_spikes(spikes, span, judged))}</p>')


def _spike(name: str, row: pd.Series) -> str:
    less = int(row["n"] - row["as_large"])
    part = (
        f"all of {number(row['n'])}"
        if less == row["n"]
        else f"{number(less)} of {number(row['n'])}"
    )
    return (
        f'<tr><td><b>{escape(name)}</b></td><td class="n">{compact(row["long_usd"])}</td>'
        f'<td class="n">{compact(row["short_usd"])}</td><td class="n">{times(row["above"], 0)}</td>'
        f'<td class="n">{part}</td></tr>'
    )


def _about_spikes(spikes: Spikes, span: str, judged: int) -> str:
    some = spikes.compared
    stretches = "hours" if spikes.length == HOUR else f"{span} stretches"
    n = number(some["n"].max()) if len(some) else "0"
    said = [
        f"The last {span} against the market's own {stretches} of the 7 days before, of which up "
        f"to {n} were heard throughout. It stands out if at most 1 in 100 was as large, from "
        f"{usd(LEAST_USD)}. Of {count(judged, 'market')} about {number(by_luck(some), 1)} would by luck."
    ]
    if len(some) > judged:
        said.append(
            f"{count(len(some) - judged, 'market')} with fewer than {LEAST_STRETCHES} known stretches "
            "cannot be judged yet."
        )
    if spikes.unjudged:
        names = ", ".join(venue_name(name) for name in spikes.unjudged)
        said.append(f"Without {names}, not heard for long enough yet.")
    return " ".join(said)


def largest_part(events: pd.DataFrame, clock: Clock) -> str:
    """The largest single events of the window."""
    if events.empty:
        return _part('<p class="note">No event passes the filters in this window.</p>')
    rows = "".join(_event(event, clock) for event in events.to_dict("records"))
    return _part(
        '<table><thead><tr><th>Time</th><th>Side</th><th>Symbol</th><th class="optional">Venue</th>'
        '<th class="n optional">Price</th><th class="n">USD</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _event(event: dict[Any, Any], clock: Clock) -> str:
    side, at = event["liquidated_side"], event["occurred_at"]
    return (
        f'<tr><td title="{clock.stamp(at)}, {escape(clock.label)}">{clock.second(at)}</td>'
        f'<td class="{side}"><b>{_SIDES[side]}</b></td><td><b>{escape(event["symbol"])}</b></td>'
        f'<td class="optional">{escape(venue_name(event["venue"]))}</td>'
        f'<td class="n optional">{price(event["price"])}</td>'
        f'<td class="n">{compact(event["usd"])}</td></tr>'
    )


def gaps_part(gaps: pd.DataFrame, start: datetime, now: datetime, clock: Clock) -> str:
    """The gaps of the window, the newest first."""
    if gaps.empty:
        return _part('<p class="note">None: every stream was heard throughout the window.</p>')
    rows = "".join(_gap(row, start, now, clock) for _, row in gaps.head(_MOST_GAPS).iterrows())
    more = len(gaps) - _MOST_GAPS
    rest = f'<p class="note">And {count(more, "earlier gap")}.</p>' if more > 0 else ""
    return _part(
        '<table class="gaps"><thead><tr><th>Stream</th><th>From</th><th>To</th><th>For</th><th>Reason</th>'
        f'<th class="n">Events lost</th></tr></thead><tbody>{rows}</tbody></table>{rest}'
        f'<p class="note"><span class="hatch"></span> is a gap in the charts. Times in '
        f"{escape(clock.label)}. What a venue reported while nobody listened cannot be counted.</p>"
    )


def _gap(row: pd.Series, start: datetime, now: datetime, clock: Clock) -> str:
    began, ended = row["started_at"], row["ended_at"]
    lasts = pd.isna(ended)
    span: timedelta = (now if lasts else ended) - began
    first = "before the window" if began <= start else clock.stamp(began)
    lost = number(row["lost"]) if row["lost"] else "not known"
    return (
        f'<tr class="gap"><td><b>{escape(venue_name(row["venue"]))}</b></td>'
        f"<td>{first}</td><td>{'still lasts' if lasts else clock.stamp(ended)}</td>"
        f'<td>{duration(span)}</td><td class="why">{escape(row["reason"])}</td>'
        f'<td class="n">{lost}</td></tr>'
    )


def _part(body: str) -> str:
    return f'<div class="cx-l">{body}</div>'
