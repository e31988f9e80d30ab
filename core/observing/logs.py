"""Logs: one object of JSON a line, or lines for people; what libraries say goes the same way.

Modules speak through `logging.getLogger(__name__)`; structlog puts the ids of `core.observing.context`
beside it and writes it, without secrets.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter
from typing_extensions import override

from core.observing.masking import Mask, mask_of, masking
from core.settings import Settings

# Names of values that are made here and hold nothing of anybody's.
_OURS = (
    "at",
    "level",
    "logger",
    "service",
    "request",
    "session",
    "job",
    "worker",
    "address",
    "method",
    "route",
)
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "error": logging.ERROR}
_logger = logging.getLogger(__name__)


def configure_logs(
    settings: Settings, service: str, stream: TextIO | None = None, mask: Mask | None = None
) -> None:
    """Write what this process says from now on to ``stream``, by default the error output.

    To be called after libraries that set their own loggers up, such as Streamlit and uvicorn.
    """
    out = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(out)
    handler.setFormatter(_formatter(settings, service, out, mask or mask_of(settings)))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in ("core", "uvicorn.error"):
        logging.getLogger(name).setLevel(level_of(settings))
    logging.captureWarnings(True)
    _route_libraries()
    sys.excepthook = _tell_of_the_end
    threading.excepthook = _tell_of_a_thread


def level_of(settings: Settings) -> int:
    """What is logged at least.

    >>> from core.settings import load_settings
    >>> level_of(load_settings({})) == logging.WARNING
    True
    """
    unset = "info" if settings.env == "production" else "warning"
    return _LEVELS.get(settings.log_level or unset, logging.WARNING)


def _formatter(settings: Settings, service: str, out: TextIO, mask: Mask) -> logging.Formatter:
    as_json = (
        settings.log_format or ("json" if settings.env == "production" else "text")
    ) == "json"
    before: Sequence[Any] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _named(service),
        masking(mask, _OURS),
    )
    render: Any = structlog.processors.JSONRenderer(_dump)
    if not as_json:
        render = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), timestamp_key="at", pad_event_to=0
        )
    last: Sequence[Any] = (ProcessorFormatter.remove_processors_meta, render)
    return _Formatter(foreign_pre_chain=before, processors=last)


class _Formatter(ProcessorFormatter):
    """A line that cannot be made must not be lost, and not let anything through."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001  what a record holds can raise anything
            kind = type(error).__name__
            told = {"level": "error", "logger": record.name}
            return _dump({**told, "event": f"A message could not be written ({kind})."})


def _named(service: str) -> Callable[[Any, str, Any], Any]:
    def process(_logger: Any, _method: str, event: Any) -> Any:
        event["service"] = service
        event.pop("color_message", None)  # Uvicorn says the same twice, once with colours.
        return event

    return process


def _dump(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _route_libraries() -> None:
    """Have every logger that writes by itself hand what it says on to ours."""
    for name in list(logging.root.manager.loggerDict):
        _route(logging.getLogger(name))
    dbos = logging.getLogger("dbos")
    if not dbos.handlers:
        # It writes by itself as soon as it works, unless somebody listens already.
        dbos.addHandler(logging.NullHandler())
    streamlits = sys.modules.get("streamlit.logger")
    if streamlits is not None:
        # It gives each of its loggers a handler of its own, also those it makes later.
        vars(streamlits)["setup_formatter"] = _route
    # Uvicorn tells of every request at its access logger, in the words of whoever asks.
    logging.getLogger("uvicorn.access").disabled = True


def _route(logger: logging.Logger) -> None:
    writes = [one for one in logger.handlers if type(one) is logging.StreamHandler]
    for handler in writes:
        logger.removeHandler(handler)
    if writes or not logger.handlers:
        logger.propagate = True


def _tell_of_the_end(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _logger.critical("This process ends.", exc_info=(kind, error, trace))


def _tell_of_a_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is None or issubclass(ended.exc_type, SystemExit):
        return
    name = ended.thread.name if ended.thread else "?"
    error = (ended.exc_type, ended.exc_value, ended.exc_traceback)
    _logger.error("The thread %s has ended.", name, exc_info=error)
