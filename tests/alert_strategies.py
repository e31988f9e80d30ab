"""Alert rules with any settings, for property tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from core.alerts.definition import RuleDefinition, parse_definition

START = datetime(2025, 8, 30, 20, tzinfo=UTC)
spans = st.sampled_from([None, "30m", "1h", "90m", "2h", "5h"])
hours = st.none() | st.fixed_dictionaries(
    {
        "start": st.sampled_from(["00:00", "08:00", "21:30"]),
        "end": st.sampled_from(["07:00", "20:15", "24:00"]),
        "weekdays": st.lists(st.sampled_from(["sat", "sun", "mon"]), max_size=2),
    }
).filter(lambda h: bool(h["weekdays"]) or h["end"] != "24:00" or h["start"] != "00:00")


@st.composite
def definitions(draw: st.DrawFn) -> RuleDefinition:
    body: dict[str, Any] = {
        name: draw(spans) for name in ("for", "keep_firing", "cooldown", "rearm", "repeat")
    }
    if draw(st.integers(0, 4)) == 0:
        body["expires_at"] = START + draw(st.integers(0, 60)) * timedelta(minutes=30)
    body["active_hours"] = draw(hours)
    body["enabled"] = draw(st.integers(0, 9)) > 0
    return parse_definition({"name": "Hot", "expression": "score > 60", **body})
