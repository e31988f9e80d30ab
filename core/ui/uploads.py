"""Files that browsers send: taken from those only who may do something with one."""

from __future__ import annotations

import re

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from core.accounts import Role
from core.ui.session_reading import admits

# Files of rules are the only ones that a page takes, and rules are an administrator's.
UPLOADER: Role = "admin"
_UPLOADS = re.compile(r"/_stcore/upload_file(/|$)")


class Uploads:
    """Middleware: Streamlit itself keeps files of anybody who has opened a page, also of strangers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _UPLOADS.match(scope["path"]):
            asks = HTTPConnection(scope)
            if not await run_in_threadpool(admits, asks, UPLOADER, write=True):
                await PlainTextResponse("No file is taken from you.", 403)(scope, receive, send)
                return
        await self.app(scope, receive, send)
