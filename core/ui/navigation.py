"""The pages there are: where they live, who may see them, and which addresses a sign-in may end at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from core.accounts import Role

HOME = "signals"
LONGEST_PATH = 512


@dataclass(frozen=True)
class Entry:
    """A page: its address under the root, its file in pages/, and its place in the menu.

    Without a section it is not in the menu; without a role it is open to everyone.
    """

    path: str
    file: str
    title: str
    icon: str
    section: str = ""
    role: Role | None = None


ENTRIES = (
    Entry("signals", "signals.py", "Signals", ":material/candlestick_chart:", "Trade", "trader"),
    Entry("symbol", "symbol.py", "Symbol", ":material/query_stats:", "Trade", "trader"),
    Entry(
        "liquidations",
        "liquidations.py",
        "Liquidations",
        ":material/waterfall_chart:",
        "Trade",
        "trader",
    ),
    Entry("accuracy", "accuracy.py", "Accuracy", ":material/fact_check:", "Analyse", "analyst"),
    Entry("backtest", "backtest.py", "Backtest", ":material/science:", "Analyse", "analyst"),
    Entry("alerts", "alerts.py", "Alerts", ":material/notifications:", "Operate", "trader"),
    Entry("rules", "rules.py", "Rules", ":material/rule:", "Operate", "admin"),
    Entry("people", "people.py", "People", ":material/group:", "Operate", "admin"),
    Entry("system", "system.py", "System", ":material/monitor_heart:", "Operate", "admin"),
    Entry("account", "account.py", "Account", ":material/person:", "", "trader"),
    Entry("sign_in", "sign_in.py", "Sign in", ":material/login:"),
    Entry("setup", "setup.py", "Set up", ":material/key:"),
    Entry("join", "join.py", "Invitation", ":material/person_add:"),
)
OPEN = {entry.path for entry in ENTRIES if entry.role is None}
ADDRESSES = frozenset(f"/{entry.path}" for entry in ENTRIES)
_PATHS = {"/"} | ADDRESSES


def path_to(page: str, query: Iterable[tuple[str, str]] = ()) -> str:
    """The address of a page with its query, as a sign-in on that page should end at it.

    The pages of the sign-in itself lead home, and so does a query too long to be carried along.

    >>> path_to("symbol", [("symbol", "ETHUSDT")])
    '/symbol?symbol=ETHUSDT'
    >>> path_to("setup", [("token", "secret")])
    '/'
    """
    if page in OPEN:
        return "/"
    asked = urlencode(list(query))
    path = f"/{page}?{asked}" if asked else f"/{page}"
    return path if len(path) <= LONGEST_PATH else f"/{page}"


def safe_path(path: str) -> str:
    """``path`` if it is the address of a page of this site with its query; else the root.

    >>> safe_path("/accuracy?horizon=4h"), safe_path("//elsewhere.example/accuracy")
    ('/accuracy?horizon=4h', '/')
    """
    if not path.isprintable() or "\\" in path:
        return "/"
    try:
        parts = urlsplit(path)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or parts.path not in _PATHS:
        return "/"
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
