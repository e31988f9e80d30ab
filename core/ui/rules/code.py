"""The field for the expression: completes, is checked while typing, and keeps what is not saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import streamlit as st

from core.alerts.advice import Check, check_text, with_markets
from core.ui.formats import count
from core.ui.rules.completion import texts, words
from core.ui.rules.drafts import Draft, recover

_HERE = Path(__file__).parent
_FIELD = st.components.v2.component(
    "cryptosatx_rule_code",
    html=(
        '<div class="editor"><label><span class="title"></span><div class="field">'
        '<pre aria-hidden="true"></pre>'
        '<textarea spellcheck="false" autocapitalize="off" autocomplete="off" autocorrect="off" '
        'aria-autocomplete="list" aria-haspopup="listbox" rows="2"></textarea></div></label>'
        '<ul role="listbox" aria-label="Completions" hidden></ul>'
        '<div class="said" role="status" aria-live="polite"></div></div>'
    ),
    css=(_HERE / "code.css").read_text(encoding="utf-8"),
    js=(_HERE / "code.js").read_text(encoding="utf-8"),
)
_RECOVERED = "rule_recovered"
LABEL = "Expression: the condition, for every market at every bar"


def draw_code(draft: Draft, symbols: Sequence[str], *, who: str) -> Check:
    """Draw the field over a draft; what the language says to what is in it."""
    key = f"rule_code_{draft.key}"

    def take() -> None:
        said = st.session_state[key].get("text")
        if isinstance(said, str):
            draft.body["expression"] = said
            draft.fresh = False

    def put_back() -> None:
        if recover(draft, st.session_state[key].get("recovered")):
            st.session_state[_RECOVERED] = draft.key

    check = with_markets(check_text(draft.body["expression"]), symbols)
    _FIELD(
        key=key,
        data=field_data(draft, check, symbols, who=who),
        on_text_change=take,
        on_recovered_change=put_back,
    )
    if st.session_state.pop(_RECOVERED, None) == draft.key:
        st.toast("What was not saved before the page was loaded anew is back.")
    return check


def field_data(draft: Draft, check: Check, symbols: Sequence[str], *, who: str) -> dict[str, Any]:
    """Everything the browser needs, as JSON."""
    return {
        "label": LABEL,
        "text": draft.body["expression"],
        "revision": draft.revision,
        "check": {
            "text": check.text,
            "state": "ok" if check.rule else "fault" if check.text.strip() else "empty",
            "reason": says(check),
            "hint": check.hint,
            "start": check.start,
            "end": check.end,
            "fixes": list(check.fixes),
            "doubts": [asdict(doubt) for doubt in check.doubts],
        },
        "words": words(),
        "texts": texts(symbols),
        "saved": draft.saved["expression"],
        "dirty": bool(draft.changed),
        "body": draft.body,
        "based_on": draft.based_on,
        "fresh": draft.fresh,
        # What is kept in a tab is of one person and one rule.
        "store": f"cryptosatx rule {who} {draft.key}",
    }


def says(check: Check) -> str:
    """One line under the field."""
    if check.rule is None:
        return (
            check.reason if check.text.strip() else "Type a name, or press Ctrl and Space for all."
        )
    hours = check.rule.lookback_hours
    back = "looks at each bar alone" if not hours else f"looks back {hours_words(hours)}"
    return f"This can be judged: it {back}."


def hours_words(hours: int) -> str:
    """
    >>> hours_words(36), hours_words(72)
    ('36 hours', '3 days')
    """
    return count(hours // 24, "day") if hours % 24 == 0 and hours > 24 else count(hours, "hour")
