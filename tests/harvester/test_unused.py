"""An operator sees what a facility sends that we do not use yet."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harvester.harvest_command import Wanted, carry_out
from harvester.place import Order
from pan_commons import run
from pan_commons_terminal import Settings
from simulator import FacilitySpec, OaiOptions, Record, running

CONFIG = """
[facilities.ONE]
title = "Facility one"
provider = "http://127.0.0.1/one"
demo = true

[sources.one-oai]
facility = "ONE"
protocol = "oai-pmh"
url = "{url}"
format = "oai_dc"
internal = true
"""


def record(number: int, extra: str) -> Record:
    payload = (
        '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Demo</dc:title>'
        f"<dc:identifier>doi:10.5072/demo-{number}</dc:identifier>{extra}</oai_dc:dc>"
    )
    when = datetime(2025, 1, number, tzinfo=UTC)
    return Record(f"oai:one:{number}", when, payloads={"oai_dc": payload.encode()})


async def test_what_no_field_takes_is_counted_with_an_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = FacilitySpec(
        "ONE",
        records=(
            record(1, "<dc:shoe>left</dc:shoe>"),
            record(2, "<dc:shoe>right</dc:shoe>"),
            record(3, ""),
        ),
        oai=OaiOptions(prefixes={"oai_dc": "oai_dc"}),
    )
    config = tmp_path / "config.toml"
    async with running(spec) as facility:
        config.write_text(CONFIG.format(url=facility.oai_url), encoding="utf-8")
        settings = Settings(tmp_path / "data", config, "tantivy", None, as_json=True)
        assert await carry_out(settings, Wanted((), Order())) == 0
    capsys.readouterr()
    where = ["--data", str(tmp_path / "data"), "--config", str(config)]
    assert run(["sources", "show", "one-oai", "--unmapped", "--json", *where]) == 0
    shown = json.loads(capsys.readouterr().out)
    (shoe,) = [one for one in shown["unused"] if "shoe" in one["path"]]
    assert shoe["records"] == 2
    assert shoe["example"] in ("left", "right")


def test_an_unknown_source_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sources", "show", "nobody", "--unmapped", "--data", str(tmp_path)]) != 0
    assert "nobody" in capsys.readouterr().err
