"""What can be set from the environment, each with its default and what it is for."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from typing_extensions import override

from core.errors import SettingsError
from core.signals import PROFILE_NAMES

ROOT = Path(__file__).resolve().parents[1]

OPENAI = "https://api.openai.com/v1"


class Settings(BaseSettings):
    """The settings as read once, at an edge of the program, and then handed on."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: str | None = Field(
        default=None,
        validation_alias="DATABASE_URL",
        description="Database for everything: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME. "
        "Unset: one SQLite file per market in CRYPTOSATX_DATA, and accounts.sqlite for people.",
    )
    market: str = Field(
        default="auto",
        validation_alias="CRYPTOSATX_MARKET",
        description="Market behind the dashboard: auto (live when an exchange answers within 5 s, "
        "else demo), live, demo or recording:PATH.",
    )
    worker: bool = Field(
        default=True,
        validation_alias="CRYPTOSATX_WORKER",
        description="Whether the dashboard starts a worker of its own: on or off.",
    )
    env: Literal["development", "production"] = Field(
        default="development",
        validation_alias="CRYPTOSATX_ENV",
        description="development or production; production offers no guest access.",
    )
    data_dir: Path = Field(
        default=ROOT / "data",
        validation_alias="CRYPTOSATX_DATA",
        description="Folder for databases, the demo recording and generated secrets.",
    )

    url: str | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_URL",
        description="Address at which people open the dashboard, such as https://signals.example. "
        "Alert messages link to it. Unset: no links.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_SECRET_KEY",
        description="Key that seals the secrets of channels; several by commas, the newest first. "
        "Unset: one is made and kept in secret.key in CRYPTOSATX_DATA.",
    )
    api_calls_per_minute: int = Field(
        default=120,
        ge=1,
        le=1_000_000,
        validation_alias="CRYPTOSATX_API_CALLS_PER_MINUTE",
        description="Requests that each key may make to the API in a minute.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_API_KEY",
        description="Key with which `python -m core mcp` serves its owner; other commands ask for none.",
    )
    redis_url: str | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_REDIS",
        description="Redis in which all servers count the requests of keys together, such as "
        "redis://localhost:6379. Unset: each server counts its own.",
    )
    private_targets: str | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_PRIVATE_TARGETS",
        description="Private networks that messages may be sent to, such as 10.1.0.0/16, by commas. "
        "Unset: public addresses only.",
    )

    exchanges: tuple[str, ...] = Field(
        default=("binance", "bybit", "okx"),
        validation_alias="CRYPTOSATX_EXCHANGES",
        description="Exchanges to follow, the preferred one first: binance, bybit, okx.",
    )
    endpoints: dict[str, str] = Field(
        default={},
        validation_alias="CRYPTOSATX_ENDPOINTS",
        description="Other addresses for sources, such as binance=http://127.0.0.1:9000, by commas.",
    )
    limits: dict[str, str] = Field(
        default={},
        validation_alias="CRYPTOSATX_LIMITS",
        description="Limits of every request, such as total=10, attempts=3, budget_share=0.8.",
    )
    budgets: dict[str, str] = Field(
        default={},
        validation_alias="CRYPTOSATX_BUDGETS",
        description="What a source allows another plan, such as coinglass.requests=300.",
    )
    coinglass_api_key: SecretStr | None = Field(
        default=None, validation_alias="COINGLASS_API_KEY", description="Key of Coinglass v4."
    )
    lunarcrush_api_key: SecretStr | None = Field(
        default=None, validation_alias="LUNARCRUSH_API_KEY", description="Key of LunarCrush v4."
    )
    coinapi_api_key: SecretStr | None = Field(
        default=None, validation_alias="COINAPI_API_KEY", description="Key of CoinAPI."
    )
    coingecko_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="COINGECKO_API_KEY",
        description="Demo key of CoinGecko; it answers without one too, less often.",
    )

    openai_api_key: SecretStr | None = Field(
        default=None,
        validation_alias="OPENAI_API_KEY",
        description="Key of the language model's endpoint; a server of your own may need none.",
    )
    openai_base_url: str | None = Field(
        default=None,
        validation_alias="OPENAI_BASE_URL",
        description="Endpoint that speaks as OpenAI does, such as http://localhost:11434/v1. "
        "Unset: OpenAI itself.",
    )
    model: str | None = Field(
        default=None,
        max_length=128,
        validation_alias="CRYPTOSATX_MODEL",
        description="Language model that gives a second verdict on live signals. Unset: none is asked.",
    )
    model_temperature: float | None = Field(
        default=None,
        ge=0,
        le=2,
        allow_inf_nan=False,
        validation_alias="CRYPTOSATX_MODEL_TEMPERATURE",
        description="Temperature from 0 to 2 that is asked for. Unset: the model's own.",
    )
    model_timeout: float = Field(
        default=60.0,
        gt=0,
        le=600,
        allow_inf_nan=False,
        validation_alias="CRYPTOSATX_MODEL_TIMEOUT",
        description="Seconds that one question may take, retries included.",
    )
    model_calls_per_day: int = Field(
        default=1_000,
        ge=1,
        validation_alias="CRYPTOSATX_MODEL_CALLS_PER_DAY",
        description="Requests to the model per UTC day, of all workers together, retries included.",
    )
    model_prices: dict[str, float] = Field(
        default={},
        validation_alias="CRYPTOSATX_MODEL_PRICES",
        description="USD per million tokens, such as input=0.4,output=1.6. Unset: costs are not known.",
    )
    model_usd_per_day: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        validation_alias="CRYPTOSATX_MODEL_USD_PER_DAY",
        description="USD for the model per UTC day, of all workers together; needs the prices. "
        "Unset: no limit but that of the calls.",
    )
    model_concurrency: int = Field(
        default=4,
        ge=1,
        le=64,
        validation_alias="CRYPTOSATX_MODEL_CONCURRENCY",
        description="Questions to the model at the same time, per worker.",
    )
    model_modes: tuple[str, ...] = Field(
        default=PROFILE_NAMES,
        validation_alias="CRYPTOSATX_MODEL_MODES",
        description="Modes whose signals the model is asked about: conservative, balanced, aggressive.",
    )

    @override
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the mapping that `load_settings` was given; nothing is read behind its back."""
        return (init_settings,)

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                make_url(value)
            except ArgumentError as error:
                raise ValueError("write sqlite:///FILE or postgresql://USER@HOST/NAME") from error
        return value

    @field_validator("market")
    @classmethod
    def _check_market(cls, value: str) -> str:
        kind, _, path = value.partition(":")
        if value in ("auto", "live", "demo") or (kind == "recording" and path):
            return value
        raise ValueError("write auto, live, demo or recording:PATH")

    @field_validator("secret_key")
    @classmethod
    def _check_secret_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            split_keys(value.get_secret_value())
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "redis+unix://")):
            raise ValueError("write an address such as redis://localhost:6379")
        return value

    @field_validator("private_targets")
    @classmethod
    def _check_networks(cls, value: str | None) -> str | None:
        try:
            for part in (value or "").split(","):
                ip_network(part.strip() or "::1")
        except ValueError:
            raise ValueError("write networks such as 10.1.0.0/16 or 127.0.0.1, by commas") from None
        return value

    @field_validator("exchanges", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if not names or len(set(names)) < len(names) or set(names) - {"binance", "bybit", "okx"}:
            raise ValueError("write binance, bybit or okx, or several of them by commas")
        return names

    @field_validator("openai_base_url")
    @classmethod
    def _check_base_url(cls, value: str | None) -> str | None:
        try:
            parts = urlsplit(value or "http://unset")
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("write an address such as http://localhost:11434/v1")
        return value

    @field_validator("model")
    @classmethod
    def _check_model(cls, value: str | None, known: ValidationInfo) -> str | None:
        reachable = known.data.get("openai_api_key") or known.data.get("openai_base_url")
        if value is not None and not reachable:
            raise ValueError(
                "set OPENAI_API_KEY too, or OPENAI_BASE_URL for a server that needs no key"
            )
        return value

    @field_validator("model_prices", mode="before")
    @classmethod
    def _split_prices(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [[part.strip() for part in pair.split("=")] for pair in value.split(",")]
        try:
            prices = {name: float(amount) for name, amount in pairs}
        except ValueError:
            prices = {}
        usable = all(0 <= price < 1e6 for price in prices.values())
        if sorted(prices) != ["input", "output"] or len(pairs) != 2 or not usable:
            raise ValueError("write input=0.4,output=1.6, in USD per million tokens")
        return prices

    @field_validator("model_usd_per_day")
    @classmethod
    def _check_budget(cls, value: float | None, known: ValidationInfo) -> float | None:
        if value is not None and not known.data.get("model_prices"):
            raise ValueError(
                "set CRYPTOSATX_MODEL_PRICES too, such as input=0.4,output=1.6 in USD per million "
                "tokens: without prices nobody can count what is spent"
            )
        return value

    @field_validator("model_modes", mode="before")
    @classmethod
    def _split_modes(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if not names or len(set(names)) < len(names) or set(names) - set(PROFILE_NAMES):
            raise ValueError(f"write {' or '.join(PROFILE_NAMES)}, or several of them by commas")
        return names

    @field_validator("endpoints", "limits", "budgets", mode="before")
    @classmethod
    def _split_pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        if not all(name.strip() and given.strip() for name, _, given in pairs):
            raise ValueError("write name=value, or several of them by commas")
        return {name.strip(): given.strip() for name, _, given in pairs}

    @field_validator("data_dir")
    @classmethod
    def _make_absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``environ``, by default the process environment; an empty value is no value.

    >>> load_settings({"CRYPTOSATX_MARKET": "demo", "CRYPTOSATX_WORKER": "off"}).worker
    False
    >>> load_settings({"CRYPTOSATX_ENV": "staging"})
    Traceback (most recent call last):
    core.errors.SettingsError: CRYPTOSATX_ENV=staging cannot be used: write development or production.
    """
    given = os.environ if environ is None else environ
    values = {
        name: given[name].strip() for name in _environment_names() if given.get(name, "").strip()
    }
    return _settings(tuple(values.items()), os.getcwd())


# A page asks for them many times in a run. What is relative is so to the working directory.
@lru_cache(maxsize=8)
def _settings(given: tuple[tuple[str, str], ...], _directory: str) -> Settings:
    values: dict[str, Any] = dict(given)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_sentence(error, values)) from error


@dataclass(frozen=True)
class Described:
    """A setting as `python -m core settings` shows it; secrets are masked."""

    name: str
    value: str
    source: Literal["environment", "default"]
    description: str


def describe_settings(settings: Settings) -> list[Described]:
    """Every setting in the order of their definition, with where its value comes from."""
    return [
        Described(
            name=str(field.validation_alias),
            value=_masked(getattr(settings, key)),
            source="environment" if key in settings.model_fields_set else "default",
            description=field.description or "",
        )
        for key, field in Settings.model_fields.items()
    ]


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Names in ``environ`` that look like a setting of this product but are none.

    >>> unknown_settings({"CRYPTOSATX_MARKT": "demo", "HOME": "x"})
    ['CRYPTOSATX_MARKT']
    """
    known = _environment_names()
    return sorted(name for name in environ if name.startswith("CRYPTOSATX_") and name not in known)


@cache
def _environment_names() -> list[str]:
    return [str(field.validation_alias) for field in Settings.model_fields.values()]


def split_keys(text: str) -> list[str]:
    """Keys that seal secrets, from a text with one or several; `ValueError` says how to write them."""
    keys = [key.strip() for key in text.replace("\n", ",").split(",") if key.strip()]
    try:
        usable = [len(base64.b64decode(key, altchars="-_", validate=True)) == 32 for key in keys]
    except ValueError:
        usable = []
    if not usable or not all(usable):
        raise ValueError(
            "write 32 random bytes as URL-safe base64, several by commas, the newest first; python -c "
            '"from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())" prints one'
        )
    return keys


def model_endpoint(settings: Settings) -> str:
    """Where a model is asked, without credentials."""
    return public_address(settings.openai_base_url or OPENAI)


def public_address(url: str) -> str:
    """An address without user, password, query and fragment.

    >>> public_address("https://me:secret@host:8443/v1/?key=abc#x")
    'https://host:8443/v1'
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def _masked(value: object) -> str:
    if value is None or value == {}:
        return "not set"
    if isinstance(value, dict):
        return ", ".join(f"{name}={given}" for name, given in value.items())
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    text = str(value)
    if text.startswith(("http://", "https://")):
        return public_address(text)
    if "://" in text:
        return make_url(text).set(query={}).render_as_string(hide_password=True)
    return text


def _sentence(error: ValidationError, values: Mapping[str, str]) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    wanted = {
        "literal_error": "write " + str(first.get("ctx", {}).get("expected", "")).replace("'", ""),
        "bool_parsing": "write on or off",
    }.get(first["type"], first["msg"].removeprefix("Value error, "))
    # An address may hold a password.
    shown = (
        ""
        if name in ("DATABASE_URL", "OPENAI_BASE_URL", "CRYPTOSATX_REDIS", "CRYPTOSATX_SECRET_KEY")
        else f"={values.get(name, '')}"
    )
    return f"{name}{shown} cannot be used: {wanted}."
