"""Who is looking, and which page they get: nobody gets one before the sign-in."""

from collections import defaultdict

import streamlit as st

from core.accounts import Person, may
from core.ui.away import draw_nobody_known
from core.ui.browser import page_name, query
from core.ui.entrance import MARK, PRODUCT, draw_entrance
from core.ui.header import draw_bare_header, draw_header
from core.ui.navigation import ENTRIES, HOME, OPEN, Entry, path_to
from core.ui.page_runs import observed
from core.ui.pulse import read_accounts
from core.ui.session import close_session, current_session, note_reader
from core.ui.style import style_frame


def main() -> None:
    st.set_page_config(page_title=PRODUCT, page_icon=MARK, layout="wide")
    if read_accounts().away_since:
        st.navigation(_menu(None), position="hidden")
        draw_bare_header()
        draw_nobody_known()
        st.stop()
    session = note_reader(current_session())
    person = session.person if session else None
    page = st.navigation(_menu(person), position="sidebar" if person else "hidden")
    if page.url_path in OPEN:
        page.run()
    elif person is None:
        draw_entrance(path_to(page_name(), query()))
    else:
        style_frame()
        _draw_account(person)
        draw_header(person)
        page.run()


def _menu(person: Person | None) -> dict[str, list[st.Page]]:
    """Every page, so that each address is known; in the menu are those the person may see."""
    menu: dict[str, list[st.Page]] = defaultdict(list)
    for entry in ENTRIES:
        menu[entry.section].append(_page(entry, person))
    home = next(page for pages in menu.values() for page in pages if page.url_path == HOME)

    def go_home() -> None:
        st.switch_page(home, query_params=[])

    menu[""].append(st.Page(go_home, title=PRODUCT, default=True, visibility="hidden"))
    return menu


def _page(entry: Entry, person: Person | None) -> st.Page:
    listed = entry.section and entry.role and person and may(person, entry.role)
    return st.Page(
        entry.file,
        title=entry.title,
        icon=entry.icon,
        url_path=entry.path,
        visibility="visible" if listed else "hidden",
    )


def _draw_account(person: Person) -> None:
    st.logo(MARK, size="large")
    with st.sidebar.container(gap="xsmall"):
        st.markdown(f"**{person.name}**")
        st.caption("looking around" if person.guest else person.role)
        if not person.guest:
            st.page_link("account.py", label="Account", width="stretch", icon=":material/person:")
        label, icon = ("Sign in", "login") if person.guest else ("Sign out", "logout")
        if st.button(label, icon=f":material/{icon}:", width="stretch"):
            close_session()


observed(main)
