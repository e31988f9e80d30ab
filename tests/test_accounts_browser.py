"""Second factor, invitation and the sign-in of an organisation in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from server import Server, free_port
from test_browser import (
    PASSWORD,
    SESSION_COOKIE,
    add_people,
    chromium,  # noqa: F401 - fixture
    expect_signed_in,
    sign_in,
    visitor,  # noqa: F401 - fixture
)

from tests.world.provider import Provider

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Server]:
    """A server with ada (admin) and tom (trader), to which an organisation signs people in too."""
    data, port = tmp_path_factory.mktemp("accounts"), free_port()
    add_people(data, ada="admin", tom="trader")
    settings = provider.settings | {"CRYPTOSATX_URL": f"http://localhost:{port}"}
    server = Server(data, settings, port)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def cookies(context: BrowserContext) -> dict[str, dict]:
    return {one["name"]: one for one in context.cookies()}


def go_to_the_provider(page: Page) -> None:
    page.get_by_role("button", name="Sign in with Example").click()


def test_an_organisation_signs_somebody_in_where_they_wanted_to_go(house, provider, visitor):  # noqa: F811
    provider.claims = {"sub": "1", "preferred_username": "olga", "name": "Olga", "groups": ["research"]}  # fmt: skip
    page = visitor.new_page()
    page.goto(f"{house.url}/accuracy?horizon=4h")
    go_to_the_provider(page)
    expect_signed_in(page, "Olga")
    expect(page).to_have_url(re.compile(r"/accuracy\?(.*&)?horizon=4h"))
    assert cookies(visitor)[SESSION_COOKIE]["httpOnly"]
    assert not [name for name in cookies(visitor) if name.startswith("_streamlit_user")]
    assert not [one for one in provider.tokens if one in house.terminal]

    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("button", name="Sign in with Example")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Sign in with Example")).to_be_visible()


def test_who_has_no_role_there_reads_so_and_gets_no_session(house, provider, visitor):  # noqa: F811
    provider.claims = {"sub": "2", "preferred_username": "sven", "groups": ["elsewhere"]}
    page = visitor.new_page()
    page.goto(house.url)
    go_to_the_provider(page)
    expect(page.get_by_text("Example, but it gives you no role here")).to_be_visible()
    assert SESSION_COOKIE not in cookies(visitor)


def test_a_provider_that_fails_is_told_to_who_comes_back(house, provider, visitor):  # noqa: F811
    page = visitor.new_page()
    page.goto(house.url)
    with provider.failing():
        go_to_the_provider(page)
        expect(page.get_by_text("The sign-in with Example was not finished.")).to_be_visible()
    assert SESSION_COOKIE not in cookies(visitor)


def test_an_identity_that_was_copied_signs_nobody_in(house, provider, visitor, chromium):  # noqa: F811
    """The thief has the cookie of the moment between the provider and the session."""
    provider.claims = {"sub": "1", "preferred_username": "olga", "groups": ["ops"]}
    page, stolen = visitor.new_page(), list[str]()
    page.on(
        "response",
        lambda answer: stolen.extend(
            one["value"].split(";")[0]
            for one in answer.headers_array()
            if one["name"].lower() == "set-cookie" and one["value"].startswith("_streamlit_user=")
        ),
    )
    page.goto(house.url)
    go_to_the_provider(page)
    expect_signed_in(page, "Olga")
    name, _, value = next(one for one in stolen if len(one) > 30).partition("=")

    thief = chromium.new_context()
    there = thief.new_page()
    there.goto(house.url)
    thief.add_cookies([{"name": name, "value": value, "url": house.url}])
    there.reload()
    expect(there.get_by_role("button", name="Sign in with Example")).to_be_visible()
    assert SESSION_COOKIE not in cookies(thief)
    thief.close()


def test_a_person_sets_up_a_second_factor_and_signs_in_with_it(house, visitor):  # noqa: F811
    page = visitor.new_page()
    page.goto(f"{house.url}/account")
    sign_in(page, "tom")
    expect_signed_in(page, "Tom")
    page.get_by_role("textbox", name="Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Set up a second factor").click()
    square = page.get_by_role("img", name="The square that sets up the second factor")
    expect(square).to_be_visible()
    assert square.evaluate("image => image.naturalWidth") > 100
    secret = page.get_by_test_id("stCode").first.inner_text().replace(" ", "").strip()
    page.get_by_role("textbox", name="Code").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_text("The second factor is on.")).to_be_visible()
    codes = page.get_by_test_id("stCode").inner_text().split()
    page.get_by_role("button", name="I have kept them").click()
    page.get_by_role("button", name="Sign out", exact=True).click()

    sign_in(page, "tom")
    expect(page.get_by_text("Second step")).to_be_visible()
    assert SESSION_COOKIE not in cookies(visitor)
    page.get_by_role("textbox", name="Code").fill(codes[0])
    page.get_by_role("button", name="Continue").click()
    expect_signed_in(page, "Tom")


def test_who_is_invited_makes_an_account_of_their_own(house, visitor, chromium):  # noqa: F811
    page = visitor.new_page()
    page.goto(f"{house.url}/people")
    sign_in(page)
    page.get_by_role("textbox", name="Whom it is for").fill("Tim")
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_test_id("stCode").inner_text().strip()

    elsewhere = chromium.new_context()
    there = elsewhere.new_page()
    there.goto(link)
    expect(there.get_by_text("You are invited")).to_be_visible()
    expect(there).not_to_have_url(re.compile("token"))
    for label, text in {
        "Username": "tim",
        "Your name": "Tim",
        "Password": PASSWORD,
        "Password again": PASSWORD,
    }.items():
        there.get_by_role("textbox", name=label, exact=True).fill(text)
    there.get_by_role("button", name="Create my account").click()
    expect_signed_in(there, "Tim")

    page.goto(f"{house.url}/people?who=tim")
    page.get_by_role("button", name="Switch off").click()
    expect(page.get_by_text("signed out everywhere")).to_be_visible()
    there.reload()
    expect(there.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    elsewhere.close()
