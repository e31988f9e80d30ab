from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from core.errors import RecordingError, SettingsError
from core.market.choice import choose_market, database_url, market_at, recording_market
from core.settings import ROOT, Settings, describe_settings, load_settings, unknown_settings


def test_without_an_environment_everything_has_a_default() -> None:
    settings = load_settings({})
    assert (settings.market, settings.worker, settings.env) == ("auto", True, "development")
    assert settings.database_url is None
    assert settings.data_dir == ROOT / "data"


def test_an_empty_value_is_no_value() -> None:
    assert load_settings({"CRYPTOSATX_MARKET": " ", "DATABASE_URL": ""}) == load_settings({})


def test_the_process_environment_is_read_when_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CRYPTOSATX_ENV", "production")
    assert load_settings().env == "production"
    assert load_settings({}).env == "development"


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("CRYPTOSATX_MARKET", "binance", "auto, live, demo or recording:PATH"),
        ("CRYPTOSATX_MARKET", "recording:", "auto, live, demo or recording:PATH"),
        ("CRYPTOSATX_WORKER", "perhaps", "on or off"),
        ("CRYPTOSATX_ENV", "staging", "development or production"),
        ("DATABASE_URL", "my database", "sqlite:///FILE or postgresql://"),
    ],
)
def test_a_wrong_value_is_refused_with_what_to_write(name: str, value: str, wanted: str) -> None:
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings({name: value})
    assert wanted in str(caught.value)


def test_a_wrong_address_is_refused_without_showing_its_password() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"DATABASE_URL": "secret words"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("text", "on"), [("on", True), ("off", False), ("0", False)])
def test_a_switch_is_on_or_off(text: str, on: bool) -> None:
    assert load_settings({"CRYPTOSATX_WORKER": text}).worker is on


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValidationError):
        load_settings({}).market = "demo"  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    described = describe_settings(load_settings({"CRYPTOSATX_WORKER": "off"}))
    assert len(described) == len(Settings.model_fields)
    assert all(setting.description.endswith(".") for setting in described)
    worker = next(setting for setting in described if setting.name == "CRYPTOSATX_WORKER")
    assert (worker.value, worker.source) == ("off", "environment")


def test_a_password_is_never_described() -> None:
    url = "postgresql://me:secret@host/name?sslpassword=secret"
    described = describe_settings(load_settings({"DATABASE_URL": url}))
    assert described[0].value == "postgresql://me:***@host/name"


def test_a_misspelt_setting_is_found() -> None:
    assert unknown_settings({"CRYPTOSATX_MARKT": "demo", "PATH": ""}) == ["CRYPTOSATX_MARKT"]


def test_auto_is_the_demo_until_an_exchange_answers(tmp_path: Path) -> None:
    settings = load_settings({"CRYPTOSATX_DATA": str(tmp_path)})
    market = choose_market(settings)
    assert (market.kind, market.simulated) == ("demo", True)
    assert market.path == tmp_path / "demo"
    assert choose_market(settings, answered=True).kind == "live"


@pytest.mark.parametrize("answered", [True, False])
def test_auto_leaves_a_set_database_the_market_it_holds(answered: bool) -> None:
    settings = load_settings({"DATABASE_URL": "postgresql://host/name"})
    for held in ("live", "demo"):
        assert choose_market(settings, answered=answered, held=held).kind == held
    with pytest.raises(SettingsError, match="CRYPTOSATX_MARKET=recording:PATH"):
        choose_market(settings, answered=answered, held="recording-october-0b5cf9ce")


def test_who_sets_a_market_gets_it_whoever_answers() -> None:
    settings = load_settings({"CRYPTOSATX_MARKET": "demo"})
    assert choose_market(settings, answered=True).kind == "demo"


def test_the_live_market_has_a_database_of_its_own(tmp_path: Path) -> None:
    asked = {"CRYPTOSATX_MARKET": "live", "CRYPTOSATX_DATA": str(tmp_path)}
    market = choose_market(load_settings(asked))
    assert (market.kind, market.key, market.simulated) == ("live", "live", False)
    assert database_url(load_settings(asked), market) == f"sqlite:///{tmp_path}/live.sqlite"


def test_a_recording_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no folder"):
        choose_market(load_settings({"CRYPTOSATX_MARKET": f"recording:{tmp_path}/none"}))
    with pytest.raises(RecordingError, match="no folder"):
        market_at(f"{tmp_path}/none", load_settings({}))


def test_each_market_has_its_own_database(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "October", tmp_path / "b" / "October"
    for path in (one, other):
        path.mkdir(parents=True)
    settings = load_settings({"CRYPTOSATX_DATA": str(tmp_path)})
    markets = [choose_market(settings), recording_market(one), recording_market(other)]
    assert len({database_url(settings, market) for market in markets}) == 3
    assert database_url(settings, markets[0]) == f"sqlite:///{tmp_path}/demo.sqlite"


def test_a_set_database_is_taken_for_every_market(tmp_path: Path) -> None:
    settings = load_settings({"DATABASE_URL": "postgresql://host/name"})
    assert database_url(settings, recording_market(tmp_path)) == "postgresql://host/name"


def test_the_demo_is_known_by_its_name_and_by_its_folder(tmp_path: Path) -> None:
    settings = load_settings({"CRYPTOSATX_DATA": str(tmp_path)})
    assert market_at("demo", settings) == market_at(f"{tmp_path}/demo", settings)
    assert market_at("demo", settings).kind == "demo"
    assert market_at(str(tmp_path), settings).kind == "recording"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"CRYPTOSATX_MODEL": "x"}, "set OPENAI_API_KEY too, or OPENAI_BASE_URL"),
        ({"CRYPTOSATX_MODEL_USD_PER_DAY": "5"}, "set CRYPTOSATX_MODEL_PRICES too"),
        ({"CRYPTOSATX_MODEL_PRICES": "input=1"}, "write input=0.4,output=1.6"),
        ({"CRYPTOSATX_MODEL_PRICES": "input=1,output=-1"}, "write input=0.4,output=1.6"),
        ({"CRYPTOSATX_MODEL_PRICES": "input=1,output=nan"}, "write input=0.4,output=1.6"),
        ({"CRYPTOSATX_MODEL_MODES": "bold"}, "write conservative or balanced or aggressive"),
        ({"CRYPTOSATX_MODEL_TIMEOUT": "0"}, "greater than 0"),
        ({"CRYPTOSATX_MODEL_CONCURRENCY": "0"}, "greater than or equal to 1"),
        ({"CRYPTOSATX_MODEL_TEMPERATURE": "3"}, "less than or equal to 2"),
        ({"OPENAI_BASE_URL": "ftp://me:open-sesame@host"}, "write an address such as"),
    ],
)
def test_what_cannot_be_used_of_a_model_is_said_with_what_to_write(environ, said):
    with pytest.raises(SettingsError) as error:
        load_settings(environ)
    assert said in str(error.value)
    assert next(iter(environ)) in str(error.value)
    assert "open-sesame" not in str(error.value)


def test_a_server_of_ones_own_needs_no_key():
    settings = load_settings({"CRYPTOSATX_MODEL": "x", "OPENAI_BASE_URL": "http://me:pw@h/v1?k=s"})
    shown = {one.name: one.value for one in describe_settings(settings)}
    assert shown["OPENAI_BASE_URL"] == "http://h/v1"
