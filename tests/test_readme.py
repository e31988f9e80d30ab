"""What the README tells to type can be typed, and every command and setting stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer.main

from core import __main__ as cli
from core.settings import Settings
from core.settings_table import BEGIN, END, settings_table

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def commands() -> dict[str, set[str]]:
    """The options of every command, by its words: "user add" has --role."""

    def walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, set[str]]]:
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*words, name))
        alone = getattr(command, "invoke_without_command", True)
        if words and alone:
            yield " ".join(words), {option for p in command.params for option in p.opts}  # type: ignore[attr-defined]

    return dict(walk(typer.main.get_command(cli.app), ()))


def test_what_is_to_be_typed_exists() -> None:
    known = commands()
    lines = re.findall(r"^python -m core ([^#\n]+)", README, re.MULTILINE)
    assert len(lines) > 5
    for line in lines:
        words = max(
            (name for name in known if f"{line} ".startswith(f"{name} ")), key=len, default=""
        )
        assert words, line
        assert set(re.findall(r"--[a-z][a-z-]*", line)) <= known[words], line


def test_what_the_guide_for_operators_says_to_type_exists() -> None:
    guide = (Path(__file__).resolve().parents[1] / "docs" / "operating.md").read_text("utf-8")
    known = commands()
    typed = re.findall(
        r"python -m core ((?:user |backup |key )?[a-z][a-z-]*)((?: --[a-z-]+)*)", guide
    )
    assert {"backup list", "restore", "verify", "user password"} <= {words for words, _ in typed}
    for words, options in typed:
        assert set(options.split()) <= known[words], words


def test_every_command_and_setting_is_described() -> None:
    for name in commands():
        first, *rest = name.split()
        assert f"python -m core {first}" in README
        assert all(word in README for word in rest)
    for field in Settings.model_fields.values():
        assert f"`{field.validation_alias}`" in README


def test_the_table_of_settings_is_up_to_date() -> None:
    held = README.split(BEGIN + "\n")[1].split(END)[0]
    assert held == settings_table(), "python -m core settings --markdown prints it"


def test_the_recipe_of_the_readme_is_the_one_that_is_tested() -> None:
    recipe = Path(__file__).with_name("recipe.py").read_text(encoding="utf-8")
    assert f"```python\n{recipe}```" in README
