"""The theme of .streamlit/config.toml, which every run of a page tells the browser again."""

from __future__ import annotations

from collections.abc import Callable

from streamlit import config
from streamlit.proto.NewSession_pb2 import CustomThemeConfig
from streamlit.runtime import app_session

Tell = Callable[[CustomThemeConfig, str], None]
_NAME = "_populate_theme_msg"


def tell_theme_once() -> None:
    """Have Streamlit put its message about the theme together once, and not at each run of each page.

    It looks through all its settings six times for that, on the one thread that answers everybody.
    """
    tell = vars(app_session).get(_NAME)
    if tell is not None:  # Another version of Streamlit may do it by another name.
        vars(app_session)[_NAME] = kept(tell)


def kept(tell: Tell) -> Tell:
    """``tell`` that says of each section again what it said first, as long as the settings hold."""
    said: dict[str, CustomThemeConfig] = {}
    of: object = None

    def tell_again(message: CustomThemeConfig, section: str = "theme") -> None:
        nonlocal of
        # Reading them anew, as when their file changes, makes another one.
        options = config.get_config_options()
        if options is not of:
            said.clear()
            of = options
        if section not in said:
            made = CustomThemeConfig()
            tell(made, section)
            said[section] = made
        message.MergeFrom(said[section])

    return tell_again
