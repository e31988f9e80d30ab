"""The right column of a symbol's page: one stored signal in reading order, as HTML.

Every function takes a row as the store gives it back and makes a part of the column; texts are
escaped here and nothing is computed but what `core.signals.words` and `core.plan` compute.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from core.market.frame import SOURCES
from core.signals import FACTORS, Profile
from core.signals.factors import BY_NAME
from core.signals.words import Contribution, explain, format_raw
from core.store.tracing import Entry, Origin, Provenance
from core.store.verdicts import STALE
from core.ui import formats
from core.ui.charts import bar_of
from core.ui.formats import Clock, known, number, price
from core.ui.model_words import ENDED, basis_title
from core.ui.palette import Palette, direction_sign, verdict_sign
from core.ui.venues import venue_name

_STYLE = (Path(__file__).parent / "decision.css").read_text(encoding="utf-8")
_SOURCE_TITLES = {
    "candles": "Prices",
    "funding": "Funding",
    "open_interest": "Open interest",
    "long_short": "Long/short accounts",
    "liquidations": "Liquidations",
    "social": "Social score",
    "fear_greed": "Fear & greed",
}
_CAPS = {
    "none": "nothing: the risk alone sets it",
    "leverage": "your leverage",
    "size ceiling": "the ceiling of twice the normal size",
    "size floor": "the floor of a quarter of the normal size",
    "lot": "rounding down to a whole lot",
}
_BARRIERS = {"stop": "stop", "target": "target", "horizon": "neither"}

Row = Mapping[str, Any]


def style(colours: Palette) -> str:
    """The style of all parts, once on the page."""
    names = ("ground", "panel", "line", "grid", "ink", "muted", "neutral", "long", "short")
    variables = {name: getattr(colours, name) for name in names}
    variables |= {"long-ink": colours.long_ink, "short-ink": colours.short_ink}
    declared = "".join(f"--{name}: {value};" for name, value in variables.items())
    return f"<style>.cx-d {{{declared}}}\n{_STYLE}</style>"


def coin_part(coin: Row | None, clock: Clock) -> str:
    """Which coin the market is of, where that is certain."""
    if coin is None:
        return ""
    facts = [f"<b>{escape(coin['name'])}</b>"]
    if known(coin["rank"]):
        facts.append(f"rank {number(coin['rank'])} by market value")
    if known(coin["market_cap_usd"]):
        facts.append(f"{formats.compact(coin['market_cap_usd'])} USD")
    when = f"as CoinGecko said {clock.stamp(coin['seen_at'])} ({escape(clock.label)})"
    return _part(f'<p class="coin" title="{when}">{", ".join(facts)}</p>')


def score_part(row: Row, profile: Profile) -> str:
    """Direction and score, on the scale with the profile's thresholds."""
    direction = row["direction"]
    word = direction_sign(direction).word
    if not known(row["score"]):
        why = escape(row["no_signal"] or "no price for this bar")
        return _part(
            f'<div class="said flat">{_shape("none")}<span>{word}</span></div>'
            f"<p>{why[:1].upper()}{why[1:]}.</p>"
        )
    shares = [
        f"conviction {number(row['conviction'])} of 100",
        f"agreement {formats.percent(row['agreement'], 0)}",
        f"coverage {formats.percent(row['coverage'], 0)}",
    ]
    return _part(
        f'<div class="said {_tone(direction)}">{_shape(word)}<span>{word}</span>'
        f'<span class="score">{number(row["score"], 1)}</span><small>of 100</small></div>'
        f"{_scale(row['score'], profile)}<p class='note'>{' · '.join(shares)}</p>"
    )


def why_part(row: Row, profile: Profile) -> str:
    """The three largest contributions in words, the others as bars; together score - 50."""
    found = [part for part in explain(row, profile) if known(part.points)]
    if not found:
        return ""
    reach = max(abs(part.points) for part in found)
    spoken = "".join(_factor(part, reach, in_words=True) for part in found[:3])
    rest = "".join(_factor(part, reach, in_words=False) for part in found[3:])
    total = sum(part.points for part in found)
    together = (
        f"Points on a neutral 50; together {number(total, 1, sign=True)}."
        if known(row["score"])
        else "What is known so far; it is not enough for a score."
    )
    return _part(
        f'<h3>Why</h3><ul>{spoken}</ul><ul class="rest">{rest}</ul><p class="note">{together}</p>'
    )


def against_part(row: Row) -> str:
    """The risk reasons: all reasons but the last, which is the rules' conclusion."""
    if not known(row["direction"]) or row["direction"] == 0:
        return ""
    against = row["reasons"][:-1]
    if not against:
        return _part("<h3>What speaks against</h3><p>Nothing that the rules count.</p>")
    items = "".join(f"<li>{_sentence(reason)}</li>" for reason in against)
    return _part(f'<h3>What speaks against</h3><ul class="against">{items}</ul>')


def inputs_part(row: Row, profile: Profile) -> str:
    """What the signal was made from: every factor's input, what is normal, how far that is apart,
    the factor from 0 to 100 and the age of its source at the bar."""
    found = {part.factor: part for part in explain(row, profile)}
    lines = "".join(_input(found[name], row) for name in FACTORS)
    return _part(
        "<h3>What it was made from</h3><table class='inputs'><thead><tr><th>Factor</th>"
        '<th>Input, and what is normal</th><th class="n" title="standard deviations from normal">σ'
        '</th><th class="n" title="50 is neutral, above is bullish">0–100</th></tr></thead>'
        f"<tbody>{lines}</tbody></table>"
    )


def _input(part: Contribution, row: Row) -> str:
    age = _age(row.get(f"age_{BY_NAME[part.factor].source}"))
    normal = f"normal {format_raw(part.factor, part.normal)}" if known(part.normal) else ""
    beside = " · ".join(escape(words) for words in (normal, age) if words)
    return (
        f'<tr><th scope="row">{escape(part.title)}</th><td>{escape(format_raw(part.factor, part.raw))}'
        f'<br><small>{beside}</small></td><td class="n">{number(part.z, 1, sign=True)}</td>'
        f'<td class="n">{number(part.value)}</td></tr>'
    )


def _age(age: float | None) -> str:
    if age is None or not known(age):
        return "age unknown"
    return "of this bar" if age == 0 else f"{formats.duration(age)} old"


def why_no_model(row: Row, time: datetime, origin: Origin, modes: Collection[str] | None) -> str:
    """Why a signal has no verdict of a model; ``modes`` are those asked about, None without a model."""
    if not row["direction"]:
        return "No model’s verdict: a model is asked only about signals with a direction."
    if origin.recorded_at > time + STALE:
        return (
            "No model’s verdict: filled in afterwards, and a model is never asked about the past."
        )
    if modes is None:
        return "No model’s verdict: no model is set up."
    if origin.profile.name not in modes:
        return "No model’s verdict: the model is not asked about this mode."
    return (
        "No model’s verdict: not asked yet, or no model was set up at the time. "
        f"It is asked only until {STALE.total_seconds() / 60:.0f} minutes after the bar."
    )


def verdict_part(
    row: Row, model: Row | None = None, clock: Clock = formats.UTC_CLOCK, without: str = ""
) -> str:
    """The verdict, who gave it, and the conclusion behind it.

    ``row`` is as `core.verdicts.settle` makes it where ``model``, a row of `tables.verdicts`, is
    given; then both verdicts are told, and above them what stands. ``without`` says why there is none.
    """
    if not isinstance(row["verdict"], str):
        return _part("<h3>Verdict</h3><p>None: there is no signal to judge.</p>")
    conclusion = _sentence(row["reasons"][-1]) if row["reasons"] else ""
    mode = str(row["risk_mode"]).lower()
    if model is None:
        said = f"by rules · risk mode {mode} · {_size(row['multiplier'])}"
        line = _verdict_line(row["verdict"], row["direction"], said)
        why = f'<p class="note">{escape(without)}</p>' if without else ""
        return _part(f"<h3>Verdict</h3>{line}<p>{conclusion}</p>{why}")
    by_rules = f"risk mode {mode} · {_size(row['rules_multiplier'])}"
    lowered = ", lowered by the model" if row["lowered"] else ""
    stands = f"what stands{lowered} · {_size(row['multiplier'])}"
    return _part(
        f"<h3>Verdict</h3>{_verdict_line(row['verdict'], row['direction'], stands)}"
        f"<h4>By rules</h4>{_verdict_line(row['rules_verdict'], None, by_rules)}<p>{conclusion}</p>"
        f"{_by_model(model, clock)}"
    )


def _by_model(model: Row, clock: Clock) -> str:
    """What a model said, every text of its own escaped, or how asking it failed."""
    name = escape(str(model["model"]))
    zone = escape(clock.label)
    asked = [f"asked {clock.stamp(model['asked_at'])} <small>{zone}</small>"]
    asked += [f"version asked <code>{escape(str(model['prompt_version']))}</code>"]
    if known(model["latency_ms"]):
        asked.append(f"answered in {number(model['latency_ms'] / 1000, 1)}\u00a0s")
    if known(model["cost_usd"]):
        asked.append(formats.usd_exact(model["cost_usd"], 4))
    if model["shared_with"] is not None:
        asked.append("one answer for the modes that asked the same")
    foot = f'<p class="note">{" · ".join(asked)}</p>'
    if model["state"] != "answered":
        how = ENDED.get(str(model["state"]), "gave no answer")
        error = f" {escape(str(model['error']))}" if model["error"] else ""
        return (
            f"<h4>By {name}</h4><p>It {how}; the rules’ verdict stands."
            f'<span class="note">{error}</span></p>{foot}'
        )
    mode = escape(str(model["risk_mode"]).lower())
    said = f"risk mode {mode} · {_size(model['multiplier'])}"
    reasons = "".join(
        f"<li><b>{escape(basis_title(str(one['factor'])))}:</b> {escape(str(one['text']))}</li>"
        for one in model["reasons"]
    )
    return (
        f"<h4>By {name}</h4>{_verdict_line(str(model['verdict']), None, said)}"
        f'<ul class="said-by">{reasons}</ul>'
        f'<p class="note">What would change its mind: {escape(str(model["change_of_mind"]))}</p>{foot}'
    )


def _verdict_line(verdict: str, direction: float | None, said: str) -> str:
    """A verdict by shape and word; without a direction it is one of several, set smaller."""
    word = verdict_sign(verdict).word
    tone = "each" if direction is None else _tone(direction)
    return f'<p class="verdict {tone}">{_shape(word)}<span>{word}</span><small>{said}</small></p>'


def _size(multiplier: float) -> str:
    return f"{formats.times(multiplier)} risk" if multiplier else "no trade"


def plan_title() -> str:
    """The head of the plan, above the reader's own numbers."""
    return _part("<h3>Plan for your account</h3>")


def plan_part(planned: Row) -> str:
    """The plan of a row that was planned for the reader's account, or why there is none."""
    if planned["no_plan"] is not None and not pd.isna(planned["no_plan"]):
        return _part(
            f"<p>No plan: {escape(str(planned['no_plan']))}.</p>{_counterfactual(planned)}"
        )
    entry = planned["entry_price"]
    lines = {
        "Entry, next open": f"about {price(entry)}",
        "Stop": _away(planned["stop_price"], entry),
        "Target": _away(planned["target_price"], entry),
        "Quantity, base units": formats.quantity(planned["quantity"]),
        "Notional": formats.usd_exact(planned["notional_usd"]),
        "Risk, before costs": formats.usd_exact(planned["risk_usd"]),
        "Liquidation price": _away(planned["liquidation_price"], entry),
        "Size against normal": formats.times(planned["size_multiplier"]),
        "What limited the size": _CAPS.get(str(planned["binding_cap"]), "unknown"),
    }
    return _part(f'{_pairs(lines)}<p class="note">Not investment advice.</p>')


def outcome_part(row: Row, outcomes: pd.DataFrame, *, at: datetime, through: datetime) -> str:
    """What became of a signal, per horizon; ``through`` is the last bar that is known."""
    if not known(row["direction"]) or row["direction"] == 0:
        return ""
    traded = row["multiplier"] > 0 and (outcomes.empty or bool(outcomes["traded"].any()))
    lines = [
        _outcome(horizon, outcomes, at + length, through)
        for horizon, length in (
            ("1h", timedelta(hours=1)),
            ("4h", timedelta(hours=4)),
            ("24h", timedelta(hours=24)),
        )
    ]
    kind = "" if traded else " had it been traded: a counterfactual"
    return _part(
        f"<h3>What became of it{kind}</h3><table><thead><tr><th>After</th>"
        '<th class="n">Net return</th><th class="n">Net R</th><th class="n">Touched first</th></tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table>"
    )


def unknown_part(
    row: Row, profile: Profile, published: Mapping[str, Provenance], clock: Clock
) -> str:
    """The sources behind the signal, whose value it was, how old at its bar, and what lacks one."""
    missing = {
        part.factor: part.sentence for part in explain(row, profile) if not known(part.points)
    }
    weight = sum(profile.weights.shares()[name] for name in missing)
    lead = (
        f"{formats.count(len(missing), 'factor')} of {len(FACTORS)} unknown, "
        f"{formats.percent(weight, 0)} of the weight."
        if missing
        else "Every factor was known."
    )
    lines = "".join(
        _source(source, row, missing, published.get(source), clock) for source in SOURCES
    )
    return _part(
        f"<h3>What is not known</h3><p>{lead}</p><table><thead><tr><th>Source</th>"
        f'<th>Feeds</th><th class="n">Age at the bar</th></tr></thead><tbody>{lines}</tbody></table>'
    )


def trace_part(row: pd.Series, origin: Origin, market: str, clock: Clock) -> str:
    """Where every number above can be found again: market, bar, profile, time of recording."""
    zone = f"<small>{escape(clock.label)}</small>"
    lines = {
        "Market": escape(market),
        "Bar closed": f"{clock.stamp(bar_of(row)[1])} {zone}",
        "Profile": f"{escape(origin.profile.name)} <code>{origin.version}</code>",
        "Recorded": f"{clock.stamp(origin.recorded_at)} {zone}",
        "Ledger": _entry(origin.entry),
    }
    return _part(f"<h3>Where this comes from</h3>{_pairs(lines)}")


def _part(body: str) -> str:
    return f'<div class="cx-d">{body}</div>'


def _shape(word: str) -> str:
    return f'<i class="shape {word}" aria-hidden="true"></i>'


def _tone(direction: float | None) -> str:
    return {"LONG": "long", "SHORT": "short"}.get(direction_sign(direction).word, "flat")


def _sentence(text: str) -> str:
    return escape(f"{text[:1].upper()}{text[1:]}.")


def _scale(score: float, profile: Profile) -> str:
    lower, upper = profile.short_threshold, profile.long_threshold
    ticks = (
        (0.0, "", "0"),
        (lower, "left", f"short to {lower:g}"),
        (upper, "", f"long from {upper:g}"),
        (100.0, "left", "100"),
    )
    marks = "".join(
        f'<span class="tick {side}" style="left:{at:.4g}%">{text}</span>'
        for at, side, text in ticks
    )
    said = (
        f"score {number(score, 1)} on a scale of 0 to 100, short to {lower:g}, long from {upper:g}"
    )
    return (
        f'<div class="scale" role="img" aria-label="{said}"><div class="track">'
        f'<i class="to" style="width:{lower:.4g}%"></i>'
        f'<i class="from" style="width:{100 - upper:.4g}%"></i></div>'
        f'<i class="at" style="left:{min(max(score, 0), 100):.4g}%"></i>{marks}</div>'
    )


def _factor(part: Contribution, reach: float, *, in_words: bool) -> str:
    side, tone = ("up", "long") if part.points > 0 else ("down", "short")
    width = 50 * abs(part.points) / reach if reach else 0
    sentence = escape(part.sentence)
    title = f"<b>{escape(part.title)}</b>" if in_words else f"<span>{escape(part.title)}</span>"
    words = f"<p>{sentence[:1].upper()}{sentence[1:]}.</p>" if in_words else ""
    return (
        f'<li class="factor" title="{sentence}; weight {formats.percent(part.weight, 0)}">{title}'
        f'<span class="bar"><i class="{side}" style="width:{width:.1f}%"></i></span>'
        f'<span class="n {tone}">{number(part.points, 1, sign=True)}</span>{words}</li>'
    )


def _away(value: float, entry: float) -> str:
    if not known(value):
        return formats.DASH
    away = formats.percent(value / entry - 1, sign=True)
    return f"{price(value, like=entry)} <small>{away}</small>"


def _counterfactual(planned: Row) -> str:
    prices = {name: planned[f"counterfactual_{name}_price"] for name in ("entry", "stop", "target")}
    if not all(known(value) for value in prices.values()):
        return ""
    entry = prices["entry"]
    return (
        '<p class="note">Followed as if it had been traded, and never '
        "counted as a trade:</p>"
        + _pairs(
            {
                "Entry": f"about {price(entry)}",
                "Stop": _away(prices["stop"], entry),
                "Target": _away(prices["target"], entry),
            }
        )
    )


def _outcome(horizon: str, outcomes: pd.DataFrame, due: datetime, through: datetime) -> str:
    name = f"<th>{horizon.removesuffix('h')} h</th>"
    if horizon not in outcomes.index:
        why = "not finished yet" if due > through else "no price at its end"
        return f'<tr>{name}<td colspan="3" class="n">{why}</td></tr>'
    found: dict[str, Any] = {name: outcomes.at[horizon, name] for name in outcomes.columns}
    touched = _BARRIERS.get(str(found["barrier"]), formats.DASH)
    return (
        f'<tr>{name}<td class="n">{formats.percent(found["net_return"], 2, sign=True)}</td>'
        f'<td class="n">{formats.r_multiple(found["r_multiple"])}</td><td class="n">{touched}</td></tr>'
    )


def _source(
    source: str, row: Row, missing: Mapping[str, str], published: Provenance | None, clock: Clock
) -> str:
    fed = [name for name in FACTORS if BY_NAME[name].source == source]
    lacking = [BY_NAME[name].title for name in fed if name in missing]
    age = row.get(f"age_{source}")
    told = "unknown" if not known(age) else "this bar" if age == 0 else formats.duration(age)
    feeds = ", ".join(BY_NAME[name].title for name in fed)
    why = f" <small>({escape(missing[fed[0]])})</small>" if lacking and known(age) else ""
    hatch = ' class="n hatch"' if lacking else ' class="n"'
    of_whom, when = "", ""
    if published is not None and known(age):
        of_whom = f"<br><small>of {escape(venue_name(published.venue))}</small>"
        when = (
            f' title="published {clock.stamp(published.published_at)}, '
            f'seen here {clock.stamp(published.seen_at)} ({escape(clock.label)})"'
        )
    return (
        f"<tr><th>{escape(_SOURCE_TITLES[source])}</th><td>{escape(feeds)}{why}</td>"
        f"<td{hatch}{when}>{told}{of_whom}</td></tr>"
    )


def _entry(entry: Entry | None) -> str:
    """Position and hash in the ledger, by which an export or a noted head can be compared."""
    if entry is None:
        return "not in it"
    whole = entry.hash.hex()
    return f'entry {number(entry.position)} <code title="{whole}">{whole[:12]}…</code>'


def _pairs(lines: Mapping[str, str]) -> str:
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{value}</td></tr>'
        for name, value in lines.items()
    )
    return f"<table><tbody>{body}</tbody></table>"
