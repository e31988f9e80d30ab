"""The theme that is told with every run."""

from __future__ import annotations

import pytest
from streamlit import config
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session

from core.ui.theme import kept

SECTIONS = ("theme", "theme.light", "theme.dark", "theme.sidebar", "theme.dark.sidebar")


def _told(tell: object, section: str) -> bytes:
    message = CustomThemeConfig()
    assert callable(tell)
    tell(message, section)
    return message.SerializeToString()


def test_what_is_told_again_is_what_streamlit_says() -> None:
    whole = vars(app_session)["_populate_theme_msg"]
    again = kept(whole)
    for section in SECTIONS * 2:
        assert _told(again, section) == _told(whole, section)
    assert _told(again, "theme.light")


def test_settings_that_are_read_anew_are_told_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def tell(message: CustomThemeConfig, section: str) -> None:
        asked.append(section)
        message.primary_color = f"#{len(asked):06}"

    again = kept(tell)
    first = _told(again, "theme")
    assert _told(again, "theme") == first
    monkeypatch.setattr(config, "_config_options", dict(config.get_config_options()))
    assert _told(again, "theme") != first
    assert asked == ["theme", "theme"]
