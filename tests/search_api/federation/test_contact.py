"""A server says who asks as the harvester does: from the configuration, else the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from facility_http.contact import CONTACT_VARIABLE
from search_api.federation.contact import configured_contact

OURS = "data@pan.example"


def test_the_configuration_comes_before_the_environment(tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text(f'[contact]\nemail = "{OURS}"\n')
    environment = {CONTACT_VARIABLE: "other@pan.example"}
    assert configured_contact(config, tmp_path, environment) == OURS
    assert configured_contact(None, tmp_path, environment) == "other@pan.example"
    assert configured_contact(None, tmp_path, {}) is None


def test_what_was_added_to_the_data_folder_counts_too(tmp_path: Path) -> None:
    (tmp_path / "sources.toml").write_text(f'[contact]\nemail = "{OURS}"\n')
    assert configured_contact(None, tmp_path, {}) == OURS


@pytest.mark.parametrize("text", ["[contact", '[contact]\nemail = "nobody"\n', "contact = 3\n"])
def test_what_cannot_be_read_leaves_a_server_without_a_contact(tmp_path: Path, text: str) -> None:
    """And not without its index: real facilities are not asked, which every answer says."""
    config = tmp_path / "mine.toml"
    config.write_text(text)
    assert configured_contact(config, tmp_path, {}) is None
