"""A deadline begins when the request comes, not when its turn has come."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from search_api.app import SERVER
from tests.search_api.federation.federation_world import Part, documents
from tests.search_api.federation.served_world import served

HUNG = Part("Hung", documents(0, 6))
WELL = Part("Well", documents(6, 6))


@pytest.mark.parametrize(
    "path", ["/api/search?q=lysozyme&", "/api/Documents?", "/api/Documents/1?"]
)
async def test_what_a_request_has_waited_before_is_taken_from_its_patience(
    path: str, tmp_path: Path
) -> None:
    """Fault G03: a busy server waits less for a facility, and does not answer late."""
    patience_s, waited_s = 300.0, 299.0
    async with (
        served(tmp_path, HUNG, WELL, deadline_s=patience_s) as there,
        there.gate("Hung"),
        asyncio.timeout(patience_s / 5),
    ):
        server = there.client.server.app[SERVER]  # type: ignore[attr-defined]
        server.monotonic = lambda: time.monotonic() - waited_s
        answer = await there.client.get(f"{path}deadline_ms={patience_s * 1000:.0f}")
        assert answer.headers["X-Facilities-States"] == "Hung=timed_out, Well=answered"
        assert answer.headers["X-Facilities-Missing"] == "Hung"
