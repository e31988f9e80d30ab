"""What can be set, each with its default and what it is for; see `core.secret_files` for where."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from typing_extensions import override

from core.errors import SettingsError
from core.secret_files import Given, exposed, gather, is_file_of_setting, relevant
from core.secret_looks import HIDDEN, without_secrets
from core.signals import PROFILE_NAMES

ROOT = Path(__file__).resolve().parents[1]

OPENAI = "https://api.openai.com/v1"
# What one visitor, and all of them together, may ask for; see `core.edges.limits`.
EDGE_LIMITS = {
    "requests": 1_200,
    "files": 12_000,
    "probes": 600,
    "messages": 1_200,
    "at_once": 256,
    "at_once_per_address": 64,
    "pages": 2_000,
    "pages_per_address": 250,
    "seconds": 30,
    "long_seconds": 300,
    "megabytes": 2,
    "upload_megabytes": 11,
}


class Settings(BaseSettings):
    """The settings as read once, at an edge of the program, and then handed on."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    # Where each value that is given came from.
    _given: dict[str, Given] = PrivateAttr(default_factory=dict)

    database_url: str | None = Field(
        default=None,
        repr=False,
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
        description="development or production; production offers no guest access, and does not "
        "start without what safety needs.",
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
    session_idle_hours: float = Field(
        default=24.0,
        gt=0,
        le=720,
        allow_inf_nan=False,
        validation_alias="CRYPTOSATX_SESSION_IDLE_HOURS",
        description="Hours without use after which a person has to sign in again.",
    )
    session_days: float = Field(
        default=30.0,
        gt=0,
        le=365,
        allow_inf_nan=False,
        validation_alias="CRYPTOSATX_SESSION_DAYS",
        description="Days after which a person has to sign in again, however much they use it.",
    )
    second_factor: Literal["optional", "required"] = Field(
        default="optional",
        validation_alias="CRYPTOSATX_SECOND_FACTOR",
        description="optional, or required: an administrator with a password does nothing before "
        "setting up a second factor.",
    )
    oidc_metadata_url: str | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_OIDC_METADATA_URL",
        description="Where an organisation's OpenID provider describes itself; the address ends in "
        "/.well-known/openid-configuration. Unset: passwords only.",
    )
    oidc_client_id: str | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_OIDC_CLIENT_ID",
        description="What the provider calls this dashboard.",
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_OIDC_CLIENT_SECRET",
        description="Secret that the provider gave this dashboard.",
    )
    oidc_name: str = Field(
        default="your organisation",
        max_length=40,
        validation_alias="CRYPTOSATX_OIDC_NAME",
        description="What the button of that sign-in calls the organisation.",
    )
    oidc_role_claim: str = Field(
        default="groups",
        max_length=128,
        validation_alias="CRYPTOSATX_OIDC_ROLE_CLAIM",
        description="Claim of the provider that roles follow from; a path by dots for one inside another.",
    )
    oidc_roles: dict[str, str] = Field(
        default={},
        validation_alias="CRYPTOSATX_OIDC_ROLES",
        description="Which value of that claim gives which role, such as desk=trader,ops=admin. "
        "Of several the highest counts; whoever has none is refused.",
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
        repr=False,
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
        repr=False,
        validation_alias="CRYPTOSATX_ENDPOINTS",
        description="Other addresses for sources, such as binance=http://127.0.0.1:9000, by commas.",
    )
    limits: dict[str, str] = Field(
        default={},
        validation_alias="CRYPTOSATX_LIMITS",
        description="Limits of every request, such as total=10, attempts=3, budget_share=0.8, and others of "
        "core/market/http.py.",
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
        repr=False,
        validation_alias="OPENAI_BASE_URL",
        description="Endpoint that speaks as OpenAI does, such as http://localhost:11434/v1. "
        "Unset: OpenAI itself.",
    )
    model: str | None = Field(
        default=None,
        max_length=128,
        validation_alias="CRYPTOSATX_MODEL",
        description="Language model that gives a second verdict on live signals; a dated name, because a "
        "record is of the name, whatever a provider puts behind it. Unset: none is asked.",
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
        description="Modes whose signals the model is asked about: conservative, balanced, aggressive. "
        "The same question of several modes is asked once.",
    )

    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        validation_alias="CRYPTOSATX_ALLOWED_HOSTS",
        description="Host names that requests may be for, such as signals.example or *.desk.example, by "
        "commas. Unset: any, which production refuses.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        validation_alias="CRYPTOSATX_TRUSTED_PROXIES",
        description="Addresses or networks of the proxies that are believed about who asks, such as "
        "10.1.0.5 or 172.20.0.0/16, by commas; none where nobody is. Unset: nobody is.",
    )
    cors_origins: tuple[str, ...] = Field(
        default=(),
        validation_alias="CRYPTOSATX_CORS_ORIGINS",
        description="Other sites whose scripts may ask the API, such as https://desk.example, by "
        "commas. Unset: none.",
    )

    backup_to: str | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_BACKUP_TO",
        description="Where the worker keeps backups: a folder, or s3://BUCKET/PREFIX; off where "
        "something else makes them. Unset: none are made.",
    )
    backup_hours: float = Field(
        default=24.0,
        ge=1,
        le=24 * 31,
        allow_inf_nan=False,
        validation_alias="CRYPTOSATX_BACKUP_HOURS",
        description="Hours from one backup to the next.",
    )
    backup_keep: dict[str, int] = Field(
        default={"last": 3, "daily": 7, "weekly": 4, "monthly": 12},
        validation_alias="CRYPTOSATX_BACKUP_KEEP",
        description="Backups to keep: so many of the newest, and the newest of so many days, weeks and "
        "months (UTC). What is in none of them is deleted.",
    )
    backup_recipients: tuple[str, ...] = Field(
        default=(),
        validation_alias="CRYPTOSATX_BACKUP_RECIPIENTS",
        description="Public keys of age that backups are encrypted for, by commas; age-keygen makes "
        "them. The private one does not belong on this machine.",
    )
    backup_passphrase: SecretStr | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_BACKUP_PASSPHRASE",
        description="Passphrase that backups are encrypted with where there are no recipients, of 16 "
        "characters or more.",
    )
    backup_unencrypted: bool = Field(
        default=False,
        validation_alias="CRYPTOSATX_BACKUP_UNENCRYPTED",
        description="on: backups are not encrypted, and hold no secret.key.",
    )
    aws_access_key_id: str | None = Field(
        default=None,
        validation_alias="AWS_ACCESS_KEY_ID",
        description="Key that may write to the bucket of the backups. Unset: the machine's own role.",
    )
    aws_secret_access_key: SecretStr | None = Field(
        default=None,
        validation_alias="AWS_SECRET_ACCESS_KEY",
        description="The secret of that key.",
    )
    aws_region: str | None = Field(
        default=None, validation_alias="AWS_REGION", description="Region of the bucket."
    )
    aws_endpoint_url: str | None = Field(
        default=None,
        repr=False,
        validation_alias="AWS_ENDPOINT_URL",
        description="Address of a store that speaks as S3 does. Unset: Amazon.",
    )

    secrets_dir: Path | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_SECRETS_DIR",
        description="Folder with a file for each setting, named as it, as Docker (/run/secrets) and "
        "Kubernetes make them.",
    )
    secrets_file: Path | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_SECRETS_FILE",
        description="File of settings in lines NAME=VALUE.",
    )

    edge_limits: dict[str, int] = Field(
        default={},
        validation_alias="CRYPTOSATX_EDGE_LIMITS",
        description="Other limits of what visitors may ask for, such as requests=600,pages=500, by "
        "commas. Unset: " + ", ".join(f"{name}={most}" for name, most in EDGE_LIMITS.items()) + ".",
    )
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_LOG_LEVEL",
        description="What is logged at least: debug, info, warning or error. Unset: info in production, "
        "warning in development.",
    )
    log_format: Literal["json", "text"] | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_LOG_FORMAT",
        description="json (one object a line) or text, for people. Unset: json in production.",
    )
    metrics_from: tuple[str, ...] = Field(
        default=(),
        validation_alias="CRYPTOSATX_METRICS_FROM",
        description="Addresses or networks that may read /metrics, by commas. Unset: this machine in "
        "development, nobody in production.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_METRICS_TOKEN",
        description="Token that opens /metrics from anywhere, as Authorization: Bearer; 24 characters "
        "or more.",
    )
    worker_metrics: str | None = Field(
        default=None,
        validation_alias="CRYPTOSATX_WORKER_METRICS",
        description="Address and port at which a worker shows its /metrics and /health, such as "
        "127.0.0.1:9102. Unset: it shows none.",
    )
    traces_to: str | None = Field(
        default=None,
        repr=False,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Collector that traces are sent to by OTLP over HTTP, such as "
        "http://localhost:4318. Unset: none are made.",
    )
    traces_headers: SecretStr | None = Field(
        default=None,
        validation_alias="OTEL_EXPORTER_OTLP_HEADERS",
        description="Headers for the collector, such as authorization=Bearer%20KEY, by commas.",
    )
    sentry_dsn: SecretStr | None = Field(
        default=None,
        validation_alias="SENTRY_DSN",
        description="Address of a Sentry project that errors are sent to. Unset: none are sent.",
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
        if value in ("auto", "live", "demo") or (
            kind == "recording" and path and "://" not in path
        ):
            return value
        raise ValueError("write auto, live, demo or recording:PATH")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        _split_address(value or "", "write an address such as https://signals.example")
        return value

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

    @field_validator("oidc_metadata_url")
    @classmethod
    def _check_provider(cls, value: str | None, known: ValidationInfo) -> str | None:
        if value is None:
            return None
        parts = _split_address(value, "write an address that begins with https://")
        local = parts.hostname in ("localhost", "127.0.0.1")
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and local)
        ):
            raise ValueError("write an address that begins with https://")
        if not known.data.get("url"):
            raise ValueError(
                "set CRYPTOSATX_URL too, as the provider has to send people back there"
            )
        return value

    @field_validator("oidc_roles", mode="before")
    @classmethod
    def _split_roles(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        # A value may itself have an equals sign, as names in a directory do: the last one parts.
        pairs = [pair.rpartition("=") for pair in value.split(",") if pair.strip()]
        roles = {name.strip(): role.strip() for name, _, role in pairs}
        if not all(roles) or set(roles.values()) - {"trader", "analyst", "admin"}:
            raise ValueError("write value=role by commas; roles are trader, analyst and admin")
        return roles

    @model_validator(mode="after")
    def _check_whole_provider(self) -> Settings:
        given = (
            self.oidc_metadata_url,
            self.oidc_client_id,
            self.oidc_client_secret,
            self.oidc_roles,
        )
        if any(given) and not all(given):
            names = ("METADATA_URL", "CLIENT_ID", "CLIENT_SECRET", "ROLES")
            missing = [
                f"CRYPTOSATX_OIDC_{n}" for n, one in zip(names, given, strict=True) if not one
            ]
            raise ValueError(f"set {' and '.join(missing)} too")
        return self

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

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        wanted = (
            "write host names without a port, such as signals.example or *.desk.example, by commas"
        )
        return _split_all(value, _is_host, wanted, str.lower)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_proxies(cls, value: object) -> object:
        if value == "none":
            return ()
        wanted = "write addresses or networks such as 10.1.0.5 or 172.20.0.0/16, by commas, or none"
        return _split_all(value, _is_narrow_network, wanted)

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        wanted = "write origins such as https://desk.example, by commas, and never *"
        return _split_all(value, _is_origin, wanted, str.lower)

    @field_validator("backup_to")
    @classmethod
    def _check_backup_place(cls, value: str | None) -> str | None:
        if value is not None and "://" in value:
            wanted = "write a folder, s3://BUCKET/PREFIX or off"
            parts = _split_address(value, wanted)
            if parts.scheme != "s3" or not parts.hostname or parts.username or parts.query:
                raise ValueError(wanted)
        return value

    @field_validator("backup_keep", mode="before")
    @classmethod
    def _split_keep(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [[part.strip() for part in pair.split("=")] for pair in value.split(",")]
        try:
            kept = {name: int(number) for name, number in pairs}
        except ValueError:
            kept = {}
        known = set(kept) <= {"last", "daily", "weekly", "monthly"} and len(kept) == len(pairs)
        if not kept or not known or min(kept.values()) < 0 or kept.get("last", 0) < 1:
            raise ValueError("write last=3,daily=7,weekly=4,monthly=12, the last at least 1")
        return kept

    @field_validator("backup_recipients", mode="before")
    @classmethod
    def _split_recipients(cls, value: object) -> object:
        wanted = "write public keys of age that begin with age1, by commas"
        if isinstance(value, str) and "age-secret-key-" in value.lower():
            # It opens every backup, and has nothing to do where they are made.
            raise ValueError(f"this is the private key, to be kept elsewhere: {wanted}")
        return _split_all(value, lambda key: bool(re.fullmatch("age1[0-9a-z]{20,}", key)), wanted)

    @field_validator("backup_passphrase")
    @classmethod
    def _check_passphrase(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 16:
            raise ValueError("write 16 characters or more")
        return value

    @field_validator("aws_endpoint_url")
    @classmethod
    def _check_store(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", value):
            raise ValueError("write an address such as https://store.example")
        return value

    @field_validator("edge_limits", mode="before")
    @classmethod
    def _split_edge_limits(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [[part.strip() for part in pair.split("=")] for pair in value.split(",")]
        try:
            told = {name: int(number) for name, number in pairs}
        except ValueError:
            told = {}
        if (
            not told
            or set(told) - set(EDGE_LIMITS)
            or not all(0 < one < 1e9 for one in told.values())
        ):
            raise ValueError(
                f"write name=number, by commas; the names are {', '.join(EDGE_LIMITS)}"
            )
        return told

    @field_validator("metrics_from", mode="before")
    @classmethod
    def _split_readers(cls, value: object) -> object:
        wanted = "write addresses or networks such as 10.1.0.5 or 172.20.0.0/16, by commas"
        return _split_all(value, _is_narrow_network, wanted)

    @field_validator("metrics_token")
    @classmethod
    def _check_metrics_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 24:
            raise ValueError("write 24 characters or more")
        return value

    @field_validator("worker_metrics")
    @classmethod
    def _check_worker_metrics(cls, value: str | None) -> str | None:
        if value is not None:
            host, _, port = value.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError("write an address and a port, such as 127.0.0.1:9102")
        return value

    @field_validator("traces_to")
    @classmethod
    def _check_collector(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
            raise ValueError("write an address such as http://localhost:4318")
        return value

    @field_validator("sentry_dsn")
    @classmethod
    def _check_dsn(cls, value: SecretStr | None) -> SecretStr | None:
        form = r"https?://[^\s@/]+@[^\s@/]+/\S*\d+"
        if value is not None and not re.fullmatch(form, value.get_secret_value()):
            raise ValueError("write the DSN that Sentry shows, such as https://KEY@HOST/PROJECT")
        return value

    @field_validator("data_dir", mode="before")
    @classmethod
    def _refuse_address(cls, value: object) -> object:
        if isinstance(value, str) and "://" in value:
            raise ValueError("write a folder of this machine")
        return value

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
    given = relevant(os.environ if environ is None else environ, _environment_names())
    return _settings(tuple(given.items()), os.getcwd())


# A page asks for them many times in a run. What is relative is so to the working directory.
@lru_cache(maxsize=8)
def _settings(environ: tuple[tuple[str, str], ...], _directory: str) -> Settings:
    given = gather(dict(environ), _environment_names())
    values: dict[str, Any] = {name: one.text for name, one in given.items()}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsError(_sentence(error, given)) from None
    settings._given = given
    return settings


@dataclass(frozen=True)
class Described:
    """A setting as `python -m core settings` shows it; secrets are masked."""

    name: str
    value: str
    source: str
    description: str


def describe_settings(settings: Settings) -> list[Described]:
    """Every setting in the order of their definition, with where its value comes from."""
    return [
        Described(
            name=name,
            value=shown(getattr(settings, key)),
            source=settings._given[name].source if name in settings._given else "default",
            description=field.description or "",
        )
        for key, field in Settings.model_fields.items()
        for name in (str(field.validation_alias),)
    ]


def is_given(settings: Settings, name: str) -> bool:
    """Whether somebody has set the setting of this name, to whatever value."""
    return name in settings._given


def exposed_secrets(settings: Settings) -> list[str]:
    """A sentence about each file of settings that others on this machine may read or write."""
    return exposed([one.path for one in settings._given.values() if one.path is not None])


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Names in ``environ`` that look like a setting of this product but are none.

    >>> unknown_settings({"CRYPTOSATX_MARKT": "demo", "HOME": "x"})
    ['CRYPTOSATX_MARKT']
    """
    known = _environment_names()
    return sorted(
        name
        for name in environ
        if name.startswith("CRYPTOSATX_")
        and name not in known
        and not is_file_of_setting(name, known)
    )


@cache
def _environment_names() -> list[str]:
    return [str(field.validation_alias) for field in Settings.model_fields.values()]


def _split_all(
    value: object,
    is_one: Callable[[str], bool],
    wanted: str,
    change: Callable[[str], str] = str,
) -> object:
    """The parts of a text by commas; `ValueError` says what is ``wanted`` where one is none."""
    if not isinstance(value, str):
        return value
    parts = tuple(dict.fromkeys(change(part.strip()) for part in value.split(",") if part.strip()))
    if not parts or not all(is_one(part) for part in parts):
        raise ValueError(wanted)
    return parts


def _split_address(text: str, wanted: str) -> SplitResult:
    """The parts of an address; where it is none, what Python says of it would show it whole."""
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError(wanted) from None


def _is_host(text: str) -> bool:
    """A name, an address, or all names below one.

    >>> [_is_host(text) for text in ("desk.example", "*.desk.example", "*", "https://a", "a:80", "::1")]
    [True, True, False, False, False, True]
    """
    try:
        ip_address(text)
    except ValueError:
        label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
        return bool(re.fullmatch(rf"(\*\.)?{label}(\.{label})*", text)) and len(text) <= 253
    return True


def _is_narrow_network(text: str) -> bool:
    """A network that somebody can be in charge of, and not everybody.

    >>> [_is_narrow_network(text) for text in ("10.0.0.0/8", "::1", "0.0.0.0/0", "::/0", "*", "10.1.0.5/8")]
    [True, True, False, False, False, False]
    """
    try:
        network = ip_network(text)
    except ValueError:
        return False
    return network.prefixlen >= (8 if network.version == 4 else 32)


def _is_origin(text: str) -> bool:
    """A scheme, a host and perhaps a port; without HTTPS only on this machine.

    >>> [_is_origin(text) for text in ("https://a.b", "https://a.b:8443", "http://localhost:3000")]
    [True, True, True]
    >>> [_is_origin(text) for text in ("*", "null", "http://a.b", "https://a.b/", "https://*.b")]
    [False, False, False, False, False]
    """
    found = re.fullmatch(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?", text)
    if not found:
        return False
    return found[1] == "https" or found[2] in ("localhost", "127.0.0.1", "[::1]")


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


def shown(value: object) -> str:
    """A value for people, without what may be secret in it.

    >>> shown("https://me:secret@host/v1"), shown("https://me:sec/ret@host"), shown(("a", "b"))
    ('https://host/v1', '****', 'a, b')
    """
    try:
        return _written(value)
    except (ValueError, ArgumentError):  # An address that cannot be read.
        return HIDDEN


def _written(value: object) -> str:
    if value is None or value in ({}, ()):
        return "not set"
    if isinstance(value, dict):
        return ", ".join(f"{name}={shown(given)}" for name, given in value.items())
    if isinstance(value, tuple):
        return without_secrets(", ".join(value))
    if isinstance(value, bool):
        return "on" if value else "off"
    text = str(value)
    if text.startswith(("http://", "https://")):
        return public_address(text)
    if "://" in text and not text.startswith("s3://"):
        return make_url(text).set(query={}).render_as_string(hide_password=True)
    return without_secrets(text)


def _sentence(error: ValidationError, given: Mapping[str, Given]) -> str:
    first = error.errors(include_input=False)[0]
    # What is wrong with several settings together belongs to none of them.
    name = str(first["loc"][0]) if first["loc"] else "CRYPTOSATX_OIDC_METADATA_URL"
    wanted = {
        "literal_error": "write " + str(first.get("ctx", {}).get("expected", "")).replace("'", ""),
        "bool_parsing": "write on or off",
    }.get(first["type"], first["msg"].removeprefix("Value error, "))
    one = given.get(name) if first["loc"] else None
    # What is before an @ may be a password, however it is written.
    if one is None or _may_be_secret(name) or (one.path is None and "@" in one.text):
        shown = ""
    elif one.path is not None:
        shown = f" in {one.path}"
    else:
        shown = f"={one.text}"
    return f"{name}{shown} cannot be used: {wanted}."


def _may_be_secret(name: str) -> bool:
    """Whether the value of a setting must not be shown: a secret, or an address that may hold one."""
    fields = {str(field.validation_alias): field for field in Settings.model_fields.values()}
    field = fields[name]
    return not field.repr or SecretStr in (field.annotation, *get_args(field.annotation))
