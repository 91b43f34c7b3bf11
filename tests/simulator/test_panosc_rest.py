"""The simulated Search API answers as the reference provider did, or as its dialect says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from simulator import Facility, FacilitySpec, RestOptions, running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def get(session: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    async with session.get(URL(url, encoded=True)) as response:
        return response.status, json.loads(await response.read())


async def find(
    session: aiohttp.ClientSession, facility: Facility, path: str, **asked: object
) -> tuple[int, Any]:
    params = {"filter": json.dumps(asked)} if asked else {}
    async with session.get(facility.api_url + path, params=params) as response:
        return response.status, json.loads(await response.read())


async def test_all_recorded_answers_of_the_reference_provider(
    session: aiohttp.ClientSession, shared_data: Path
) -> None:
    """168 requests, started from the reference provider's own database."""
    folder = shared_data / "panosc" / "reference"
    database = json.loads((folder / "db.json").read_text())
    recorded = json.loads((folder / "answers.json").read_text())
    wrong = []
    async with running(
        FacilitySpec("Reference", database=database, rest=RestOptions())
    ) as facility:
        for line in recorded:
            status, answer = await get(session, facility.api_url + line["request"])
            if (status, answer) != (line["status"], line["answer"]):
                wrong.append(line["what"])
    assert len(recorded) >= 168
    assert wrong == []
