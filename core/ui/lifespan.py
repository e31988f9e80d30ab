"""From the start of the server to its end: the database, the words in the terminal, the work."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import click
from starlette.concurrency import run_in_threadpool
from streamlit import App, config

from core.accounts import second_factor
from core.accounts.setup import LASTS, new_setup_token
from core.alerts.delivery.sealing import load_sealer
from core.errors import CryptoSatXError
from core.instance import Instance
from core.market.choice import Market
from core.observing.start import start_observing
from core.observing.stored import tell_of
from core.production import refuse_unless_safe
from core.settings import Settings, load_settings
from core.supervision import Beside, Work
from core.ui import auto
from core.ui.health import databases
from core.ui.organisation import auth_secrets
from core.ui.theme import tell_theme_once


@asynccontextmanager
async def lifespan(_app: App) -> AsyncIterator[None]:
    """Open the database, say where the dashboard is, and keep the worker beside it."""
    try:
        start_observing(load_settings(), "dashboard")
        refuse_unless_safe(load_settings())
        here = await run_in_threadpool(auto.open_instance)
        auth_secrets(here.settings)
        await run_in_threadpool(reseal, here)
    except CryptoSatXError as error:
        # The server reports a failed start with a traceback; the sentence says more.
        sys.tracebacklimit = 0
        raise SystemExit(str(error)) from None
    tell_of(databases)
    address = site_address(here.settings)
    click.echo(await run_in_threadpool(announcement, here, address))
    collect_garbage_seldom()
    tell_theme_once()
    async with Beside() as beside:
        if here.settings.worker:
            beside.begin(work_on(here.market))
            auto.follow(lambda now: beside.begin(work_on(now.market)))
        yield
        auto.follow(None)


def collect_garbage_seldom() -> None:
    """What is there by now stays, and the rest is looked through when much has been made.

    Streamlit would look through everything after each run of a page, which took a quarter of a second
    and held up all others (``postScriptGC`` in .streamlit/config.toml).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def reseal(here: Instance) -> int:
    """Seal second factors with the newest key; how many had an older one. None make no key."""
    with here.accounts.begin() as conn:
        if not second_factor.any_factors(conn):
            return 0
        return second_factor.reseal(conn, load_sealer(here.settings))


def work_on(market: Market) -> Work:
    """The worker of a market; it must not choose a market of its own."""
    chosen = f"recording:{market.path}" if market.kind == "recording" else market.kind
    return Work(["worker"], {"CRYPTOSATX_MARKET": chosen}, endless=True)


def announcement(here: Instance, address: str) -> str:
    """What the terminal shows at the start; the set-up token only while nobody has an account."""
    lines = [f"CryptoSatX is at {address}", f"Market: {auto.market_words(here)}"]
    with here.accounts.begin() as conn:
        token = new_setup_token(conn, now=datetime.now(UTC))
    if token is not None:
        lines += [
            "",
            "Nobody has an account yet. Make the first administrator here, once:",
            f"  {address}/setup?token={token}",
            f"One-time token: {token}",
            f"Both are good for {LASTS.days} days, and here as at any other server of this database.",
        ]
    return "\n".join(["", *lines, ""])


def site_address(settings: Settings) -> str:
    """Where people open the dashboard: as it was set, or else on this machine."""
    return server_address() if settings.url is None else settings.url.rstrip("/")


def server_address() -> str:
    """The address to open on this machine, as the server was configured."""
    host = config.get_option("browser.serverAddress")
    if not config.is_manually_set("browser.serverAddress"):
        host = config.get_option("server.address") or "localhost"
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    base = config.get_option("server.baseUrlPath").strip("/")
    return f"{scheme}://{host}:{config.get_option('server.port')}" + (f"/{base}" if base else "")
