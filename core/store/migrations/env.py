"""Runs migrations: for `open_store` on the connection it holds, for `alembic` on the settings' database."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from core.store.database import UtcDateTime
from core.store.tables import metadata


def render_item(kind: str, item: Any, _autogenerate: object) -> str | Literal[False]:
    """Plain types in migrations: a migration must not change when the product's classes do."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


def connect_and_run() -> None:
    from core.market.choice import choose_market, database_url
    from core.settings import load_settings
    from core.store.database import open_database
    from core.store.opening import locked

    settings = load_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    # As it is: brought to the newest schema first, no second step back would get any further.
    engine = open_database(database_url(settings, choose_market(settings)))
    with locked(engine) as connection:
        run(connection)
    engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    connect_and_run()
