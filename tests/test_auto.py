"""The market of ``auto``: decided at the start, tried again by readers, one for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from core import instance as instances
from core.accounts import passwords, people, sessions
from core.errors import StoreError
from core.instance import Instance, instance
from core.market.probe import Answer
from core.store import claim_market, held_market, open_store
from core.supervision import Beside, Work
from core.ui import auto, lifespan
from core.ui import session as guard
from core.ui.auto_banner import banner_words
from core.ui.formats import Clock
from tests.pages import open_app, run, words

LONG_AGO = datetime(2025, 11, 3, 14, 3, tzinfo=UTC)
SILENCE = Answer(None, LONG_AGO, "okx did not answer within 5 s.")
TOKYO = Clock.named("Asia/Tokyo")


class Exchanges:
    """Stands for the network: what the exchanges would say, and how often they were asked."""

    def __init__(self) -> None:
        self.venue: str | None = None
        self.asked = 0

    def __call__(self, _: object) -> Answer:
        self.asked += 1
        return Answer(self.venue, datetime.now(UTC), "" if self.venue else "Nobody is there.")


@pytest.fixture
def exchanges(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Exchanges]:
    """A server under ``auto`` that has not started yet, and the exchanges it would ask."""
    world = Exchanges()
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    monkeypatch.setattr(instances, "_engines", {})
    monkeypatch.setattr(instances, "_answer", None)
    monkeypatch.setattr(auto, "_followers", [])
    monkeypatch.setattr(auto, "ask_exchanges", world)
    for name in ("DATABASE_URL", "CRYPTOSATX_MARKET", "CRYPTOSATX_WORKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CRYPTOSATX_ENV", "development")
    monkeypatch.setenv("CRYPTOSATX_DATA", str(tmp_path))
    yield world
    for engine in instances._engines.values():
        engine.dispose()


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time pass in which exchanges are not asked again."""
    monkeypatch.setattr(auto, "AGAIN_AFTER", timedelta(0))


def kind() -> str:
    return instance().market.kind


# The start


def test_nobody_is_asked_without_a_start(exchanges: Exchanges) -> None:
    assert kind() == "demo"
    assert exchanges.asked == 0


def test_a_start_asks_and_what_is_answered_holds(exchanges: Exchanges) -> None:
    exchanges.venue = "okx"
    assert auto.open_instance().market.kind == "live"
    assert kind() == "live"
    assert exchanges.asked == 1
    assert auto.market_words(instance()) == "Live market (okx answered)"


def test_where_nobody_answers_the_demo_says_why_it_is_there(exchanges: Exchanges) -> None:
    here = auto.open_instance()
    assert auto.market_words(here) == (
        "Simulated market (no exchange answered within 5 s; try again on any page)"
    )
    assert auto.market_words(here) in lifespan.announcement(here, "http://localhost")


def test_a_market_that_is_set_is_not_asked_about(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    for market in ("demo", "live"):
        monkeypatch.setenv("CRYPTOSATX_MARKET", market)
        assert auto.open_instance().market.kind == market
        assert auto.market_words(instance()) == instance().market.label
    assert exchanges.asked == 0


@pytest.mark.parametrize("key", ["live", "demo"])
def test_a_set_database_keeps_its_market_and_nobody_is_asked(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch, engine: Engine, key: str
) -> None:
    exchanges.venue = "okx" if key == "demo" else None
    with engine.begin() as conn:
        claim_market(conn, key)
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False))
    assert auto.open_instance().market.kind == kind() == key
    assert exchanges.asked == 0
    assert "DATABASE_URL holds it" in auto.market_words(instance())


def test_an_empty_set_database_gets_the_market_that_is_there(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    url = engine.url.render_as_string(hide_password=False)
    exchanges.venue = "okx"
    monkeypatch.setenv("DATABASE_URL", url)
    assert auto.open_instance().market.kind == "live"
    assert held_market(url) == "live"


def test_asking_a_database_what_it_holds_makes_none(tmp_path: Path) -> None:
    assert held_market(f"sqlite:///{tmp_path}/none.sqlite") is None
    assert not list(tmp_path.iterdir())
    with pytest.raises(StoreError, match="cannot be opened"):
        held_market("postgresql://127.0.0.1:9/none")


# Trying again


def test_who_tries_again_brings_the_live_market_to_everybody(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Instance] = []
    auto.open_instance()
    auto.follow(begun.append)
    later(monkeypatch)
    auto.try_again()
    assert (kind(), begun) == ("demo", [])
    exchanges.venue = "bybit"
    auto.try_again()
    assert kind() == "live"
    assert [here.market.kind for here in begun] == ["live"]
    auto.try_again()
    assert (exchanges.asked, len(begun)) == (3, 1)


def test_however_many_try_at_once_exchanges_are_asked_once(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto.open_instance()
    monkeypatch.setattr(instances, "_answer", SILENCE)
    with ThreadPoolExecutor(8) as readers:
        list(readers.map(lambda _: auto.try_again(), range(8)))
    assert exchanges.asked == 2
    assert 9 < auto.seconds_to_wait(datetime.now(UTC)) <= 10


def test_a_live_database_that_cannot_be_opened_leaves_the_demo_as_it_is(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    auto.open_instance()
    open_store(f"sqlite:///{tmp_path}/live.sqlite", "recording-x").dispose()
    exchanges.venue = "okx"
    later(monkeypatch)
    with pytest.raises(StoreError, match="recording-x"):
        auto.try_again()
    assert kind() == "demo"


def test_what_works_beside_the_server_changes_with_the_market(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Work] = []
    monkeypatch.setattr(Beside, "begin", lambda _, work: begun.append(work))
    later(monkeypatch)

    async def serve() -> None:
        async with lifespan.lifespan(None):  # type: ignore[arg-type]
            exchanges.venue = "okx"
            await asyncio.to_thread(auto.try_again)

    asyncio.run(serve())
    assert begun == [
        Work(["worker"], {"CRYPTOSATX_MARKET": "demo"}, endless=True),
        Work(["worker"], {"CRYPTOSATX_MARKET": "live"}, endless=True),
    ]


# The banner


def sign_in(monkeypatch: pytest.MonkeyPatch, username: str | None = "ada") -> None:
    now = datetime.now(UTC)
    with instance().accounts.begin() as conn:
        user_id = (
            username
            and people.create_user(
                conn,
                username=username,
                name="Ada",
                role="trader",
                password="four unrelated words",
                now=now,
            ).id
        )
        token = sessions.start(conn, user_id or None, now=now)
    monkeypatch.setattr(guard, "_browser_token", lambda: token)


def buttons(at: AppTest) -> list[str]:
    return [button.label for button in at.button]


def test_the_banner_brings_the_live_market_and_the_reader_stays_signed_in(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto.open_instance()
    monkeypatch.setattr(instances, "_answer", SILENCE)
    sign_in(monkeypatch)
    at = open_app(timezone="Asia/Tokyo")
    assert "SIMULATED MARKET" in words(at)
    assert "No exchange answered at 23:03, so this is a simulation." in words(at)
    next(button for button in at.button if button.label == "Try again").click()
    run(at)
    assert "SIMULATED MARKET" in words(at)
    assert next(button for button in at.button if button.label == "Try again").disabled

    exchanges.venue = "okx"
    later(monkeypatch)
    run(at)
    next(button for button in at.button if button.label == "Try again").click()
    run(at)
    run(at)
    assert "SIMULATED MARKET" not in words(at)
    assert "LIVE" in words(at)
    assert "Try again" not in buttons(at)
    assert "Sign out" in buttons(at)


def test_a_guest_reads_why_and_changes_no_market(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    auto.open_instance()
    sign_in(monkeypatch, None)
    at = open_app()
    assert "Sign in to try again" in words(at)
    assert "Try again" not in buttons(at)


def test_a_demo_that_is_set_has_no_banner(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_MARKET", "demo")
    auto.open_instance()
    sign_in(monkeypatch)
    at = open_app()
    assert "SIMULATED MARKET" in words(at)
    assert "so this is a simulation" not in words(at)
    assert "Try again" not in buttons(at)


def test_a_set_database_with_the_demo_says_what_to_do_and_has_no_button(
    exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch, new_sqlite: Callable[[], str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", new_sqlite())
    auto.open_instance()
    sign_in(monkeypatch)
    at = open_app()
    assert "names another database" in words(at)
    assert "Try again" not in buttons(at)
    later(monkeypatch)
    exchanges.venue = "okx"
    auto.try_again()
    assert kind() == "demo"


def test_the_sentence_fits_what_is_known() -> None:
    said = banner_words(SILENCE, TOKYO, changeable=True, asking=True)
    assert said == "No exchange answered at 23:03, so this is a simulation."
    assert banner_words(SILENCE, TOKYO, changeable=False, asking=True).startswith(
        "No exchange answered at 23:03, and the database of DATABASE_URL holds this simulation."
    )
    assert banner_words(None, TOKYO, changeable=False, asking=True).startswith("The database of")
