"""Settings: one table, read from the environment, every row explained."""

from __future__ import annotations

from dataclasses import fields

import pytest

import search_api
from search_api.errors import BadRequest
from search_api.settings import PREFIX, ServerSettings, mistyped, settings_from


def test_settings_come_from_the_environment() -> None:
    settings = settings_from({"PAN_COMMONS_MAX_LIMIT": "50", "PAN_COMMONS_DEADLINE_S": "2.5"})
    assert (settings.max_limit, settings.deadline_s) == (50, 2.5)
    assert settings.default_limit == ServerSettings().default_limit


def test_a_bad_value_is_told_with_its_name() -> None:
    with pytest.raises(
        BadRequest, match="PAN_COMMONS_MAX_LIMIT is 'many', expected a whole number"
    ):
        settings_from({"PAN_COMMONS_MAX_LIMIT": "many"})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("DEADLINE_S", "-1", "more than 0"),
        ("DEADLINE_S", "0", "more than 0"),
        ("DEADLINE_S", "nan", "more than 0"),
        ("MAX_LIMIT", "0", "more than 0"),
        ("CACHE_S", "inf", "0 or more"),
        ("CACHE_BYTES", "-5", "0 or more"),
        ("LIMIT_LOOPBACK", "perhaps", "true or false"),
    ],
)
def test_a_number_that_nothing_works_with_is_refused(name: str, text: str, message: str) -> None:
    """A deadline below 0 made a server that answered every request with 503."""
    with pytest.raises(BadRequest, match=f"PAN_COMMONS_{name} is '{text}', expected .*{message}"):
        settings_from({PREFIX + name: text})


def test_the_defaults_are_possible() -> None:
    texts = {PREFIX + row.name.upper(): str(row.default) for row in fields(ServerSettings)}
    assert settings_from(texts) == ServerSettings()


def test_every_setting_is_explained() -> None:
    for row in fields(ServerSettings):
        assert row.metadata["help"].endswith("."), row.name
        assert (PREFIX + row.name.upper()).isidentifier()


def test_the_public_names_are_what_is_exported() -> None:
    for name in search_api.__all__:
        assert getattr(search_api, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        search_api.nothing  # noqa: B018 (asking is the test)


def test_a_variable_that_was_mistyped_is_named_with_the_one_that_was_meant() -> None:
    """Nobody read it, and the limit stayed what it was."""
    others = ("DATA", "CONFIG", "CONTACT", "PANET", "ENGINE", "LOG", "VERSION", "BIND", "PORT",
              "DEMO_PORT", "CONFIG_FOLDER", "SHARED_DATA", "TEST_RUN")  # fmt: skip
    right = {PREFIX + row.name.upper(): "1" for row in fields(ServerSettings)}
    assert mistyped(right | {PREFIX + name: "1" for name in others} | {"PATH": "/"}) == []
    found = mistyped({f"{PREFIX}MAX_LIMITT": "5", f"{PREFIX}DEADLINES": "2", f"{PREFIX}QQQ": "1"})
    assert found == [
        (f"{PREFIX}DEADLINES", f"{PREFIX}DEADLINE_S"),
        (f"{PREFIX}MAX_LIMITT", f"{PREFIX}MAX_LIMIT"),
    ]
