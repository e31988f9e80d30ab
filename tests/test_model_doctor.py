"""`python -m core doctor` on the language model: one line, and what to do where it fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.commands.model import check_model
from core.errors import SettingsError
from core.settings import load_settings
from tests.opinions import KEY
from tests.world.openai import ModelServer


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


def check(server: ModelServer, name: str = "stand-in") -> str:
    return check_model(
        load_settings(
            {"CRYPTOSATX_MODEL": name, "OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY}
        )
    )


def test_without_a_model_there_is_nothing_to_check():
    assert check_model(load_settings({})) == "off: no CRYPTOSATX_MODEL is set"


def test_a_model_that_is_there_is_found_without_asking_it_anything(model):
    model.mode = "good"
    assert check(model).endswith("ms and has stand-in")
    assert model.bodies == []


def test_a_model_that_is_not_there_is_said_with_those_that_are(model):
    model.mode = "good"
    with pytest.raises(SettingsError, match="has no model gpt-9; among those it has: stand-in"):
        check(model, "gpt-9")


@pytest.mark.parametrize("mode", ["401", "500", "redirect"])
def test_an_endpoint_that_refuses_is_said_without_the_key(model, mode):
    model.mode = mode
    with pytest.raises(SettingsError, match="Check OPENAI_API_KEY and OPENAI_BASE_URL") as error:
        check(model)
    assert KEY not in str(error.value)


def test_an_endpoint_that_is_not_there_is_said(model):
    with ModelServer() as gone:
        gone.switch_off()
        with pytest.raises(SettingsError, match="cannot be reached"):
            check(gone)
