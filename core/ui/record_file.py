"""The record as a file to download, for analysts and administrators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from threading import BoundedSemaphore

from sqlalchemy import Engine
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from core.instance import Instance, instance
from core.store.entries import snapshot
from core.store.export import FORMS, MEDIA_TYPES, Chosen, Form, write_record
from core.ui.session_reading import admits

ADDRESS = "/record/ledger.{form}"
# Each holds a connection and a moment of the database for as long as it lasts.
_free = BoundedSemaphore(2)


def serve_record(request: Request) -> Response:
    """The record as it is now, whole or of one ``profile``, ``version`` and ``judge``."""
    here, asked = instance(), request.path_params["form"]
    form = next((form for form in FORMS if form == asked), None)
    if form is None:
        return PlainTextResponse("There is no such file.", status_code=404)
    # A guest reads, but takes nothing away.
    if not admits(request, "analyst", write=True):
        return PlainTextResponse(
            "The record is for analysts and administrators: sign in as one.",
            status_code=403,
            headers={"Cache-Control": "no-store"},
        )
    wanted = [request.query_params.get(name) for name in ("profile", "version", "judge")]
    if form == "jsonl" and any(wanted):
        return PlainTextResponse("JSON lines are the whole ledger.", status_code=400)
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": f'attachment; filename="{_file_name(here, form)}"',
    }
    if request.method == "HEAD":
        return Response(headers=headers, media_type=MEDIA_TYPES[form])
    if not _free.acquire(blocking=False):
        return PlainTextResponse(
            "Others are downloading the record: try again in a minute.",
            status_code=503,
            headers={"Retry-After": "60", "Cache-Control": "no-store"},
        )
    pieces = _pieces(here.engine, form, Chosen(*wanted))
    return StreamingResponse(_released(pieces), media_type=MEDIA_TYPES[form], headers=headers)


def _file_name(here: Instance, form: Form) -> str:
    return f"cryptosatx-{here.market.key}-ledger-{datetime.now(UTC):%Y-%m-%d}.{form}"


def _pieces(engine: Engine, form: Form, chosen: Chosen) -> Iterator[bytes]:
    with snapshot(engine) as conn:
        yield from write_record(conn, form, chosen)


async def _released(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces; whoever goes away before the end leaves nothing open."""
    try:
        with closing(pieces):  # type: ignore[type-var]
            async for piece in iterate_in_threadpool(pieces):
                yield piece
    finally:
        _free.release()
