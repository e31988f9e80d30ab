from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.errors import RecordingError, SettingsError
from core.market.choice import choose_market, database_url, market_at, recording_market
from core.market.sources import open_http
from core.production import missing_for_production, refuse_unless_safe
from core.settings import (
    ROOT,
    Settings,
    describe_settings,
    exposed_secrets,
    load_settings,
    unknown_settings,
)


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


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o400)
    return path


def source_of(settings: Settings, name: str) -> str:
    return next(one.source for one in describe_settings(settings) if one.name == name)


def test_a_secret_is_read_from_wherever_it_is_given_the_nearest_first(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    lines = written(tmp_path / "lines", "COINAPI_API_KEY=lines\nOPENAI_API_KEY='a b'\n")
    places = {
        "CRYPTOSATX_SECRETS_FILE": str(lines),
        "CRYPTOSATX_SECRETS_DIR": str(folder),
        "COINAPI_API_KEY_FILE": str(written(tmp_path / "one", "own file\n")),
    }

    def found(*names: str) -> tuple[str, str]:
        settings = load_settings({name: places[name] for name in names})
        key = settings.coinapi_api_key
        return (key.get_secret_value() if key else ""), source_of(settings, "COINAPI_API_KEY")

    assert found() == ("", "default")
    assert found("CRYPTOSATX_SECRETS_FILE") == ("lines", f"file {lines}")
    # As Docker names them; and before that, as the setting is named.
    written(folder / "coinapi_api_key", "small\n")
    assert found("CRYPTOSATX_SECRETS_FILE", "CRYPTOSATX_SECRETS_DIR")[0] == "small"
    written(folder / "COINAPI_API_KEY", "folder\n")
    assert found("CRYPTOSATX_SECRETS_DIR")[0] == "folder"
    settings = load_settings({name: places[name] for name in places})
    assert settings.coinapi_api_key is not None
    assert settings.coinapi_api_key.get_secret_value() == "own file"
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "a b"
    given = load_settings({**places, "COINAPI_API_KEY_FILE": "", "COINAPI_API_KEY": "given"})
    assert given.coinapi_api_key is not None
    assert given.coinapi_api_key.get_secret_value() == "given"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"DATABASE_URL": "x", "DATABASE_URL_FILE": "/x"}, "keep one of the two"),
        ({"DATABASE_URL_FILE": "/none/there"}, "DATABASE_URL_FILE: /none/there cannot be read"),
        ({"CRYPTOSATX_SECRETS_DIR": "/none/there"}, "there is no such folder"),
        ({"CRYPTOSATX_SECRETS_FILE": "/none/there"}, "cannot be read"),
        ({"CRYPTOSATX_ALLOWED_HOSTS": "*"}, "write host names without a port"),
        ({"CRYPTOSATX_TRUSTED_PROXIES": "0.0.0.0/0"}, "write addresses or networks"),
        ({"CRYPTOSATX_CORS_ORIGINS": "https://a.b,*"}, "and never \\*"),
        ({"CRYPTOSATX_BACKUP_TO": "ftp://host/x"}, "s3://BUCKET/PREFIX"),
        ({"CRYPTOSATX_BACKUP_KEEP": "daily=3"}, "the last at least 1"),
        ({"CRYPTOSATX_BACKUP_PASSPHRASE": "open-sesame"}, "16 characters"),
        ({"CRYPTOSATX_BACKUP_RECIPIENTS": "AGE-SECRET-KEY-1OPEN-SESAME"}, "begin with age1"),
    ],
)
def test_what_cannot_be_used_is_said(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(environ)


PLANTED = "open-sesame-4711"


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABASE_URL": f"postgresql://me:{PLANTED}@host/name"},
        {"CRYPTOSATX_SECRET_KEY": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="},
        {"COINGLASS_API_KEY": PLANTED},
        {"OPENAI_BASE_URL": f"https://me:{PLANTED}@host/v1"},
        {"CRYPTOSATX_ENDPOINTS": f"binance=https://me:{PLANTED}@host"},
        {"CRYPTOSATX_BACKUP_PASSPHRASE": PLANTED},
        {"AWS_SECRET_ACCESS_KEY": PLANTED},
        {"DATABASE_URL": f"postgresql://me:{PLANTED}@["},
        {"CRYPTOSATX_SECRET_KEY": PLANTED},
        {"OPENAI_BASE_URL": f"ftp://me:{PLANTED}@host"},
        {"AWS_ENDPOINT_URL": f"ftp://{PLANTED}"},
    ],
)
def test_no_secret_is_shown_whether_it_can_be_used_or_not(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (name, secret), *_ = environ.items()
    for given in (environ, {f"{name}_FILE": str(written(tmp_path / "it", secret))}):
        try:
            settings = load_settings(given)
        except SettingsError as error:
            told = "".join(traceback.format_exception(error))
        else:
            told = f"{settings!r} {settings} {describe_settings(settings)} {settings._given}"
            told += "".join(map(str, describe_settings(settings)))
        assert PLANTED not in told
        assert "QUFB" not in told


@pytest.mark.parametrize(
    "value",
    [
        f"https://me:{PLANTED}@host/x y",
        f"https://me:{PLANTED}/x@host",
        f"https://me:p@{PLANTED}@host",
        f"https://me:{PLANTED}@\N{ACCOUNT OF}host",
        f"https://host/?api_key={PLANTED}",
        f"AGE-SECRET-KEY-1{PLANTED.upper()}",
        f"age1abc,AGE-SECRET-KEY-PQ-1{PLANTED.upper()}",
        f"quick=https://me:{PLANTED}@host,x=1",
        f"recording:https://me:{PLANTED}@host",
    ],
)
def test_no_setting_shows_a_secret_that_was_written_into_it_by_mistake(value: str) -> None:
    names = [str(field.validation_alias) for field in Settings.model_fields.values()]
    asked = [{name: value} for name in names]
    # Refused alone, and taken beside the address that it needs.
    asked.append(
        {"CRYPTOSATX_URL": "https://signals.example", "CRYPTOSATX_OIDC_METADATA_URL": value}
    )
    for environ in asked:
        try:
            settings = load_settings(environ)
            told = "".join(map(str, describe_settings(settings)))
            told += "".join(missing_for_production(settings))
            choose_market(settings, answered=True, held=None)
            open_http(settings)
        except SettingsError as error:
            told = str(error)
        assert PLANTED not in told.lower(), environ


def test_a_private_key_of_age_in_the_place_of_the_public_one_is_told_of() -> None:
    key = f"AGE-SECRET-KEY-1{PLANTED.upper()}"
    with pytest.raises(SettingsError, match="this is the private key") as caught:
        load_settings({"CRYPTOSATX_BACKUP_RECIPIENTS": key})
    assert "write public keys of age that begin with age1" in str(caught.value)


def test_files_of_secrets_that_others_may_read_are_told_of(tmp_path: Path) -> None:
    path = written(tmp_path / "key", "x")
    settings = load_settings({"COINAPI_API_KEY_FILE": str(path)})
    assert exposed_secrets(settings) == []
    path.chmod(0o644)
    assert f"Others may read {path} (0644)" in exposed_secrets(settings)[0]


def test_a_file_of_lines_may_hold_settings_only(tmp_path: Path) -> None:
    path = written(tmp_path / "lines", "COINAPI_API_KY=x\n")
    with pytest.raises(SettingsError, match="sets COINAPI_API_KY, which is no setting"):
        load_settings({"CRYPTOSATX_SECRETS_FILE": str(path)})
    assert unknown_settings({"CRYPTOSATX_SECRET_KEY_FILE": "", "CRYPTOSATX_SECRT_FILE": ""}) == [
        "CRYPTOSATX_SECRT_FILE"
    ]


def safe(tmp_path: Path) -> dict[str, str]:
    return {
        "CRYPTOSATX_ENV": "production",
        "CRYPTOSATX_DATA": str(tmp_path),
        "CRYPTOSATX_URL": "https://signals.example",
        "CRYPTOSATX_ALLOWED_HOSTS": "*.example",
        "CRYPTOSATX_TRUSTED_PROXIES": "none",
        "CRYPTOSATX_BACKUP_TO": "off",
    }


def test_production_starts_with_what_safety_needs(tmp_path: Path) -> None:
    refuse_unless_safe(load_settings(safe(tmp_path)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"CRYPTOSATX_URL": ""}, "Set CRYPTOSATX_URL to the address that people open"),
        ({"CRYPTOSATX_URL": "http://signals.example"}, "beginning with https://"),
        ({"CRYPTOSATX_ALLOWED_HOSTS": ""}, "Set CRYPTOSATX_ALLOWED_HOSTS"),
        ({"CRYPTOSATX_ALLOWED_HOSTS": "other.org"}, "Add signals.example"),
        ({"CRYPTOSATX_TRUSTED_PROXIES": ""}, "Set CRYPTOSATX_TRUSTED_PROXIES"),
        ({"CRYPTOSATX_BACKUP_TO": ""}, "Set CRYPTOSATX_BACKUP_TO"),
        ({"CRYPTOSATX_BACKUP_TO": "/kept"}, "so that backups are encrypted"),
    ],
)
def test_production_refuses_to_start_and_says_what_is_missing(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    settings = load_settings({**safe(tmp_path), **changed})
    (sentence,) = missing_for_production(settings)
    assert said in sentence
    with pytest.raises(SettingsError, match="does not start without these"):
        refuse_unless_safe(settings)
    refuse_unless_safe(settings.model_copy(update={"env": "development"}))


def test_production_needs_a_key_that_nobody_else_reads(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("x")
    (tmp_path / "secret.key").chmod(0o644)
    (sentence,) = missing_for_production(load_settings(safe(tmp_path)))
    assert sentence.startswith("Set CRYPTOSATX_SECRET_KEY")
    key = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
    given = load_settings({**safe(tmp_path), "CRYPTOSATX_SECRET_KEY": key})
    assert missing_for_production(given) == []
