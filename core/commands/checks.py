"""`python -m core doctor`: what stands in the way on this machine."""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
from collections.abc import Callable
from functools import cached_property
from importlib import metadata

import typer
from rich.table import Column, Table

from core.commands.choosing import choose
from core.commands.console import out
from core.commands.model import check_model
from core.commands.sources import Asked, ask_sources, check_clock
from core.errors import CryptoSatXError, SettingsError, SourceError, StoreError
from core.market.choice import Market, database_url
from core.market.sources import open_http
from core.production import refuse_unless_safe
from core.settings import (
    ROOT,
    Settings,
    exposed_secrets,
    load_settings,
    unknown_settings,
)
from core.store import held_market, ledger, open_store
from core.store.append_only import unguarded
from core.store.opening import newest_revision
from core.store.tables import metadata as tables
from core.store.verifying import Published, unguarded_words

Check = Callable[[], str]


def doctor() -> None:
    """Check Python, packages, settings, market, database and port, and ask the sources of a live
    market once each; 1 when one is not in order."""
    chosen = _Chosen()
    checks: dict[str, Check] = {
        "Python": _python,
        "packages": _packages,
        "settings": _settings,
        "production": lambda: _production(chosen.settings),
        "market": chosen.words,
        "database": chosen.database,
        "port": _port,
        "language model": lambda: check_model(chosen.settings),
    }
    if asked := chosen.sources():
        checks["clock"] = lambda: check_clock(asked)
    table = Table("check", "state", Column("what was found", overflow="fold"))
    failed = False
    for name, check in checks.items():
        try:
            state, found = "ok", check()
        except CryptoSatXError as error:
            state, found, failed = "not ok", str(error), True
        table.add_row(name, state, found)
    for name, one in asked.items():
        wrong = isinstance(one.answer, SourceError)
        failed = failed or wrong
        table.add_row(name, "not ok" if wrong else "ok", one.words)
    out.print(table)
    raise typer.Exit(1 if failed else 0)


class _Chosen:
    """The market, chosen once for all checks that depend on it."""

    @cached_property
    def settings(self) -> Settings:
        return load_settings()

    @cached_property
    def choice(self) -> tuple[Market, str]:
        return choose(self.settings)

    def words(self) -> str:
        market, why = self.choice
        return f"{market.label}, because {why}"

    def database(self) -> str:
        market, _ = self.choice
        url = database_url(self.settings, market)
        # To look at an empty database must not decide whose it is.
        engine = open_store(url, market.key if held_market(url) else None)
        try:
            where = engine.url.render_as_string(hide_password=True)
            with engine.connect() as conn:
                head = Published(*ledger.head(conn))
                open_tables = unguarded(conn, tables)
            if open_tables:
                raise StoreError(unguarded_words(open_tables))
            return f"{where}, schema {newest_revision()}, head of the ledger {head}"
        finally:
            engine.dispose()

    def sources(self) -> dict[str, Asked]:
        """What the sources of a live market answer; nothing where the settings cannot be used."""
        try:
            market, _ = self.choice
            wanted = market.kind == "live" or self.settings.market == "auto"
            return ask_sources(self.settings) if wanted else {}
        except (SettingsError, StoreError):
            return {}  # The checks before have said it.


def _python() -> str:
    return f"{platform.python_version()} at {sys.executable}"


def _packages() -> str:
    wanted = _locked_versions()
    wrong = []
    for name, version in wanted.items():
        try:
            if metadata.version(name) != version:
                wrong.append(f"{name} {metadata.version(name)} instead of {version}")
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
    if wrong:
        raise SettingsError(f"{'; '.join(wrong[:5])}. Run make install.")
    return f"{len(wanted)} direct dependencies at their locked versions"


def _locked_versions() -> dict[str, str]:
    """The locked version of every direct dependency."""
    for file in (ROOT / "requirements.txt", ROOT / "requirements.lock"):
        if not file.is_file():
            raise SettingsError(f"{file} is missing; get it from the repository.")
    direct = re.findall(r"^([A-Za-z0-9._-]+)", (ROOT / "requirements.txt").read_text(), re.M)
    lock = (ROOT / "requirements.lock").read_text()
    locked = dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", lock, re.M))
    return {name.lower(): locked[name.lower()] for name in direct}


def _settings() -> str:
    open_http(load_settings())  # which knows the limits and budgets there are
    if unknown := unknown_settings(os.environ):
        raise SettingsError(f"{', '.join(unknown)}: no such setting. Run python -m core settings.")
    if told := exposed_secrets(load_settings()):
        raise SettingsError(" ".join(told))
    return "every value can be used"


def _production(settings: Settings) -> str:
    refuse_unless_safe(settings)
    if settings.env == "production":
        return "all is there that safety needs"
    return "not asked for: CRYPTOSATX_ENV is development"


def _port() -> str:
    given = os.environ.get("PORT", "8501")
    if not given.isdecimal() or not 0 < int(given) < 65_536:
        raise SettingsError(f"PORT={given} is no port; write a number from 1 to 65535.")
    port = int(given)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise SettingsError(f"Port {port} is taken; start with PORT=8502 make run.")
    return f"{port} is free"
