"""The routes beside the pages: a session begins and ends here, and the state of things is told."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from core.accounts import sessions, tickets
from core.instance import instance
from core.observing.exposing import CONTENT_TYPE, may_read, metrics_text
from core.settings import load_settings
from core.ui import watched
from core.ui.asking_once import AskedOnce
from core.ui.browser import BROWSER_COOKIE, SESSION_COOKIE
from core.ui.draw import LIBRARY, serve_library
from core.ui.health import Report, check_health, check_ready, late_report
from core.ui.navigation import ADDRESSES, HOME, safe_path
from core.ui.organisation import IDENTITY_COOKIE
from core.ui.record_file import ADDRESS, serve_record
from core.ui.security import serve_page

_FRESH = {"Cache-Control": "no-store"}
TOO_LATE = "/sign_in?late=1"


def home(request: Request) -> Response:
    """The root is the first page, under the address that a link to that page has."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/{HOME}{query}", status_code=307)


def start_session(request: Request) -> Response:
    """Trade a ticket for a session cookie and go on to the page the ticket names.

    Any session this browser had before is ended, so that every sign-in has a token of its own.
    """
    here, now = instance(), datetime.now(UTC)
    browser = request.cookies.get(BROWSER_COOKIE, "")
    with here.accounts.begin() as conn:
        asked = request.query_params.get("ticket", "")
        ticket = tickets.redeem(conn, asked, browser=browser, now=now)
        if ticket is None or (ticket.user_id is None and not here.guests_welcome):
            return _redirect(TOO_LATE)
        sessions.end(conn, request.cookies.get(SESSION_COOKIE, ""), now=now)
        agent = request.headers.get("user-agent", "")
        limits = here.session_limits
        token = sessions.start(conn, ticket.user_id, now=now, user_agent=agent, limits=limits)
        sessions.note_sign_in(conn, token, now=now, limits=limits)
    response = _redirect(safe_path(ticket.next_path))
    for name in request.cookies:
        if name.startswith(IDENTITY_COOKIE):  # It has been traded for this session.
            response.delete_cookie(name)
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=int(limits.lifetime.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


def end_session(request: Request) -> Response:
    """End the session of the browser's cookie and remove the cookie."""
    if not _from_this_site(request):
        return PlainTextResponse("Sign out on the site itself.", status_code=403)
    with instance().accounts.begin() as conn:
        sessions.end(conn, request.cookies.get(SESSION_COOKIE, ""))
    response = _redirect("/")
    response.delete_cookie(
        SESSION_COOKIE,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


_health = AskedOnce(check_health, lambda: late_report("failing"))
_ready = AskedOnce(check_ready, lambda: late_report("not ready"))


async def health(_request: Request) -> Response:
    """Each dependency's state; 503 when the dashboard cannot do its work."""
    return _reported(await _health.read())


async def ready(_request: Request) -> Response:
    """The same with ages and lags; 503 where nobody should be sent to this server."""
    return _reported(await _ready.read())


async def live(_request: Request) -> Response:
    """That this process answers; nothing else is asked."""
    return PlainTextResponse("ok", headers=_FRESH)


def metrics(request: Request) -> Response:
    """What Prometheus collects, for those who are named; to all others there is nothing here."""
    address = request.client.host if request.client else None
    if not may_read(load_settings(), address, request.headers.get("authorization")):
        return PlainTextResponse("Not found", 404)
    return Response(metrics_text(), headers={**_FRESH, "Content-Type": CONTENT_TYPE})


ROUTES = (
    Route("/", home, methods=["GET"]),
    Route("/session/start", start_session, methods=["GET"]),
    Route("/session/end", end_session, methods=["POST"]),
    Route(watched.ADDRESS, watched.serve_marks, methods=["GET"]),
    *(Route(address, serve_page, methods=["GET"]) for address in sorted(ADDRESSES)),
    Route("/health", health, methods=["GET"]),
    Route("/health/live", live, methods=["GET"]),
    Route("/health/ready", ready, methods=["GET"]),
    Route("/metrics", metrics, methods=["GET"]),
    Route(LIBRARY, serve_library, methods=["GET"]),
    Route(ADDRESS, serve_record, methods=["GET"]),
)


def _reported(report: Report) -> Response:
    return JSONResponse(report.body, status_code=200 if report.working else 503, headers=_FRESH)


def _redirect(path: str) -> Response:
    return RedirectResponse(path, status_code=303, headers={"Cache-Control": "no-store"})


def _from_this_site(request: Request) -> bool:
    # A browser says where a request comes from; behind a proxy the host may have another name.
    said = request.headers.get("sec-fetch-site")
    if said is not None:
        return said == "same-origin"
    origin = urlsplit(request.headers.get("origin", ""))
    return bool(origin.netloc) and origin.netloc == request.headers.get("host")
