"""The rules of DESIGN about who may import whom, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PURE = (
    "core.accuracy",
    "core.alerts.advice",
    "core.alerts.checking",
    "core.alerts.cost",
    "core.alerts.definition",
    "core.alerts.doubts",
    "core.alerts.durations",
    "core.alerts.engine",
    "core.alerts.evaluating",
    "core.alerts.expression",
    "core.alerts.functions",
    "core.alerts.history",
    "core.alerts.hours",
    "core.alerts.kernels",
    "core.alerts.lookalikes",
    "core.alerts.markets",
    "core.alerts.names",
    "core.alerts.notices",
    "core.alerts.ranges",
    "core.alerts.reading",
    "core.alerts.reference",
    "core.alerts.replaying",
    "core.alerts.rule_files",
    "core.alerts.rule_tests",
    "core.alerts.scanning",
    "core.alerts.series",
    "core.alerts.silences",
    "core.alerts.states",
    "core.alerts.subscriptions",
    "core.alerts.texts",
    "core.alerts.tree",
    "core.backtest",
    "core.errors",
    "core.market.frame",
    "core.market.grid",
    "core.market.liquidation_sums",
    "core.market.liquidation_windows",
    "core.market.spikes",
    "core.outcomes",
    "core.overview",
    "core.plan",
    "core.secret_looks",
    "core.signals",
    "core.verdicts.model.answer",
    "core.verdicts.model.plain",
    "core.verdicts.model.question",
    "core.verdicts.rules",
    "core.verdicts.standing",
)
# From the inside out: a module may import its own layer and the ones before it.
LAYERS = (
    (*PURE, "core.verdicts", "core.alerts"),
    (
        "core.secret_files",
        "core.settings",
        "core.settings_table",
        "core.version",
        "core.production",
        "core.observing.instruments",
        "core.observing.masking",
        "core.observing.spans",
        "core.market",
        "core.verdicts.model.asking",
        "core.alerts.delivery",
        "core.alerts.saving",
    ),
    ("core.store", "core.accounts", "core.observing.context", "core.observing.parts"),
    (
        "core.replay",
        "core.bench",
        "core.jobs",
        "core.keeping",
        "core.rule_bench",
        "core.streaming",
        "core.supervision",
        "core.worker",
    ),
    ("core.instance", "core.operations", "core.observing", "core.edges"),
    ("core.ui", "core.api", "core.commands"),
    ("core.__main__", "app", "pages"),
)
OUTSIDE_WORLD = {
    *("asyncio", "http", "httpx", "logging", "os", "pathlib", "random", "requests", "secrets"),
    *("socket", "sqlalchemy", "sqlite3", "subprocess", "tempfile", "threading", "time"),
    *("urllib", "uuid", "websockets"),
}
CLOCKS_AND_CHANCE = {"now", "utcnow", "today", "random", "default_rng", "RandomState"}


@cache
def modules() -> dict[str, ast.Module]:
    files = [ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "core").rglob("*.py")]
    found = {}
    for file in files:
        if file.is_file() and "migrations" not in file.parts:
            parts = file.relative_to(ROOT).with_suffix("").parts
            name = ".".join(part for part in parts if part != "__init__")
            found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules() else node.module for name in names)


def belongs(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def layer(module: str) -> int:
    """The layer whose place fits most closely."""
    fitting = [
        (len(place), number)
        for number, places in enumerate(LAYERS)
        for place in places
        if belongs(module, (place,))
    ]
    assert fitting, f"{module} has no layer: give it one in {Path(__file__).name}"
    return max(fitting)[1]


def ours(tree: ast.Module) -> Iterator[str]:
    return (name for name in imports(tree) if name.split(".")[0] in ("core", "pages", "app"))


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_inwards(module: str) -> None:
    if module == "core":
        return
    for imported in ours(modules()[module]):
        assert layer(imported) <= layer(module), f"{module} imports {imported}"


def test_pages_and_commands_do_not_know_each_other() -> None:
    for module, tree in modules().items():
        # core.__main__ puts the two together, as the measured page of the bench.
        if belongs(module, ("core.commands",)):
            assert not [name for name in ours(tree) if belongs(name, ("core.ui", "pages"))], module
        if belongs(module, ("core.ui", "pages", "app")):
            assert not [name for name in ours(tree) if belongs(name, ("core.commands",))], module


def test_only_the_dashboard_imports_streamlit() -> None:
    for module, tree in modules().items():
        if not belongs(module, ("core.ui", "pages", "app")):
            assert not [n for n in imports(tree) if n.split(".")[0].startswith("streamlit")], module


def test_pure_core_imports_pure_core_and_nothing_of_the_outside_world() -> None:
    pure = {name: tree for name, tree in modules().items() if belongs(name, PURE)}
    assert len(pure) > len(PURE)
    for module, tree in pure.items():
        assert not [name for name in ours(tree) if not belongs(name, (*PURE, "core.verdicts"))]
        assert not {name.split(".")[0] for name in imports(tree)} & OUTSIDE_WORLD, module


def test_pure_core_has_no_clock_and_no_chance() -> None:
    for module, tree in modules().items():
        if belongs(module, PURE):
            used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            assert not used & CLOCKS_AND_CHANCE, module
            assert not called & {"open", "print", "input"}, module


def test_pages_hold_no_sql_and_no_http() -> None:
    for module, tree in modules().items():
        if belongs(module, ("pages",)):
            assert not {name.split(".")[0] for name in imports(tree)} & {"sqlalchemy", "httpx"}


# What is drawn above every page, whatever the page is.
ON_EVERY_PAGE = ("header", "controls", "auto_banner", "replaying", "alerts.bell")


def keys(tree: ast.Module) -> set[str]:
    """The keys that a module gives to elements."""
    return {
        word.value.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg == "key" and isinstance(word.value, ast.Constant)
    }


def test_no_page_has_an_element_with_the_key_of_one_that_is_on_every_page() -> None:
    above = {f"core.ui.{name}" for name in ON_EVERY_PAGE}
    drawn = {
        name: keys(tree)
        for name, tree in modules().items()
        if name.startswith(("core.ui", "pages"))
    }
    taken = set().union(*(drawn[name] for name in above))
    assert taken > {"header", "mode", "bells"}
    both = {name: found & taken for name, found in drawn.items() if name not in above}
    assert {name: found for name, found in both.items() if found} == {}
