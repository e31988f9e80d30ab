"""What alert rules do, the same for everyone who looks; whose channels are whose is not kept here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from core.store import sent
from core.store.alerts import past, silences, watching
from core.store.alerts.past import Asked
from core.store.alerts.silences import StoredSilence
from core.store.alerts.states import StoredEvent
from core.store.alerts.watching import RuleHealth, Standing, Watch
from core.ui.loaders.kept import address, reading

# As fresh as the header, which asks every few seconds for all readers together.
WATCHED_SECONDS = 2
SILENCES_SHOWN = timedelta(days=30)


def load_watch() -> Watch:
    """The bell's numbers; one question in two seconds, however many look."""
    return _watch(address())


def load_standings() -> list[Standing]:
    """What is pending, fires or recovers now."""
    return _standings(address())


def load_rule_health() -> list[RuleHealth]:
    """How judging each rule went last."""
    return _health(address())


def load_rule_names() -> dict[int, str]:
    """Every rule that is or was, by number."""
    return _names(address())


def load_silences() -> list[StoredSilence]:
    """Silences that hold, will hold, or ended in the last month."""
    return _silences(address())


def load_events(asked: Asked, limit: int, offset: int = 0) -> list[StoredEvent]:
    """What happened, the newest first."""
    return _events(address(), asked, limit, offset)


def count_events(asked: Asked) -> int:
    """How much happened."""
    return _count(address(), asked)


def count_fired(asked: Asked) -> list[tuple[datetime, str, int]]:
    """Firings by bar and severity."""
    return _fired(address(), asked)


def count_deliveries() -> list[sent.Counted]:
    """What waits, was sent and given up per channel, for administrators."""
    return _deliveries(address())


def forget_alerts() -> None:
    """Look again after something was changed here."""
    for kept in (_watch, _standings, _health, _names, _silences, _events, _count, _deliveries):
        kept.clear()


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _watch(address: str) -> Watch:  # noqa: ARG001
    with reading() as conn:
        return watching.load_watch(conn)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _standings(address: str) -> list[Standing]:  # noqa: ARG001
    with reading() as conn:
        return watching.load_standings(conn)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _health(address: str) -> list[RuleHealth]:  # noqa: ARG001
    with reading() as conn:
        return watching.load_rule_health(conn)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _names(address: str) -> dict[int, str]:  # noqa: ARG001
    with reading() as conn:
        return watching.load_rule_names(conn)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _silences(address: str) -> list[StoredSilence]:  # noqa: ARG001
    with reading() as conn:
        return silences.list_silences(conn, datetime.now(UTC) - SILENCES_SHOWN)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=64, show_spinner=False)
def _events(address: str, asked: Asked, limit: int, offset: int) -> list[StoredEvent]:  # noqa: ARG001
    with reading() as conn:
        return past.list_asked(conn, asked, limit, offset)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=64, show_spinner=False)
def _count(address: str, asked: Asked) -> int:  # noqa: ARG001
    with reading() as conn:
        return past.count_asked(conn, asked)


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)
def _fired(address: str, asked: Asked) -> list[tuple[datetime, str, int]]:  # noqa: ARG001
    with reading() as conn:
        return past.count_fired(conn, asked)


@st.cache_data(ttl=WATCHED_SECONDS, max_entries=4, show_spinner=False)
def _deliveries(address: str) -> list[sent.Counted]:  # noqa: ARG001
    with reading() as conn:
        return sent.count_deliveries(conn, datetime.now(UTC))
