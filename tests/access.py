"""Who may do what, declared once: tests hold the product to it, and docs/access.md is made of it.

`python -m tests.access > docs/access.md` writes the document anew. Pages and operations declare their
roles themselves (`core.ui.navigation.ENTRIES`, `core.operations`); what is declared here is what has no
other place: the kinds of visitors, the routes, and the functions that write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.accounts import Person, Role, may
from core.accounts.people import GUEST
from core.operations import Operation
from core.ui.navigation import ENTRIES, Entry


@dataclass(frozen=True)
class Account:
    """Somebody before a page. ``made_as`` is the role of the account that their session was begun with
    (None: no account), ``counts_as`` what they may be taken for now (None: a stranger)."""

    made_as: Role | None
    counts_as: Role | Literal["guest"] | None
    factor: bool = False

    @property
    def person(self) -> Person | None:
        if self.counts_as is None:
            return None
        return GUEST if self.counts_as == "guest" else Person(1, "x", "X", self.counts_as)


# An administrator has a second factor: the installation in question requires one of them.
ACCOUNTS: Mapping[str, Account] = {
    "stranger": Account(None, None),
    "guest": Account(None, "guest"),
    "trader": Account("trader", "trader"),
    "analyst": Account("analyst", "analyst"),
    "admin": Account("admin", "admin", factor=True),
    "admin without a factor": Account("admin", "admin"),
    "was administrator": Account("admin", "trader", factor=True),
    "disabled": Account("admin", None, factor=True),
    "signed out": Account("admin", None, factor=True),
    "idle too long": Account("admin", None, factor=True),
    "session too old": Account("admin", None, factor=True),
}


@dataclass(frozen=True)
class Keyed:
    """A program's key. ``owner`` is the role its owner had when it was made (None: it is no key),
    ``counts_as`` what it speaks for now (None: for nobody)."""

    owner: Role | None
    counts_as: Role | None

    @property
    def person(self) -> Person | None:
        return None if self.counts_as is None else Person(1, "x", "X", self.counts_as)


# Each has every scope there is.
KEYS: Mapping[str, Keyed] = {
    "none": Keyed(None, None),
    "unknown": Keyed(None, None),
    "a session's token": Keyed(None, None),
    "expired": Keyed("admin", None),
    "revoked": Keyed("admin", None),
    "of a disabled owner": Keyed("admin", None),
    "of a demoted owner": Keyed("admin", "trader"),
    "of a trader": Keyed("trader", "trader"),
    "of an analyst": Keyed("analyst", "analyst"),
    "of an admin": Keyed("admin", "admin"),
}

# Pages

# What is one's own: a guest has none of it.
OWN = frozenset(("account",))
# Where an administrator gets the second factor that everything else asks for, and what only says that
# one is signed in already.
WITHOUT_FACTOR = frozenset(("account", "join"))
Outcome = Literal["shown", "refused", "entrance"]


def page_outcome(entry: Entry, who: str) -> Outcome:
    """What somebody gets at the address of a page."""
    account = ACCOUNTS[who]
    if account.person is None:
        return "entrance"
    if who == "admin without a factor" and entry.path not in WITHOUT_FACTOR:
        return "refused"
    if entry.role is None:
        # Whoever is in is led to the first page, or told so.
        return "shown"
    return "shown" if may(account.person, entry.role, write=entry.path in OWN) else "refused"


# Routes

Opens = Role | Literal["everyone", "nobody", "a key"]


@dataclass(frozen=True)
class Door:
    """A route that is neither a page nor an operation: whom it opens to, the address to ask, the status
    when it opens and when it does not, and why so."""

    opens: Opens
    why: str
    address: str = ""
    opened: int = 200
    shut: int = 404


_PROBE = "for what watches the server; it names parts and ages, no data and no secrets"
_SHELL = (
    "the empty page, the same for all: what is on it comes over the WebSocket, behind the guard"
)
_STREAMLIT = "Streamlit's own, the same for all: its script, styles and configuration"
_CLOSED = "an interface of Streamlit's that is closed here"
_PREFLIGHT = "what browsers ask before they ask; no data"

DOORS: Mapping[tuple[str, str], Door] = {
    ("GET", "/"): Door("everyone", "leads to the first page", opened=307),
    ("GET", "/session/start"): Door(
        "nobody",
        "takes the ticket of a sign-in, good once, for seconds, for one browser; without one it leads "
        "back to the sign-in",
        shut=303,
    ),
    ("POST", "/session/end"): Door(
        "nobody", "ends the session of this browser; asked by another site it does nothing", shut=403
    ),
    ("GET", "/session/marks"): Door(
        "everyone",
        "marks by which a page knows that it is out of date: of what strangers see to all, of the rest "
        "to whoever is signed in",
    ),
    **{("GET", f"/{entry.path}"): Door("everyone", _SHELL) for entry in ENTRIES},
    ("GET", "/health"): Door("everyone", _PROBE),
    ("GET", "/health/live"): Door("everyone", _PROBE),
    ("GET", "/health/ready"): Door("everyone", _PROBE),
    ("GET", "/metrics"): Door(
        "nobody", "for the addresses and the token that are set, and in production for no others"
    ),
    ("GET", "/plotly.min.js"): Door("everyone", "a library that charts are drawn by"),
    ("GET", "/record/ledger.{form}"): Door(
        "analyst", "the record as a file; guests take nothing away", "/record/ledger.csv", shut=403
    ),
    **{
        (method, "/api/{rest:path}"): Door(
            "nobody", "says that there is nothing, and where the API is", "/api/v0/signals"
        )
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
    },
    ("GET", "/api/v1/openapi.json"): Door("everyone", "describes the API, not what is in it"),
    ("GET", "/api/v1/docs"): Door("everyone", "describes the API, not what is in it"),
    ("GET", "/api/v1/operations"): Door(
        "a key", "names operations and which the key may ask for", shut=401
    ),
    ("POST", "/api/v1/invoke"): Door(
        "a key", "any operation by its name: see the operations", shut=401
    ),
    ("any", "/api/mcp"): Door(
        "a key", "the operations as tools: see the operations", shut=401
    ),
    ("GET", "/_stcore/health"): Door("everyone", _STREAMLIT),
    ("GET", "/_stcore/host-config"): Door("everyone", _STREAMLIT),
    ("GET", "/_stcore/metrics"): Door("nobody", _CLOSED),
    ("OPTIONS", "/_stcore/metrics"): Door("nobody", _CLOSED),
    ("GET", "/media/{file_id:path}"): Door(
        "nobody", "a file of a page, under a name made of its content, for whoever was given the name",
        "/media/0000.csv",
    ),
    ("PUT", "/_stcore/upload_file/{session_id}/{file_id}"): Door(
        "admin", "takes a file of rules to the page that asked for it", opened=400, shut=403
    ),
    ("DELETE", "/_stcore/upload_file/{session_id}/{file_id}"): Door(
        "admin", "drops a file of rules again", opened=204, shut=403
    ),
    ("OPTIONS", "/_stcore/upload_file/{session_id}/{file_id}"): Door(
        "admin", _PREFLIGHT, opened=204, shut=403
    ),
    ("GET", "/component/{path:path}"): Door("nobody", _STREAMLIT, "/component/x/y.js"),
    ("GET", "/_stcore/bidi-components/{path:path}"): Door(
        "nobody", _STREAMLIT, "/_stcore/bidi-components/x/y.js"
    ),
    ("socket", "/_stcore/stream"): Door("everyone", "a page: see the pages; not for other sites"),
    ("GET", "/auth/login"): Door("everyone", "leads to the organisation, where one is set", opened=302),
    ("GET", "/auth/logout"): Door("everyone", "ends what an organisation said here", opened=302),
    ("GET", "/oauth2callback"): Door(
        "nobody", "takes what the organisation says, signed and once", shut=302
    ),
    **{
        (method, f"/_stcore/agent/{path}"): Door("nobody", _CLOSED)
        for method in ("DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT")
        for path in ("interact", "mcp", "openapi.json")
    },
    **{
        ("OPTIONS", path): Door("everyone", _PREFLIGHT, opened=204)
        for path in (
            "/_stcore/health",
            "/media/{file_id:path}",
            "/component/{path:path}",
            "/_stcore/bidi-components/{path:path}",
        )
    },
    ("GET", "/{file}"): Door("everyone", _STREAMLIT, "/static/x.js"),
}  # fmt: skip

# What functions of pages do

# By name without "core.ui.": the least role of whoever is in front of the page. What is somebody's own,
# such as a key or a channel, is looked at by the function besides.
ACTIONS: Mapping[str, Role] = {
    **dict.fromkeys(
        (
            "alerts.actions.take_note",
            "alerts.actions.silence",
            "alerts.actions.end_silence",
            "alerts.channel_actions.create",
            "alerts.channel_actions.change",
            "alerts.channel_actions.delete",
            "alerts.channel_actions.subscribe",
            "alerts.channel_actions.test",
            "alerts.channel_actions.resend",
            "auto_banner.ask_again",
            "key_actions.own_keys",
            "key_actions.create",
            "key_actions.rotate",
            "key_actions.revoke",
        ),
        "trader",
    ),
    **dict.fromkeys(
        (
            "backtest_actions.ask",
            "backtest_actions.cancel",
            "backtest_actions.save",
            "backtest_actions.look",
        ),
        "analyst",
    ),
    **dict.fromkeys(
        (
            "alerts.change_log.load_authors",
            "alerts.change_log.load_changes",
            "alerts.changes.draw_changes",
            "alerts.channel_actions.drop",
            "alerts.channel_actions.send_now",
            "alerts.deliveries.draw_deliveries",
            "alerts.personal.load_attempts",
            "alerts.personal.load_dead",
            "alerts.personal.load_queues",
            "alerts.personal.load_waiting",
            "backtest_actions.put_in_force",
            "key_actions.all_keys",
            "people.disable",
            "people.enable",
            "people.end_session",
            "people.end_sessions",
            "people.invite",
            "people.load_everyone",
            "people.load_sessions",
            "people.reset_factor",
            "people.set_role",
            "people.withdraw",
            "rules.actions.delete",
            "rules.actions.duplicate",
            "rules.actions.import_rules",
            "rules.actions.restore",
            "rules.actions.save",
            "rules.actions.switch",
            "rules.trial.ask_trial",
            "rules.trial.cancel_trial",
        ),
        "admin",
    ),
}
# The same of one's own account, which an administrator may do without a second factor.
OWN_ACTIONS = (
    "account.begin_factor",
    "account.change_password",
    "account.confirm_factor",
    "account.end_other_sessions",
    "account.end_session",
    "account.own_factor",
    "account.own_sessions",
    "account.remove_factor",
    "account.renew_codes",
)
_READS = "reads, for the page or the route that has asked who it is for"
_SIGNING_IN = (
    "a part of signing in, which is for strangers: a password, a code, a link or a ticket decides"
)
_OWN = "the session of this very browser"
_START = "the start of the server"
# What opens the database on the way to a page, and asks for no role by itself; and why.
UNASKED: Mapping[str, str] = {
    "account._confirm": "asks for the password or a code of whom `account` has let through",
    "account._confirm_password": "asks for the password of whom `account` has let through",
    "alerts.change_log._logs": _READS,
    "alerts.personal.load_channels": "one's own; for the shared ones it asks for an administrator",
    "entrance._ask_code": _SIGNING_IN,
    "entrance._ask_password.check": _SIGNING_IN,
    "entrance._draw_new_account": _SIGNING_IN,
    "entrance.open_session": _SIGNING_IN,
    "health.databases": _READS,
    "lifespan.announcement": _START,
    "lifespan.reseal": _START,
    "loaders.operation._backups": _READS,
    "organisation.arrive": _SIGNING_IN,
    "organisation.draw_door": _SIGNING_IN,
    "page_bench._fill": "a command of the machine, over a database of its own",
    "page_bench._guest_on_demo": "a command of the machine, over a database of its own",
    "pulse._pulse": _READS,
    "pulse.read_accounts": _READS,
    "pulse.read_pulse": _READS,
    "record_file._pieces": _READS,
    "record_file.serve_record": "asks for the session of the request: see the routes",
    "routes.end_session": _OWN,
    "routes.start_session": _SIGNING_IN,
    "rules.trial._saved": _READS,
    "rules.trials._do": "in the background, for `ask_trial`",
    "rules.trials.ask": "for `ask_trial`",
    "session.close_session": _OWN,
    "session.current_session": _OWN,
}


def action_allowed(name: str, who: str) -> bool:
    """Whether somebody may do what a function of a page does."""
    person = ACCOUNTS[who].person
    if person is None:
        return False
    if name in OWN_ACTIONS:
        return may(person, "trader", write=True)
    return who != "admin without a factor" and may(
        person, ACTIONS[name], write=not is_reading(name)
    )


def is_reading(name: str) -> bool:
    """Whether a function only shows what there is."""
    return name.rpartition(".")[2].startswith(("load_", "draw_"))


# Operations


def operation_status(operation: Operation[Any], who: str) -> int:
    """What a program gets for an operation with one of `KEYS`, which has every scope."""
    person = KEYS[who].person
    if person is None:
        return 401
    return 200 if may(person, operation.role, write=operation.writes) else 403


# The document


def document(operations: Iterable[Operation[Any]], commands: Iterable[str]) -> str:
    """docs/access.md."""
    return "\n".join(
        [
            *_HEAD,
            *_pages(),
            *_routes(),
            *_actions(),
            *_operations(list(operations)),
            *_commands(commands),
        ]
    )


_HEAD = (
    "# Who may do what",
    "",
    "Made by `python -m tests.access > docs/access.md`; `tests/test_access.py` holds the product to it with "
    "real requests, and fails where a page, a route, an operation or a function that writes is not in it.",
    "**+** is allowed, **–** refused on the server, whatever a menu shows. Roles contain each other: an analyst may "
    "what a trader may, an administrator everything.",
    "",
    "The visitors: a *stranger* has no session; a *guest* looks around, on the simulated market in development "
    "only; an *admin without a factor* has to have one here (`CRYPTOSATX_SECOND_FACTOR=required`) and has none; "
    "who *was administrator* is a trader by now, in a session from before. The sessions of the last four are "
    "still in the browser, and worth nothing.",
    "",
)
_MARKS: Mapping[str, str] = {"shown": "+", "refused": "–", "entrance": "sign-in"}


def _pages() -> list[str]:
    rows = [
        [f"`/{entry.path}`", *(_MARKS[page_outcome(entry, who)] for who in ACCOUNTS)]
        for entry in ENTRIES
    ]
    return [
        "## Pages",
        "",
        "Asked for by address over the WebSocket. Where nobody is signed in, the sign-in stands in the place of "
        "every page. A part of a page that renews itself asks again each time, so who is disabled, signed out or "
        "of another role gets nothing more of it.",
        "",
        *_table(["page", *ACCOUNTS], rows),
    ]


def _routes() -> list[str]:
    alike: dict[tuple[str, str], dict[str, list[str]]] = {}
    for (method, path), door in DOORS.items():
        of_kind = alike.setdefault((door.opens, door.why), {})
        of_kind.setdefault(path, []).append(method)
    rows = []
    for (opens, why), paths in alike.items():
        named = [f"{' '.join(methods)} `{path}`" for path, methods in paths.items()]
        above = opens if opens in ("everyone", "nobody", "a key") else f"{opens} and above"
        rows.append([", ".join(named), above, why])
    return [
        "## Routes",
        "",
        "Every address that answers, but for the operations below. *Nobody*: without what the last "
        "column names, it is refused to everybody alike.",
        "",
        *_table(["route", "opens to", "what it is"], rows),
    ]


def _actions() -> list[str]:
    named = sorted([*ACTIONS, *OWN_ACTIONS])
    rows = [
        [f"`{name}`", *("+" if action_allowed(name, who) else "–" for who in ACCOUNTS)]
        for name in named
    ]
    others = [[f"`{name}`", why] for name, why in sorted(UNASKED.items())]
    return [
        "## What pages do",
        "",
        "Functions of `core/ui` that write or read for some people only. Each asks who is there before it does "
        "anything. Channels, keys and sessions besides are one's own: those of somebody else are refused to all "
        "but administrators.",
        "",
        *_table(["function", *ACCOUNTS], rows),
        "Functions that open the database and ask for no role:",
        "",
        *_table(["function", "why"], others),
    ]


def _operations(operations: list[Operation[Any]]) -> list[str]:
    keys = {who: key for who, key in KEYS.items() if key.person is not None}
    shut = [who for who in KEYS if who not in keys]
    rows = [
        [
            f"`{one.name}`",
            "writes" if one.writes else "reads",
            f"`{one.scope}`" if one.scope else "any",
            *("+" if operation_status(one, who) == 200 else "–" for who in keys),
        ]
        for one in sorted(operations, key=lambda one: (one.group, one.name))
    ]
    return [
        "## Operations",
        "",
        "Each at its own address, by `POST /api/v1/invoke`, and as a tool of `/api/mcp`. The key must have the "
        "scope besides: with every other scope and without this one it is refused. Keys that open nothing at all: "
        f"{', '.join(shut)}.",
        "",
        *_table(["operation", "", "scope", *(f"key {who}" for who in keys)], rows),
    ]


def _commands(commands: Iterable[str]) -> list[str]:
    return [
        "## Commands",
        "",
        "`python -m core ...` is for whoever may start programs as the user that the installation runs as, and "
        "asks for no other right: " + ", ".join(f"`{name}`" for name in sorted(commands)) + ".",
        "",
    ]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def main() -> None:
    from core.operations.every import all_operations
    from tests.test_written_down import COMMANDS

    sys.stdout.write(document(all_operations(), COMMANDS))


if __name__ == "__main__":
    main()
