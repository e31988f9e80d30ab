"""The small parts of an operator's page as HTML: tables that become cards on a phone, ages, bars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Literal

from core.ui.formats import DASH, Clock, duration
from core.ui.palette import Palette

_STYLE = (Path(__file__).parent / "system.css").read_text(encoding="utf-8")

Shape = Literal["good", "bad", "half", "none", "stale"]
# A column: its title, what it means on hover, and whether it holds numbers.
Column = tuple[str, str, bool]


def style(colours: Palette) -> str:
    """The style of all parts, once on the page."""
    names = ("ground", "panel", "line", "grid", "ink", "muted", "neutral", "failing")
    variables = {name: getattr(colours, name) for name in names}
    variables |= {"live": colours.live, "live-ink": colours.live_ink}
    declared = "".join(f"--{name}: {value};" for name, value in variables.items())
    return f"<style>.cx-s {{{declared}}}\n{_STYLE}</style>"


def state(shape: Shape, word: str) -> str:
    """A state by shape and word; the colour only repeats them."""
    return f'<span class="state {shape}"><i></i>{escape(word)}</span>'


def ago(time: datetime | None, now: datetime, clock: Clock, unknown: str = "never") -> str:
    """How long ago, and the time itself on hover."""
    if time is None:
        return f'<span title="{escape(unknown)}">{DASH}</span>'
    local = clock.local(time)
    at = f"{local.day} {local:%b %Y, %H:%M:%S} {clock.label}"
    return f'<span title="{escape(at)}">{duration(now - time)} ago</span>'


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], name: str, dense: int = 0
) -> str:
    """A table of cells that are HTML already; on a narrow screen every row is a card.

    With ``dense`` it stays a table there, of its first so many columns.
    """
    heads = "".join(
        f'<th scope="col"{_number(number)} title="{escape(hint)}">{escape(title)}</th>'
        for title, hint, number in columns
    )
    kind = f' class="dense of-{dense}"' if dense else ""
    body = "".join(f"<tr>{_cells(columns, row)}</tr>" for row in rows)
    return (
        f'<table{kind} aria-label="{escape(name)}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _cells(columns: Sequence[Column], row: Sequence[str]) -> str:
    first, *others = row
    cells = [f'<th scope="row">{first}</th>']
    for (title, _, number), cell in zip(columns[1:], others, strict=True):
        cells.append(f'<td{_number(number)} data-title="{escape(title)}">{cell}</td>')
    return "".join(cells)


def _number(number: bool) -> str:
    return ' class="n"' if number else ""


def section(title: str, note: str, *parts: str) -> str:
    """A part of the page under its title, with one line on how to read it."""
    said = f"<p>{note}</p>" if note else ""
    return f"<section><header><h3>{escape(title)}</h3>{said}</header>{''.join(parts)}</section>"


def listed(lines: Sequence[str], kind: str = "") -> str:
    """Lines of HTML below each other; nothing for none."""
    if not lines:
        return ""
    return f'<ul class="{kind}">{"".join(f"<li>{line}</li>" for line in lines)}</ul>'


def pairs(items: Sequence[tuple[str, str]]) -> str:
    """Names and values in a row that wraps."""
    return (
        '<dl class="pairs">'
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in items)
        + "</dl>"
    )


def prose(text: str) -> str:
    """Plain text as HTML, with `code` set as such.

    >>> prose("Start `python -m core worker` & wait.")
    'Start <code>python -m core worker</code> &amp; wait.'
    """
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
