"""The System page put together: what is loaded becomes one verdict and the parts below it."""

from __future__ import annotations

from datetime import UTC, datetime

from core.errors import StoreError
from core.instance import Instance, instance
from core.market.sources import followed
from core.settings import Settings
from core.store.bookkeeping import Work
from core.ui import loaders
from core.ui.controls import reader_clock
from core.ui.formats import Clock, duration
from core.ui.palette import palette
from core.ui.replaying import is_running, standing
from core.ui.system_alerts import alert_problems, alerts_part
from core.ui.system_backups import backup_problems, backups_part
from core.ui.system_freshness import expected_rows, table_views
from core.ui.system_html import style
from core.ui.system_model import ModelView, model_part, model_problems, past_part
from core.ui.system_sources import source_views, unknown_sources
from core.ui.system_verdict import Problem, everything_that_fails
from core.ui.system_view import (
    freshness_part,
    sources_part,
    suspicions_part,
    verdict_part,
)
from core.ui.system_work_view import database_part, replay_part, streams_part, worker_part
from core.ui.system_worker import stream_views, summarise_rounds

REFRESH_SECONDS = 5


def refreshes() -> bool:
    """Whether there is anything that changes by itself."""
    return instance().market.kind == "live" or is_running()


def system_html() -> str:
    """The whole page, as it stands now."""
    here, now, clock = instance(), datetime.now(UTC), reader_clock()
    live = here.market.kind == "live"
    parts = _live(here, now, clock) if live else _replayed(here, now, clock)
    return f'{style(palette())}<div class="cx-s">{parts}</div>'


def _live(here: Instance, now: datetime, clock: Clock) -> str:
    settings, operation = here.settings, loaders.load_operation()
    published = loaders.load_published(tuple(expected_rows(settings)))
    living = set(operation.workers.index)
    sources = source_views(operation.health, published.suspicions, settings, living, now)
    streams = stream_views(operation, followed(settings), now)
    tables = table_views(published, settings, now)
    rounds = summarise_rounds(operation, now)
    model = _model(settings)
    problems = everything_that_fails(
        operation, rounds, sources, streams, tables, settings, clock, now
    )
    alerts = loaders.load_watch(), loaders.load_rule_health(), loaders.count_deliveries()
    backups = loaders.load_backups()
    problems += [*model_problems(model, now), *alert_problems(*alerts, now)]
    problems += backup_problems(backups, settings, now)
    problems.sort(key=lambda problem: problem.rank)
    return "".join(
        [
            verdict_part(problems, unknown_sources(sources, settings.exchanges)),
            sources_part(sources, now, clock),
            worker_part(operation, rounds, _work(), now, clock),
            model_part(model, now, clock),
            alerts_part(*alerts, now, clock),
            streams_part(streams, now, clock),
            freshness_part(tables, now, clock),
            suspicions_part(sources),
            backups_part(backups, settings, now, clock),
            database_part(loaders.load_about(), here.market.label),
        ]
    )


def _model(settings: Settings) -> ModelView:
    record = loaders.load_model_record()
    return ModelView(
        settings, record.day, record.ever, record.spent, record.last, record.last_failure
    )


def _work() -> list[Work] | str:
    """The pieces of work, or why they are not known; the rest of the page does not depend on it."""
    try:
        return loaders.load_pieces_of_work()
    except StoreError as error:
        return str(error)


def _replayed(here: Instance, now: datetime, clock: Clock) -> str:
    past, backups = loaders.load_progress(), loaders.load_backups()
    problems = [*_replay_problems(here, now), *backup_problems(backups, here.settings, now)]
    return "".join(
        [
            verdict_part(problems),
            replay_part(past, here.market.simulated, now, clock),
            past_part(),
            backups_part(backups, here.settings, now, clock),
            database_part(loaders.load_about(), here.market.label),
        ]
    )


def _replay_problems(here: Instance, now: datetime) -> list[Problem]:
    at = standing(loaders.load_progress(), now)
    source = "demo" if here.market.simulated else str(here.market.path)
    again = f"Start it again with `python -m core replay {source}`."
    if at.state == "failed":
        return [Problem(0, f"Replaying stopped: {at.message}", again)]
    if at.state == "silent":
        return [Problem(0, f"Replaying has stood still for {duration(at.silent_for)}.", again)]
    if at.state == "none" and not here.settings.worker:
        return [Problem(0, "This market has not been worked through.", again)]
    return []
