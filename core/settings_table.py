"""The documented table of all settings, made of their definitions."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from core.settings import ROOT, Settings, shown

BEGIN = "<!-- begin: settings (python -m core settings --markdown) -->"
END = "<!-- end: settings -->"


def settings_table() -> str:
    """Markdown of every setting: what README holds between `BEGIN` and `END`."""
    rows = [_row(field) for field in Settings.model_fields.values()]
    return "\n".join(["| setting | default | what it is for |", "|---|---|---|", *rows]) + "\n"


def _row(field: FieldInfo) -> str:
    default = field.default
    text = "none" if default is None or default in ({}, ()) else shown(default)
    # Wherever this is printed, the folder is that beside the program.
    text = text.replace(f"{ROOT}/", "")
    secret = " (secret)" if SecretStr in getattr(field.annotation, "__args__", ()) else ""
    purpose = (field.description or "").replace("|", "\\|")
    value = text if text == "none" else f"`{text}`"
    return f"| `{field.validation_alias}` | {value} | {purpose}{secret} |"
