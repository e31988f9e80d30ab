"""Every endpoint of the tables is an operation that asks the source as its documentation says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine

from core.errors import (
    SourceKeyMissing,
    SourceRefused,
    SourceReplyWrong,
    SourceUnavailable,
    TookTooLong,
)
from core.market.budgets import Budget, Budgets
from core.market.choice import choose_market
from core.operations import Context, Operation, WrongParameters
from core.operations.sources import close_readers, reading, source_operations
from core.operations.sources.providers import PROVIDERS, wanted_of
from core.operations.sources.reading import Found, Kept
from core.operations.sources.table import example_of, load_table
from core.settings import Settings, load_settings
from tests.world.directory import Asked, Directory

OPERATIONS = {one.name: one for one in source_operations()}
OF_PROVIDERS = [
    (source, endpoint) for source in PROVIDERS for endpoint in load_table(source).endpoints
]
NAMES = [f"{source}_{endpoint.name}" for source, endpoint in OF_PROVIDERS]
# Plans that allow everything at once, and no patience with what fails.
ROOMY = {
    "CRYPTOSATX_BUDGETS": ",".join(
        f"{name}=1000000"
        for name in (
            "coinglass.requests", "lunarcrush.requests", "lunarcrush.day", "coinapi.requests",
            "coingecko.requests", "alternative_me.requests",
        )
    ),
    "CRYPTOSATX_LIMITS": "attempts=1,failures_to_open=1000,total=5",
}  # fmt: skip
SECRET = "right-key"


@pytest.fixture(scope="module")
def directory() -> Iterator[Directory]:
    with Directory(key=SECRET) as directory:
        yield directory
        close_readers()


@pytest.fixture
def quiet(directory: Directory) -> Iterator[Directory]:
    """Nothing was asked yet, nothing is kept, and nothing is broken."""
    directory.asked.clear()
    close_readers()
    yield directory
    directory.reply, directory.status, directory.hang_seconds = None, 200, 0.0


def settings_of(directory: Directory, **changes: str) -> Settings:
    endpoints = ",".join(f"{name}={url}" for name, url in directory.endpoints.items())
    keys = {f"{name.upper()}_API_KEY": SECRET for name in PROVIDERS if name != "alternative_me"}
    return load_settings({"CRYPTOSATX_ENDPOINTS": endpoints, **ROOMY, **keys, **changes})


def context_of(settings: Settings, seconds: float = 10.0) -> Context:
    engine = create_engine("sqlite://")
    market = choose_market(settings, answered=False, held=None)
    now = datetime.now(UTC)
    return Context(engine, engine, market, settings, "reader", "admin", now, monotonic() + seconds)


def ask(operation: Operation[Any], context: Context, given: dict[str, Any]) -> Any:
    return operation.answer(context, operation.check(given, strict=True))


def test_there_are_more_than_172_and_each_is_described() -> None:
    assert len(load_table("coinglass").endpoints) == 144
    assert len(OPERATIONS) > 172
    for operation in OPERATIONS.values():
        assert operation.scope == "sources.read"
        assert not operation.writes
        assert operation.title
        assert operation.description.endswith(".")
        for field in operation.parameters.model_fields.values():
            assert field.description


@pytest.mark.parametrize(("source", "endpoint"), OF_PROVIDERS, ids=NAMES)
def test_every_endpoint_is_asked_as_the_provider_wants_it(
    directory: Directory, source: str, endpoint: Any
) -> None:
    context, operation = context_of(settings_of(directory)), OPERATIONS[f"{source}_{endpoint.name}"]
    taken = load_table(source).taken(endpoint)
    whole = {one.name: one.kind.example for one in taken}
    for given in [example_of(taken)] + [whole] * (whole != example_of(taken)):
        directory.asked.clear()
        found = ask(operation, context, given)
        sent = {one.name: one.kind.write(given[one.name]) for one in taken if one.name in given}
        assert directory.asked == [Asked(source, endpoint.name, sent)]
        assert (found.source, found.endpoint) == (source, endpoint.path)
        assert endpoint.path in str(found.reply)
    strange = {**whole, "strange": "1"}
    with pytest.raises(WrongParameters, match="strange"):
        operation.check(strange)
    for one in taken:
        if one.needed:
            with pytest.raises(WrongParameters, match=one.name):
                operation.check({key: value for key, value in whole.items() if key != one.name})


TRICKS = [
    "..", ".", "../..", "a/b", "/", "//evil.example", "a?b=1", "a#b", "a%2f..%2fb", "a\\b", "a\nb",
    "http://evil.example", "@evil.example", "a;b", "", " ", "%2e%2e", "btc\u202e", "٣",
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "endpoint"),
    [one for one in OF_PROVIDERS if one[1].in_path],
    ids=[f"{source}_{endpoint.name}" for source, endpoint in OF_PROVIDERS if endpoint.in_path],
)
def test_no_parameter_leaves_its_part_of_the_path(source: str, endpoint: Any) -> None:
    operation = OPERATIONS[f"{source}_{endpoint.name}"]
    taken = load_table(source).taken(endpoint)
    home = urlsplit(PROVIDERS[source].url)
    for name in endpoint.in_path:
        for trick in TRICKS:
            try:
                asked = operation.check({**example_of(taken), name: trick})
            except WrongParameters:
                continue
            url = urlsplit(wanted_of(source, endpoint, taken, asked.model_dump(), SECRET).url)
            assert (url.scheme, url.netloc) == (home.scheme, home.netloc)
            assert (url.query, url.fragment) == ("", "")
            parts = url.path.split("/")
            assert len(parts) == len((home.path + endpoint.path).split("/"))
            assert not {"", ".", ".."} & set(
                parts[1:] if not url.path.endswith("/") else parts[1:-1]
            )


def test_a_reply_is_kept_for_a_while_and_says_how_old_it_is(quiet: Directory) -> None:
    context, operation = context_of(settings_of(quiet)), OPERATIONS["coinglass_supported_coins"]
    first, again = ask(operation, context, {}), ask(operation, context, {})
    assert len(quiet.asked) == 1
    assert again.fetched_at == first.fetched_at
    assert 0 <= first.age_s <= again.age_s
    ask(OPERATIONS["coinglass_pairs_markets"], context, {"symbol": "BTC"})
    ask(OPERATIONS["coinglass_pairs_markets"], context, {"symbol": "ETH"})
    assert [one.parameters.get("symbol") for one in quiet.asked] == [None, "BTC", "ETH"]


def test_many_who_ask_the_same_at_once_cost_one_request(quiet: Directory) -> None:
    context, operation = context_of(settings_of(quiet)), OPERATIONS["coingecko_global"]
    together = threading.Barrier(8)

    def one(_: int) -> Any:
        together.wait()
        return ask(operation, context, {})

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(8)))
    assert len(quiet.asked) == 1
    assert len({answer.fetched_at for answer in found}) == 1


def test_what_is_kept_is_bounded() -> None:
    kept, now = Kept(most=100), datetime.now(UTC)
    for number in range(10):
        kept.keep(str(number), Found(b"x" * 40, now, monotonic()))
    assert [str(n) for n in range(10) if kept.recall(str(n), 60)] == ["8", "9"]
    kept.keep("large", Found(b"x" * 101, now, monotonic()))
    assert kept.recall("large", 60) is None


@pytest.mark.parametrize("source", ["coinglass", "lunarcrush", "coinapi"])
def test_a_key_that_is_not_set_is_said_with_its_setting(quiet: Directory, source: str) -> None:
    setting = f"{source.upper()}_API_KEY"
    context = context_of(settings_of(quiet, **{setting: ""}))
    name = {"coinglass": "supported_coins", "lunarcrush": "topics_list", "coinapi": "exchanges"}
    with pytest.raises(SourceKeyMissing, match=setting):
        ask(OPERATIONS[f"{source}_{name[source]}"], context, {})
    assert not quiet.asked


def test_coingecko_answers_without_a_key_too(quiet: Directory) -> None:
    context = context_of(settings_of(quiet, COINGECKO_API_KEY=""))
    assert ask(OPERATIONS["coingecko_ping"], context, {}).source == "coingecko"
    with pytest.raises(SourceRefused, match="without a key of 60 s are used up"):
        ask(OPERATIONS["coingecko_exchange_rates"], context, {})


@pytest.mark.parametrize("source", ["coinglass", "lunarcrush", "coinapi", "coingecko"])
def test_what_a_provider_refuses_is_a_sentence_without_the_key(
    quiet: Directory, source: str
) -> None:
    wrong = "wrong-key-that-nobody-may-see"
    context = context_of(settings_of(quiet, **{f"{source.upper()}_API_KEY": wrong}))
    name = {
        "coinglass": "supported_coins", "lunarcrush": "topics_list", "coinapi": "exchanges",
        "coingecko": "ping",
    }  # fmt: skip
    with pytest.raises((SourceRefused, SourceReplyWrong), match="this key is wrong") as caught:
        ask(OPERATIONS[f"{source}_{name[source]}"], context, {})
    assert wrong not in str(caught.value)
    assert "***" in str(caught.value)


def test_a_provider_that_fails_is_away_and_the_error_says_who(quiet: Directory) -> None:
    quiet.status = 502
    with pytest.raises(SourceUnavailable, match="coingecko is not working"):
        ask(OPERATIONS["coingecko_ping"], context_of(settings_of(quiet)), {})


def test_a_key_that_comes_back_in_a_reply_is_not_passed_on(quiet: Directory) -> None:
    quiet.reply = {"your key": SECRET, "number": float("nan")}
    found = ask(OPERATIONS["coingecko_ping"], context_of(settings_of(quiet)), {})
    assert found.reply == {"your key": "***", "number": None}


def test_readers_spend_their_own_share_of_a_budget_and_never_the_worker_s(quiet: Directory) -> None:
    settings = settings_of(quiet, CRYPTOSATX_BUDGETS="coinglass.requests=20")
    operation, context = OPERATIONS["coinglass_pairs_markets"], context_of(settings)
    for symbol in ("BTC", "ETH", "SOL"):
        ask(operation, context, {"symbol": symbol})
    with pytest.raises(SourceRefused, match="used up") as caught:
        ask(operation, context, {"symbol": "XRP"})
    assert caught.value.retry_after is not None
    assert len(quiet.asked) == 3  # 15 % of 20.
    ask(operation, context, {"symbol": "BTC"})  # What is kept costs nothing.


def test_what_costs_more_than_readers_have_is_refused_at_once(quiet: Directory) -> None:
    settings = settings_of(quiet, CRYPTOSATX_BUDGETS="coinapi.requests=20")
    given = {"symbol_id": "BINANCE_SPOT_BTC_USDT", "period_id": "1HRS", "limit": 1000}
    with pytest.raises(SourceRefused, match=r"This costs 10 requests .* readers have 3"):
        ask(OPERATIONS["coinapi_ohlcv_latest"], context_of(settings), given)
    assert not quiet.asked


def test_who_has_no_time_left_is_told_so(quiet: Directory) -> None:
    with pytest.raises(TookTooLong, match="coingecko"):
        ask(OPERATIONS["coingecko_ping"], context_of(settings_of(quiet), seconds=-1), {})


def test_what_the_others_of_ours_may_spend_takes_nothing_away_and_more_than_that_does() -> None:
    budget = Budget("weight", 100, 60, used_header="x-used")
    worker = Budgets([budget], share=0.8, others_share=0.15)
    worker.note_reported({"x-used": "15"})
    assert [use.used for use in worker.use()] == [0]
    worker.note_reported({"x-used": "25"})
    assert [use.used for use in worker.use()] == [10]


def test_sources_that_hang_do_not_take_every_thread_of_the_api(
    quiet: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PATIENCE_SECONDS", 0.05)
    quiet.hang_seconds = 1.0
    settings = settings_of(quiet)

    def one(symbol: str) -> str:
        try:
            ask(OPERATIONS["coinglass_pairs_markets"], context_of(settings), {"symbol": symbol})
        except SourceRefused as error:
            return str(error)
        return "answered"

    with ThreadPoolExecutor(reading.AT_ONCE + 2) as pool:
        told = list(pool.map(one, [f"C{number}" for number in range(reading.AT_ONCE + 2)]))
    assert told.count("answered") == reading.AT_ONCE
    assert told.count("Too many sources are asked at once: try again in a moment.") == 2
