"""Everyone who has an account, what an administrator can do with one, and invitations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import escape

import streamlit as st

from core.accounts import ROLES, Person
from core.accounts.invitations import LASTS, Invitation
from core.accounts.people import Account
from core.errors import AccountError
from core.ui import people
from core.ui.browser import browser_words
from core.ui.controls import reader_clock
from core.ui.formats import count, duration
from core.ui.people import Everyone
from core.ui.style import style_people

SHOWN = 25
_WHO, _LINK, _SAID = "who", "_invitation_link", "_people_said"
_LAPSED = "  \n:orange-badge[opens nothing: who made it is no administrator now]"
_LASTS = {"1 day": timedelta(days=1), "3 days": LASTS, "14 days": timedelta(days=14)}


def draw_people(viewer: Person) -> None:
    """The page: one account where the address names it (``?who=``), else everyone and the invitations
    that are open."""
    now = datetime.now(UTC)
    found = people.load_everyone(now)
    style_people()
    asked = st.query_params.get(_WHO, "")
    account = next((one for one in found.members if one.person.username == asked), None)
    if account is not None:
        _draw_person(account, viewer, now)
        return
    st.markdown(_sentence(found))
    _draw_said()
    _draw_accounts(found, viewer, now)
    with st.container(width=720, gap="medium"):
        _draw_invitations(found.invitations, now)
        _draw_invite()


def _sentence(found: Everyone) -> str:
    active = [one for one in found.members if not one.disabled]
    admins = sum(one.person.role == "admin" for one in active)
    plain = sum(not one.second_factor and one.issuer is None for one in active)
    return (
        f"{count(len(active), 'person', 'people')} can sign in, "
        f"{count(admins, 'administrator')} among them; {plain} with a password alone."
    )


def _draw_accounts(found: Everyone, viewer: Person, now: datetime) -> None:
    wanted = ""
    if len(found.members) > SHOWN:
        wanted = st.text_input("Find", placeholder="Name or username", key="find").casefold()
    matching = [
        one
        for one in found.members
        if wanted in one.person.name.casefold() or wanted in one.person.username
    ]
    with st.container(border=True, gap="xxsmall", key="people"):
        for account in matching[:SHOWN]:
            _draw_account(account, found, viewer, now)
    if len(matching) > SHOWN:
        st.caption(f"The first {SHOWN} of {len(matching)}: write more of the name.")


def _draw_account(account: Account, found: Everyone, viewer: Person, now: datetime) -> None:
    person = account.person
    marks = ["you"] if person.id == viewer.id else []
    marks += ["switched off"] if account.disabled else []
    badges = "".join(f"<em>{mark}</em>" for mark in marks)
    sessions = count(found.sessions.get(person.id or 0, 0), "session")
    cells = (
        f"<b>{escape(person.name)}</b>{badges}<br><small>{escape(person.username)}</small>",
        person.role,
        factor_words(account),
        f"{seen_words(account, now)}<br><small>{sessions}</small>",
    )
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(f'<div class="cx-person">{"".join(f"<div>{cell}</div>" for cell in cells)}</div>')
        st.button("Manage", key=f"manage_{person.id}", on_click=_go, args=(person.username,))


def factor_words(account: Account) -> str:
    """How somebody proves who they are.

    >>> factor_words(Account(Person(1, "ada", "Ada", "admin"), False, datetime.now(UTC)))
    'password alone'
    """
    if account.issuer is not None:
        return "by the organisation"
    return "password and code" if account.second_factor else "password alone"


def seen_words(account: Account, now: datetime) -> str:
    """When somebody was last here.

    >>> seen_words(Account(Person(1, "ada", "Ada", "admin"), False, datetime.now(UTC)), datetime.now(UTC))
    'never seen'
    """
    if account.seen_at is None:
        return "never seen"
    return f"seen {duration(now - account.seen_at)} ago"


def _draw_person(account: Account, viewer: Person, now: datetime) -> None:
    person = account.person
    st.button("Everyone", icon=":material/arrow_back:", type="tertiary", on_click=_go)
    off = " :gray-badge[switched off]" if account.disabled else ""
    with st.container(width=720, gap="small"):
        st.subheader(_plain(person.name), anchor=False)
        st.markdown(
            f"Username **{_plain(person.username)}**, role **{person.role}**, {factor_words(account)}, "
            f"{seen_words(account, now)}.{off}"
        )
        _draw_said()
        _draw_role(account)
        _draw_open_sessions(person.username, now)
        if person.id == viewer.id:
            st.caption("This is your own account: the rest is on the page Account.")
        else:
            _draw_access(account)


def _draw_access(account: Account) -> None:
    username = account.person.username
    st.markdown("**Access**")
    with st.container(horizontal=True):
        if account.second_factor:
            _draw_act(
                "Reset the second factor",
                lambda: people.reset_factor(username),
                f"{username} signs in with the password alone until they set up another one.",
            )
        if account.disabled:
            _draw_act(
                "Switch on",
                lambda: people.enable(username),
                f"{username} can sign in again; their keys stay revoked.",
            )
        else:
            _draw_act(
                "Switch off",
                lambda: people.disable(username),
                f"{username} is signed out everywhere and cannot sign in; their keys are revoked.",
            )


def _go(username: str = "") -> None:
    """To one account, or back to everyone."""
    st.query_params.pop(_WHO, None)
    if username:
        st.query_params[_WHO] = username


def _draw_role(account: Account) -> None:
    person = account.person
    if account.issuer is not None:
        st.caption(f"The role {person.role} comes from {account.issuer}, at every sign-in.")
        return
    with st.form("role", border=False):
        role = st.segmented_control("Role", ROLES, default=person.role, required=True)
        if not st.form_submit_button("Change the role"):
            return
    _do(
        lambda: people.set_role(person.username, role),
        f"{person.username} is now {role}, from the next thing they do.",
    )


def _draw_open_sessions(username: str, now: datetime) -> None:
    held = people.load_sessions(username, now)
    st.markdown(f"**{count(len(held), 'open session')}**")
    for each in held:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"{browser_words(each.user_agent)}, last used {duration(now - each.seen_at)} ago, "
                f"signed in {duration(now - each.created_at)} ago"
            )
            if st.button("End", key=f"end_{each.id[:16]}"):
                _do(
                    lambda held=each: people.end_session(username, held.id),  # type: ignore[misc]
                    f"One session of {username} has ended.",
                )
    if len(held) > 1:
        _draw_act(
            "End every session",
            lambda: people.end_sessions(username),
            f"{username} has to sign in again everywhere; keys of programs stay good.",
        )


def _draw_act(label: str, act: Callable[[], object], said: str) -> None:
    if st.button(label):
        _do(act, said)


def _do(act: Callable[[], object], said: str) -> None:
    try:
        act()
    except AccountError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.session_state[_SAID] = said
    st.rerun()


def _draw_said() -> None:
    said = st.session_state.pop(_SAID, None)
    if said:
        st.success(said)


def _draw_invite() -> None:
    link = st.session_state.pop(_LINK, None)
    if link is not None:
        st.success("The link works once. Send it to whom it is for; it is not shown again.")
        st.code(link, language=None, wrap_lines=True)
    with st.form("invite", clear_on_submit=True):
        st.markdown("**Invite somebody**")
        note = st.text_input("Whom it is for", max_chars=80, placeholder="for this list only")
        with st.container(horizontal=True, gap="large"):
            role = st.segmented_control("Role", ROLES, default="trader", required=True)
            lasts = st.segmented_control("Good for", list(_LASTS), default="3 days", required=True)
        if not st.form_submit_button("Make a link", icon=":material/person_add:"):
            return
    try:
        st.session_state[_LINK] = people.invite(role, note, _LASTS[lasts])
    except AccountError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.rerun()


def _draw_invitations(found: list[Invitation], now: datetime) -> None:
    st.subheader("Open invitations", anchor=False)
    if not found:
        st.caption("None. An invited person chooses their own username and password.")
        return
    clock = reader_clock()
    for one in found:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{_plain(one.note) or 'Somebody'}** as {one.role}, by {one.made_by}, good for "
                f"another {duration(one.expires_at - now)} (until {clock.stamp(one.expires_at)} "
                f"{clock.label})" + (_LAPSED if one.lapsed else "")
            )
            if st.button("Withdraw", key=f"withdraw_{one.id}"):
                _do(lambda held=one: people.withdraw(held.id), "The invitation is withdrawn.")  # type: ignore[misc]


def _plain(text: str) -> str:
    """A text of somebody's own, without what Markdown would make of it.

    >>> _plain("*Ada* [x](y) :red[z]")
    '\\\\*Ada\\\\* \\\\[x\\\\]\\\\(y\\\\) \\\\:red\\\\[z\\\\]'
    """
    return "".join(f"\\{one}" if one in r"\`*_{}[]()#+-.!|~<>:$&" else one for one in text)
