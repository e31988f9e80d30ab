"""What operators see: logs without secrets, metrics, traces, errors; and who may not see them."""

from __future__ import annotations

import ast
import asyncio
import gzip
import http.server
import io
import json
import logging
import re
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import sentry_sdk
import streamlit.logger
import yaml
from dbos._logger import init_logger as dbos_begins
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_current_span
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, insert, text
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from structlog.contextvars import clear_contextvars

from core.edges import RealAddress
from core.jobs.collecting import NoSources
from core.jobs.round import Jobs
from core.market.budgets import BudgetUse
from core.market.source_state import SourceState
from core.market.stream.batch import StreamState
from core.observing import spans
from core.observing.context import bound, session_id
from core.observing.errors_out import start_errors
from core.observing.exposing import exposed, may_read, metrics_text
from core.observing.instruments import REGISTRY
from core.observing.logs import configure_logs
from core.observing.masking import Mask, mask_of, secrets_of
from core.observing.requests import Requests
from core.observing.stored import GAUGES, Databases, read_stored, tell_of
from core.observing.traces import start_traces
from core.secret_looks import HIDDEN
from core.settings import load_settings
from core.store.backup_state import note_backup
from core.store.database import open_database
from core.store.health import save_health
from core.store.liquidations import save_stream
from core.store.rounds import end_round, start_round
from core.store.tables import bars, users

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2025, 11, 1, 14, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
FERNET = "xEf9gKq0v2m1Z4c8p7n6b5a3s2d1f0g9h8j7k6l5m4A="
TOKEN = "dGhpcyBpcyBhIHRva2VuIG9mIDI1NiBiaXRzIDEyMzQ"
SECRETS = {
    "DATABASE_URL": "postgresql://signals:p%40ss-w0rd@db.example/signals?sslpassword=keyphrase",
    "CRYPTOSATX_SECRET_KEY": FERNET,
    "COINGLASS_API_KEY": "cg0123456789abcdef",
    "OPENAI_API_KEY": "plain words as a key",
    "OPENAI_BASE_URL": "https://gateway:gatepass@models.example/v1",
    "CRYPTOSATX_BACKUP_PASSPHRASE": "correct horse battery staple",
    "CRYPTOSATX_METRICS_TOKEN": "metrics-token-of-24-characters",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20collector-key,x-other=second-key",
    "SENTRY_DSN": "https://sentrykey@sentry.example/7",
}
PLANTED = (
    *("p@ss-w0rd", "p%40ss-w0rd", "keyphrase", FERNET, "cg0123456789abcdef"),
    *("plain words as a key", "gatepass", "correct horse battery staple"),
    *("metrics-token-of-24-characters", "collector-key", "second-key", "sentrykey"),
)


@pytest.fixture
def logs() -> Iterator[Callable[..., io.StringIO]]:
    """Begins to log as a process would, and ends with the loggers as they were."""
    root, ours, access = (logging.getLogger(name) for name in (None, "core", "uvicorn.access"))
    kept = root.handlers, root.level, ours.level, access.disabled
    hooks = sys.excepthook, threading.excepthook
    set_up = streamlit.logger.setup_formatter
    apart = {
        name: (one.handlers[:], one.propagate)
        for name, one in logging.root.manager.loggerDict.items()
        if isinstance(one, logging.Logger)
    }

    def begin(**settings: str) -> io.StringIO:
        out = io.StringIO()
        configure_logs(load_settings({"CRYPTOSATX_LOG_FORMAT": "json", **settings}), "test", out)
        return out

    yield begin
    root.handlers, sys.excepthook, threading.excepthook = kept[0], *hooks
    root.setLevel(kept[1])
    ours.setLevel(kept[2])
    access.disabled = kept[3]
    streamlit.logger.setup_formatter = set_up
    for name, (handlers, propagate) in apart.items():
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = handlers, propagate
    logging.captureWarnings(False)
    clear_contextvars()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


# Secrets


def test_every_secret_of_the_settings_is_known() -> None:
    found = secrets_of(load_settings(SECRETS))
    assert set(PLANTED) - {"p%40ss-w0rd"} - set(found) == {"sentrykey", "collector-key"}
    text_ = mask_of(load_settings(SECRETS)).text(" | ".join(PLANTED[:-2]))
    assert not [one for one in PLANTED[:-3] if one in text_]


def plant_in_message(secret: str) -> None:
    logging.getLogger("core.any").warning("It was %s, and %r.", secret, secret)


def plant_in_exception(secret: str) -> None:
    try:
        try:
            raise ValueError(f"refused {secret}")
        except ValueError as error:
            raise RuntimeError(f"no answer with {secret}") from error
    except RuntimeError:
        logging.getLogger("core.any").exception("It failed.")


def plant_beside(secret: str) -> None:
    told = {"headers": [("x", secret)], "more": {"deep": [secret]}, "bytes": secret.encode()}
    logging.getLogger("some.library").error("Told.", extra=told)


def plant_in_a_library(secret: str) -> None:
    logging.getLogger("uvicorn.error").error("GET /x?a=%s", secret)
    logging.getLogger("streamlit.web").error(secret)
    logging.getLogger("sqlalchemy.pool").error(secret)
    logging.getLogger("dbos").error(secret)


@pytest.mark.parametrize(
    "plant", [plant_in_message, plant_in_exception, plant_beside, plant_in_a_library]
)
@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_of_the_settings_reaches_the_log(logs, plant, form):
    out = logs(**SECRETS, CRYPTOSATX_LOG_FORMAT=form)
    for secret in PLANTED[:-3]:
        plant(secret)
    written = out.getvalue()
    assert written.count(HIDDEN) >= len(PLANTED[:-3])
    assert not [one for one in PLANTED[:-3] if one in written]
    assert "could not be written" not in written


@pytest.mark.parametrize(
    "words",
    [
        "Cookie: cryptosatx_session=SECRET; theme=dark",
        "Set-Cookie: a=SECRET; Path=/",
        "{'cookie': 'x=SECRET'}",
        "[(b'authorization', b'Bearer SECRET12')]",
        "Authorization: Basic SECRET==",
        "sent as Bearer SECRET-1234",
        "GET /session/start?ticket=SECRET&next=/signals",
        "https://api.example/v4?page=2&api_key=SECRET",
        "https://api.example/v4?key=SECRET",
        '{"password": "SECRET", "name": "ada"}',
        "password=SECRET",
        "postgresql://ada:SECRET@db.example/signals",
        "redis://:SECRET@cache.example",
        "https://SECRET@sentry.example/7",
        "wss://stream.example/?token=SECRET",
        "tgram://123456789:SECRETSECRETSECRETSECRETSECRET/12345",
        "https://hooks.slack.com/services/T0/B0/SECRET",
        "https://discord.com/api/webhooks/1/SECRET",
        "the key csx_SECRET12345 is used",
        "sk-proj-SECRETSECRETSECRET",
        "xoxb-SECRETSECRETSECRETSECRET",
        "eyJSECRETSE.eyJzdWIiOiIx.c2lnbmF0dXJl",
        "AGE-SECRET-KEY-1SECRET",
        "age-secret-key-pq-1SECRET-SECRET",
        "CRYPTOSATX_METRICS_TOKEN=SECRET",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden(words):
    hidden = Mask().text(words)
    assert "SECRET" not in hidden
    assert HIDDEN in hidden


@pytest.mark.parametrize(
    "words",
    [
        "binance failed 5 times in a row and is left alone for 30 s.",
        "core/store/ledger.py has 1,234 entries; the head is da8240e03332f84bda8240e03332f84bda8240e03332f84bda8240e03332f84b",
        "GET /signals?symbol=BTCUSDT&mode=balanced 200",
        "round 2025-11-01T14:00:00+00:00 at 2025-11-01T14:00:20+00:00 by desk-12-ab12cd34",
        "The tokens of a prompt: prompt_tokens 812, completion_tokens 77.",
        "https://signals.example/symbol?symbol=ETHUSDT#plan",
        "core.store.migrations.versions.0001_initial and test_what_looks_like_a_secret_is_not",
    ],
)  # fmt: skip
def test_what_is_harmless_stays_readable(words):
    assert Mask().text(words) == words


def test_a_token_in_no_form_and_named_values_are_hidden() -> None:
    mask = Mask()
    assert mask.text(f"session {TOKEN} ended") == f"session {HIDDEN} ended"
    told = {"Authorization": "abc", "password": "x", "prompt_tokens": 5, "session": "ab"}
    assert mask.value({"a": [told]}) == {
        "a": [{"Authorization": HIDDEN, "password": HIDDEN, "prompt_tokens": 5, "session": "ab"}]
    }


# Logs


def test_a_line_is_one_object_with_the_ids_of_whose_work_it_is(logs):
    out = logs()
    with bound(request="r1", session=session_id(TOKEN), job=None):
        logging.getLogger("core.any").warning("Two\nlines, %d%%.", 5)
    logging.getLogger("core.any").info("Not asked for.")
    (line,) = lines(out)
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "Two\nlines, 5%.",
        "level": "warning",
        "logger": "core.any",
        "service": "test",
        "request": "r1",
        "session": session_id(TOKEN),
    }
    assert TOKEN not in out.getvalue()


def test_people_on_a_terminal_read_lines_and_production_writes_json(logs):
    out = logs(CRYPTOSATX_LOG_FORMAT="")
    logging.getLogger("core.any").warning("Look here.")
    assert "Look here." in out.getvalue()
    assert not out.getvalue().startswith("{")
    out = logs(CRYPTOSATX_LOG_FORMAT="", CRYPTOSATX_ENV="production")
    logging.getLogger("core.any").info("Look here.")
    assert [line["event"] for line in lines(out)] == ["Look here."]


def test_what_libraries_say_goes_the_same_way_also_of_loggers_they_make_later(logs):
    names = ["streamlit.runtime", "uvicorn.error", "sqlalchemy.engine", "dbos", "asyncio", "httpx"]
    for name in names:  # as a process finds them, whatever was done to them before
        one, apart = logging.getLogger(name), name.startswith(("streamlit", "uvicorn"))
        one.handlers, one.propagate = [logging.StreamHandler()] if apart else [], not apart
    out = logs()
    dbos_begins()
    for name in names:
        logging.getLogger(name).error("Said.")
    streamlit.logger.get_logger("streamlit.made_later").error("Said.")
    assert [line["logger"] for line in lines(out)] == [*names, "streamlit.made_later"]


def test_a_thread_that_dies_is_told_in_the_log(logs):
    out = logs()
    thread = threading.Thread(target=lambda: 1 / 0, name="counting")
    thread.start()
    thread.join()
    (line,) = lines(out)
    assert line["event"] == "The thread counting has ended."
    assert "ZeroDivisionError" in line["exception"]


def test_a_message_that_cannot_be_made_is_told_and_lets_nothing_through(logs):
    class Sly:
        def __str__(self) -> str:
            raise ValueError("hunter2hunter2")

    out = logs()
    logging.getLogger("core.any").warning("It is %s.", Sly())
    assert [line["event"] for line in lines(out)] == [
        "A message could not be written (ValueError)."
    ]


def test_nothing_prints_outside_of_the_command_line() -> None:
    """The words at the start of the server are the one exception: they show the one-time token."""
    allowed = ("core/commands/", "core/__main__.py", "core/ui/lifespan.py")
    # It speaks with the process that began it.
    allowed += ("core/jobs/sending_apart.py",)
    found = []
    for path in [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "core").rglob("*.py")]:
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                prints = called in (
                    "print",
                    "pprint",
                    "click.echo",
                    "typer.echo",
                    "sys.stdout.write",
                )
                prints = prints or called in ("sys.stderr.write", "beside.print", "out.print")
                if prints and not name.startswith(allowed):
                    found.append(f"{name}:{node.lineno} {called}")
    assert found == []


# Requests


def answer(request: Request) -> Response:
    logging.getLogger("core.any").warning("Answering.")
    return PlainTextResponse("x", int(request.query_params.get("status", "200")))


def site() -> Starlette:
    inner = Starlette(routes=[Route("/symbols/{symbol}", answer)])
    routes = [Route("/signals", answer), Route("/health", answer), Mount("/api/v1", inner)]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(RealAddress),
            Middleware(Requests, pages=["/signals"], cookie="cryptosatx_session"),
        ],
    )


def get(app: Any, path: str, by: str = "203.0.113.7", **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(by, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(send())


def test_a_request_has_an_id_in_its_answer_and_in_all_that_is_said_meanwhile(logs):
    out = logs(CRYPTOSATX_LOG_LEVEL="info")
    found = get(
        site(),
        "/signals?symbol=x&password=hunter2hunter2",
        cookie=f"a=b; cryptosatx_session={TOKEN}",
    )
    said, told = lines(out)
    assert said["request"] == told["request"] == found.headers["x-request-id"]
    assert said["session"] == told["session"] == session_id(TOKEN)
    assert (told["event"], told["status"], told["route"]) == ("GET /signals 200", 200, "/signals")
    assert (told["method"], told["address"]) == ("GET", "203.0.113.7")
    assert told["ms"] >= 0
    assert "hunter2" not in out.getvalue()
    assert TOKEN not in out.getvalue()
    assert get(site(), "/signals").headers["x-request-id"] != told["request"]


def test_only_a_named_proxy_gives_a_request_its_id(monkeypatch):
    monkeypatch.setenv("CRYPTOSATX_TRUSTED_PROXIES", "10.1.0.5")
    for by, asked, kept in (
        ("10.1.0.5", "proxy-id-0001", True),
        ("10.1.0.5", "<script>alert(1)</script>", False),
        ("203.0.113.7", "proxy-id-0001", False),
    ):
        found = get(site(), "/signals", by, **{"X-Request-ID": asked}).headers["x-request-id"]
        assert (found == asked) is kept


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_routes_are_few_however_many_addresses_are_asked_for():
    known = {"/signals", "/api/v1/symbols/{symbol}", "other", "files", "streamlit", "/health"}
    before = {route: value("cryptosatx_request_seconds_count", route=route) for route in known}
    app = site()
    for number in range(3):
        for path in ("/signals", f"/api/v1/symbols/S{number}", f"/no/{number}", f"/x{number}.php"):
            get(app, path)
        get(app, f"/static/js/{number}.js")
        get(app, "/health")
    routes = {
        sample.labels["route"]
        for family in REGISTRY.collect()
        if family.name == "cryptosatx_request_seconds"
        for sample in family.samples
    }
    added = {
        route: value("cryptosatx_request_seconds_count", route=route) - before[route]
        for route in known
    }
    assert added == {
        "/signals": 3, "/api/v1/symbols/{symbol}": 3, "other": 6, "files": 3, "streamlit": 0,
        "/health": 3,
    }  # fmt: skip
    assert not [route for route in routes if re.search(r"S\d|\.php|/no/", route)]


# Who may read the metrics


@pytest.mark.parametrize(
    ("settings", "address", "token", "may"),
    [
        ({}, "127.0.0.1", None, True),
        ({}, "203.0.113.7", None, False),
        ({"CRYPTOSATX_ENV": "production"}, "127.0.0.1", None, False),
        ({"CRYPTOSATX_METRICS_FROM": "10.1.0.0/16"}, "10.1.2.3", None, True),
        ({"CRYPTOSATX_METRICS_FROM": "10.1.0.0/16"}, "127.0.0.1", None, False),
        ({"CRYPTOSATX_METRICS_TOKEN": "a" * 24}, "203.0.113.7", f"Bearer {'a' * 24}", True),
        ({"CRYPTOSATX_METRICS_TOKEN": "a" * 24}, "127.0.0.1", f"Bearer {'b' * 24}", False),
        ({"CRYPTOSATX_METRICS_TOKEN": "a" * 24}, "127.0.0.1", None, False),
        ({"CRYPTOSATX_METRICS_TOKEN": "a" * 24, "CRYPTOSATX_METRICS_FROM": "10.1.0.5"}, "10.1.0.5", None, True),
        ({}, "unknown", None, False),
    ],
)  # fmt: skip
def test_metrics_are_for_those_who_are_named(settings, address, token, may):
    assert may_read(load_settings(settings), address, token) is may


def test_a_worker_shows_its_metrics_and_health_at_a_port_of_its_own():
    well = True
    settings = load_settings(
        {"CRYPTOSATX_WORKER_METRICS": "127.0.0.1:1", "CRYPTOSATX_METRICS_TOKEN": "a" * 24}
    ).model_copy(update={"worker_metrics": "127.0.0.1:0"})
    with exposed(settings, lambda: well) as port:
        at = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{at}/metrics").status_code == 404
        found = httpx.get(f"{at}/metrics", headers={"authorization": f"Bearer {'a' * 24}"})
        assert "cryptosatx_round_part_seconds" in found.text
        assert httpx.get(f"{at}/health").status_code == 200
        well = False
        assert httpx.get(f"{at}/health").status_code == 503
        assert httpx.get(f"{at}/").status_code == 404
    with exposed(load_settings({}), lambda: True) as port:
        assert port is None


def test_a_port_that_is_taken_keeps_no_worker_from_its_work(caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        with exposed(load_settings({"CRYPTOSATX_WORKER_METRICS": at}), lambda: True) as port:
            assert port is None
    assert f"CRYPTOSATX_WORKER_METRICS={at} cannot be used" in caplog.text


# What the databases know


def fill(engine: Engine) -> None:
    used = BudgetUse("weight", 900, 1_200, 2_400, 60)
    state = SourceState(
        "binance", 40, 2, NOW - timedelta(seconds=5), breaker="open", budgets=(used,)
    )
    with engine.begin() as conn:
        save_health(conn, [state, SourceState("okx")], "worker", NOW)
        conn.execute(insert(bars).values(symbol="BTCUSDT", time=NOW - timedelta(minutes=10)))
        start_round(conn, NOW - timedelta(minutes=10), "worker", NOW)
        end_round(conn, NOW - timedelta(minutes=10), NOW)
        stream = StreamState("bybit", "live", heard_at=NOW - timedelta(seconds=7))
        save_stream(conn, stream, NOW)
        note_backup(conn, made_at=NOW - HOUR)


def test_the_databases_tell_how_sources_streams_rounds_and_backups_are(engine: Engine) -> None:
    empty = read_stored(Databases(engine, engine), NOW)
    assert empty["deliveries"]["waiting",] == 0
    assert "newest_bar_age_seconds" not in empty
    fill(engine)
    found = read_stored(Databases(engine, engine), NOW)
    assert set(found) <= set(GAUGES)
    assert found["newest_bar_age_seconds"] == {(): 600.0}
    assert found["newest_round_age_seconds"] == {(): 600.0}
    assert found["rounds_24h"]["done",] == 1
    assert found["source_failures"] == {("binance",): 2.0, ("okx",): 0.0}
    assert found["source_breaker_open"] == {("binance",): 1.0, ("okx",): 0.0}
    assert found["source_success_age_seconds"] == {("binance",): 5.0}
    assert found["source_budget_used_ratio"] == {("binance", "weight"): 0.75}
    assert found["stream_lag_seconds"] == {("bybit",): 7.0}
    assert found["backup_age_seconds"] == {(): 3600.0}
    assert found["database_pool_connections"]["market", "busy"] == 0
    assert all(len(labels) == len(GAUGES[name][1]) for name in found for labels in found[name])


def test_a_backup_that_was_never_made_grows_old_where_one_is_wanted(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = {"username": "ada", "name": "x", "role": "admin", "password_hash": "x"}
    with sqlite_engine.begin() as conn:
        conn.execute(users.insert().values(person | {"created_at": NOW - HOUR, "updated_at": NOW}))
    known = Databases(sqlite_engine, sqlite_engine)
    for to, told in (("/kept", {(): 3600.0}), ("off", None)):
        monkeypatch.setenv("CRYPTOSATX_BACKUP_TO", to)
        assert read_stored(known, NOW).get("backup_age_seconds") == told


def test_a_database_that_does_not_answer_is_told_and_the_other_goes_on(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    away = open_database(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder'}")
    found = read_stored(Databases(away, sqlite_engine), NOW)
    assert found["database_up"] == {("market",): 0.0, ("people",): 1.0}
    assert "ledger_length" not in found
    assert "backup_failing" in found


def told_metrics(engine: Engine) -> set[str]:
    """Every name that can stand in /metrics of a dashboard and a worker."""
    fill(engine)
    tell_of(lambda: Databases(engine, engine))
    names = {
        sample.name
        for family in text_string_to_metric_families(metrics_text().decode())
        for sample in family.samples
    }
    # What has happened to nobody here yet shows no sample of its own.
    families = {family.name for family in REGISTRY.collect()}
    names |= {f"{family}_total" for family in families}
    names |= {f"{family}_{part}" for family in families for part in ("bucket", "count", "sum")}
    return names | {f"cryptosatx_{name}" for name in GAUGES}


def test_the_dashboard_of_grafana_and_the_rules_of_prometheus_name_what_is_there(
    sqlite_engine: Engine,
) -> None:
    known = told_metrics(sqlite_engine)
    board = json.loads((ROOT / "docs" / "deploy" / "grafana" / "cryptosatx.json").read_text())
    rules = yaml.safe_load((ROOT / "docs" / "deploy" / "prometheus" / "rules.yaml").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    named = {name for text_ in asked for name in re.findall(r"\b(?:cryptosatx|process)_\w+", text_)}
    assert len(asked) > 30
    assert named - known == set()
    unused = {f"cryptosatx_{name}" for name in GAUGES} - named
    assert unused == set(), "what is told is shown somewhere"
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            assert rule["labels"]["severity"] in ("warning", "critical")


# A round's parts


def test_the_parts_of_a_round_are_timed_and_say_which_round_it_is(
    sqlite_engine: Engine, logs: Callable[..., io.StringIO]
) -> None:
    jobs = Jobs(sqlite_engine, NoSources(), "me", lambda: NOW)
    before = value("cryptosatx_round_part_seconds_count", part="begin")
    out = logs(CRYPTOSATX_LOG_LEVEL="debug")
    said: list[str] = []
    alerting = SimpleNamespace(judge=lambda bar: logging.getLogger("core.x").error("Judging."))
    jobs = Jobs(sqlite_engine, NoSources(), "me", lambda: NOW, alerting=alerting)  # type: ignore[arg-type]
    assert jobs.begin(NOW - HOUR)
    jobs.alert(NOW - HOUR)
    assert said == []
    (line,) = lines(out)
    assert line["job"] == "round 2025-11-01T13:10:00+00:00"
    assert line["worker"] == "me"
    assert value("cryptosatx_round_part_seconds_count", part="begin") == before + 1
    failed = value("cryptosatx_round_part_failures_total", part="begin")
    with sqlite_engine.begin() as conn:
        conn.execute(text("DROP TABLE rounds"))
    with pytest.raises(Exception, match="no such table"):
        jobs.begin(NOW)
    assert value("cryptosatx_round_part_failures_total", part="begin") == failed + 1


# Where traces and errors go


class Inbox(http.server.BaseHTTPRequestHandler):
    """A server on a socket that keeps what it is sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        coding = self.headers.get("content-encoding", "")
        body = gzip.decompress(body) if coding == "gzip" else body
        body = zlib.decompress(body) if coding == "deflate" else body
        self.server.got.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_GET(self) -> None:
        self.server.got.append((self.path, dict(self.headers), b""))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def inbox() -> Iterator[Any]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    server.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def spans_in(inbox: Any) -> dict[str, Any]:
    found = {}
    for path, _, body in inbox.got:
        if path == "/v1/traces":
            told = ExportTraceServiceRequest.FromString(body)
            for resource in told.resource_spans:
                for scope in resource.scope_spans:
                    found |= {one.name: one for one in scope.spans}
    return found


@pytest.mark.parametrize("by", ["10.1.0.5", "203.0.113.7"])
def test_only_a_named_proxy_says_of_which_trace_a_request_is_and_whether_it_is_recorded(
    monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setenv("CRYPTOSATX_TRUSTED_PROXIES", "10.1.0.5")
    monkeypatch.setattr(spans, "_tracer", TracerProvider().get_tracer("test"))

    def tell(_request: Request) -> Response:
        current = get_current_span()
        context = current.get_span_context()
        told = [current.is_recording(), f"{context.trace_id:032x}", *context.trace_state.items()]
        return JSONResponse(told)

    app = Starlette(
        routes=[Route("/signals", tell)], middleware=[Middleware(RealAddress), Middleware(Requests)]
    )
    theirs = "0af7651916cd43dd8448eb211c80319c"
    told = {"traceparent": f"00-{theirs}-b7ad6b7169203331-00", "tracestate": "of=them"}
    seen = get(app, "/signals", by, **told).json()
    if by == "10.1.0.5":
        assert seen == [False, theirs, ["of", "them"]]
    else:
        assert seen[0] is True
        assert seen[1] != theirs
        assert len(seen) == 2


def test_a_request_its_database_and_its_questions_are_one_trace_without_secrets(
    inbox: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYPTOSATX_TRUSTED_PROXIES", "10.1.0.5")
    at = f"http://127.0.0.1:{inbox.server_port}"
    settings = load_settings(
        {**SECRETS, "OTEL_EXPORTER_OTLP_ENDPOINT": at} | {"DATABASE_URL": "sqlite:///x.sqlite"}
    )
    end = start_traces(settings, "test")
    engine = open_database(f"sqlite:///{tmp_path / 'traced.sqlite'}")

    def work(_request: Request) -> Response:
        with engine.connect() as conn:
            conn.execute(text("SELECT 1"))
        httpx.get(f"{at}/ask?api_key=cg0123456789abcdef")
        with pytest.raises(RuntimeError), spans.span("page signals"):
            raise RuntimeError("with cg0123456789abcdef")
        return PlainTextResponse("x")

    app = Starlette(
        routes=[Route("/signals", work)],
        middleware=[Middleware(RealAddress), Middleware(Requests, pages=["/signals"])],
    )
    trace = "0af7651916cd43dd8448eb211c80319c"
    get(app, "/signals", "10.1.0.5", traceparent=f"00-{trace}-b7ad6b7169203331-01")
    jobs = [Jobs(engine, NoSources(), name, lambda: NOW) for name in ("one", "two")]
    for job in jobs:
        job.alert(NOW)
    end()
    engine.dispose()
    assert not spans.is_tracing()
    found = spans_in(inbox)
    request = found["GET /signals"]
    assert request.trace_id.hex() == trace
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    asked = next(headers for path, headers, _ in inbox.got if path.startswith("/ask"))
    told = next(one for name, one in found.items() if name == "GET")
    assert asked["traceparent"] == f"00-{trace}-{told.span_id.hex()}-01"
    below = {name for name, one in found.items() if one.trace_id == request.trace_id}
    assert {"GET /signals", "page signals", "GET", "SELECT"} <= below
    bodies = b"".join(body for path, _, body in inbox.got if path == "/v1/traces")
    assert b"RuntimeError" in bodies
    assert b"cg0123456789abcdef" not in bodies
    headers = next(headers for path, headers, _ in inbox.got if path == "/v1/traces")
    assert headers["authorization"] == "Bearer collector-key"
    assert found["alert"].trace_id != request.trace_id


def test_the_parts_of_one_bar_are_one_trace_whoever_does_them() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import get_current_span

    spans.trace_by(TracerProvider().get_tracer("test"))
    try:
        found = {what: spans.shared_parent(what) for what in ("round a", "round b")}
        ids = [
            get_current_span(spans.shared_parent(what)).get_span_context().trace_id
            for what in ("round a", "round a", "round b")
        ]
    finally:
        spans.trace_by(None)
    assert found["round a"] is not None
    assert ids[0] == ids[1] != ids[2]
    assert spans.shared_parent("round a") is None


def test_an_error_goes_to_sentry_without_secrets(inbox: Any) -> None:
    dsn = f"http://sentrykey@127.0.0.1:{inbox.server_port}/7"
    start_errors(load_settings({**SECRETS, "SENTRY_DSN": dsn}), "test")
    try:
        logging.getLogger("core.any").warning("Before: cg0123456789abcdef")
        plant_in_exception("cg0123456789abcdef")
        give_up = time.monotonic() + 10
        while not inbox.got and time.monotonic() < give_up:
            time.sleep(0.02)
    finally:
        sentry_sdk.get_client().close(timeout=0.1)
        sentry_sdk.init()
    path, _, body = inbox.got[0]
    assert path == "/api/7/envelope/"
    event = next(told for line in body.splitlines() if "exception" in (told := json.loads(line)))
    assert [one["type"] for one in event["exception"]["values"]] == ["ValueError", "RuntimeError"]
    assert event["tags"]["service"] == "test"
    assert HIDDEN in json.dumps(event)
    assert b"cg0123456789abcdef" not in body
    assert "request" not in event
    assert "vars" not in json.dumps(event)


def test_without_their_settings_neither_traces_nor_errors_are_even_imported() -> None:
    import subprocess

    code = (
        "import sys; from core.observing.start import start_observing; "
        "from core.settings import load_settings; start_observing(load_settings({}), 'x'); "
        "import core.observing.requests, core.observing.parts; "
        "sys.exit(sum(name.startswith(('opentelemetry', 'sentry_sdk')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
