"""The parts of the System page as HTML, made of what the `core.ui.system_*` modules found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape

from core.ui.formats import DASH, Clock, count, duration, number
from core.ui.system_freshness import TableView, VenueView
from core.ui.system_html import Shape, ago, listed, pairs, prose, section, state, table
from core.ui.system_sources import Budget, SourceView
from core.ui.system_verdict import Problem, suspicion_words
from core.ui.system_words import TABLE_TITLES

_SHOWN_PROBLEMS = 8
_SHOWN_LINES = 6
_SOURCE_SHAPES: Mapping[str, Shape] = {
    "working": "good",
    "failing": "bad",
    "left alone": "half",
    "unknown": "stale",
}


def verdict_part(problems: Sequence[Problem], waiting: Sequence[str] = ()) -> str:
    """The one sentence, and below it whatever else does not work; ``waiting`` are sources of which
    nothing is known."""
    if not problems and waiting:
        said = f"Nothing fails as far as is known; {', '.join(waiting)} not asked of late."
        return (
            f'<div class="verdict">{state("half", "")}<div role="status">{escape(said)}</div></div>'
        )
    if not problems:
        return f'<div class="verdict">{state("good", "Everything works.")}</div>'
    first, *others = problems
    more = len(others) - _SHOWN_PROBLEMS
    lines = [_problem(one) for one in others[:_SHOWN_PROBLEMS]]
    lines += [f"and {count(more, 'more')[:-1]}; see below."] if more > 1 else []
    lines += [_problem(others[-1])] if more == 1 else []
    return (
        f'<div class="verdict">{state("bad", "")}<div role="status">{_problem(first)}</div></div>'
        f"{listed(lines, 'problems')}"
    )


def _problem(one: Problem) -> str:
    do = f'<span class="do">{prose(one.do)}</span>' if one.do else ""
    return f"{escape(one.what)}{do}"


def sources_part(sources: Sequence[SourceView], now: datetime, clock: Clock) -> str:
    """Every source with what is known of it."""
    note = (
        "As the worker that asks them noted it. A budget's bar is what the source publishes, its "
        "mark what we allow ourselves."
    )
    parts = "".join(_source(one, now, clock) for one in sources)
    return section("Sources", note, f'<div class="sources">{parts}</div>')


def _source(one: SourceView, now: datetime, clock: Clock) -> str:
    shape = _SOURCE_SHAPES.get(one.state, "none")
    if one.requests is None:
        said = state(shape, one.words or one.state)
        quiet = f'<div class="who"><h4>{escape(one.title)}</h4></div><div>{said}</div>'
        return f'<div class="source quiet">{quiet}{_marks(one)}</div>'
    words = f"<small>{escape(one.words)}</small>" if one.words else ""
    noted = (
        f'<span class="noted state stale"><i></i>{escape(one.noted)}</span>' if one.noted else ""
    )
    who = f"<h4>{escape(one.title)}</h4>{state(shape, one.state)}{words}{noted}"
    figures = pairs(
        [
            ("Last success", ago(one.last_success_at, now, clock)),
            ("Last failure", ago(one.last_failure_at, now, clock)),
            ("Latency", _milliseconds(one.latency_seconds)),
            ("Requests", f"{number(one.requests)}, {number(one.failures)} failed"),
            ("Breaker", escape(one.breaker or DASH)),
            ("Left alone", duration(one.left_alone) if one.left_alone else "no"),
            ("Oldest reply kept", _kept(one.cached_seconds)),
        ]
    )
    budgets = "".join(_budget(budget) for budget in one.budgets)
    return (
        f'<div class="source"><div class="who">{who}</div>{figures}'
        f'<div class="budgets">{budgets}</div>{_marks(one)}</div>'
    )


def _budget(one: Budget) -> str:
    window = duration(timedelta(seconds=one.seconds))
    used = DASH if one.used is None else number(one.used)
    full = min((one.used or 0) / one.published, 1.0)
    hint = (
        f"{one.name}: {used} used of {number(one.allowed)} that we allow ourselves; the source "
        f"publishes {number(one.published)} in {window}"
    )
    unknown = " unknown" if one.used is None else ""
    return (
        f'<div class="budget" title="{escape(hint)}"><span>{escape(one.name)}</span>'
        f"<span><b>{used}</b> of {number(one.allowed)} / {number(one.published)} in {window}</span>"
        f'<span class="track{unknown}"><i style="width: {100 * full:.1f}%"></i>'
        f'<b style="left: calc({100 * one.allowed / one.published:.1f}% - 2px)"></b></span></div>'
    )


def _marks(one: SourceView) -> str:
    """What is wrong or was left out, by path, and what looks dead."""
    lines = []
    if one.last_failure and not one.troubles:
        lines.append(f"<b>Last failure:</b> {escape(one.last_failure)}")
    lines += _by_path("Fails", one.troubles)
    lines += _by_path("Remark of the last hour", one.remarks)
    lines += [
        f"<b>Suspicious:</b> {TABLE_TITLES[each.table].lower()}, {escape(suspicion_words(each))}"
        for each in one.suspicions
    ]
    return listed(lines, "marks")


def _by_path(word: str, said: Mapping[str, str]) -> list[str]:
    """Paths that say the same are told together."""
    paths: dict[str, list[str]] = {}
    for path, words in said.items():
        paths.setdefault(words, []).append(path)
    lines = [
        f"<b>{word}:</b> {escape(words)} "
        f'<span class="path" title="{escape(", ".join(those))}">{escape(_few(those))}</span>'
        for words, those in paths.items()
    ]
    hidden = len(lines) - _SHOWN_LINES
    return lines[:_SHOWN_LINES] + ([f"and {hidden} more like these"] if hidden > 0 else [])


def _few(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:2])
    return f"{shown} and {len(paths) - 2} more" if len(paths) > 2 else shown


def _milliseconds(seconds: float | None) -> str:
    return DASH if seconds is None else f"{number(1000 * seconds)}\u00a0ms"


def _kept(seconds: float | None) -> str:
    return "none" if seconds is None else duration(timedelta(seconds=seconds))


def freshness_part(tables: Sequence[TableView], now: datetime, clock: Clock) -> str:
    """The columns of the market frame, how fresh they are and who serves them."""
    note = (
        "Rows of the last 24 h by venue. The first source that lists a market serves it; providers "
        "fill in rows under the venue they are of."
    )
    columns = (
        (
            "Column",
            "a table of observations, and the columns of the market frame made of it",
            False,
        ),
        ("Asked, in order", "who is asked for it; a later one serves what the earlier lack", False),
        ("Venue", "whose rows they are", False),
        ("Newest", "when the newest row was published", True),
        ("Rows 24 h", "rows published in the last 24 h", True),
        ("Markets", "markets with a row in the last 24 h", True),
        ("Serves", "markets whose newest value is this venue's", True),
    )
    rows = [row for one in tables for row in _table_rows(one, now, clock)]
    return section("Freshness", note, table(columns, rows, "Freshness of the market's columns"))


def _table_rows(one: TableView, now: datetime, clock: Clock) -> list[list[str]]:
    title, columns = TABLE_TITLES[one.table], escape(", ".join(one.columns))
    if columns.lower() != escape(title).lower():
        title += f"<br><small>{columns}</small>"
    asked = escape(" → ".join(one.asked)) or "<small>no source: a key is needed</small>"
    asked = f'<span class="long">{asked}</span>'
    if not one.venues:
        return [[title, asked, DASH, "<small>nothing yet</small>", "0", "0", DASH]]
    found = []
    for place, venue in enumerate(one.venues):
        head = [title, asked] if place == 0 else ["", ""]
        found.append([*head, *_venue_cells(one, venue, now, clock)])
    return found


def _venue_cells(one: TableView, venue: VenueView, now: datetime, clock: Clock) -> list[str]:
    newest = ago(venue.newest_at, now, clock)
    if venue.stale:
        newest = f'<span class="old">{newest}</span>'
    if not one.per_symbol:
        return [venue.title or one.asked[0], newest, number(venue.rows), "all", "all"]
    serves = number(venue.serves)
    if venue.stands_in:
        serves += f"<br><small>stands in for {venue.stands_in}</small>"
    title = venue.title or (one.asked[0] if one.asked else DASH)
    return [escape(title), newest, number(venue.rows), number(venue.markets), serves]


def suspicions_part(sources: Sequence[SourceView]) -> str:
    """Every column that looks dead, in one list."""
    columns = (
        ("Source", "", False),
        ("Table", "", False),
        ("What", "one value in over 90 % of the values of the last 24 h, or none at all", False),
    )
    rows = [
        [
            escape(source.title),
            TABLE_TITLES[one.table],
            f'<span class="long">{escape(suspicion_words(one))}</span>',
        ]
        for source in sources
        for one in source.suspicions
    ]
    note = (
        "A column with one value in over 90 % of at least 50 recent rows, or with none, is a dead "
        "source. Zero is ordinary in liquidations: there only zeros throughout are told."
    )
    if not rows:
        return section("Suspicious columns", note, '<p class="note">None.</p>')
    return section("Suspicious columns", note, table(columns, rows, "Suspicious columns"))
