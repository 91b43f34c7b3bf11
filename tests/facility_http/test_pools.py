"""Connections of one's own, and headers that go along."""

from __future__ import annotations

from dataclasses import replace

import anyio
from aiohttp import web

from tests.facility_http.http_world import INTERNAL, fetcher, read_text, serving


async def test_each_pool_has_connections_of_its_own() -> None:
    peers: dict[str, set[int]] = {}

    async def handle(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.setdefault(request.path, set()).add(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    async with serving(handle) as url, fetcher() as http:
        for _ in range(3):
            for pool in (None, "ess", "ill"):
                access = replace(INTERNAL, pool=pool)
                await http.fetch(f"{url}/{pool}", read_text, access=access)
    assert [len(ports) for ports in peers.values()] == [1, 1, 1]
    assert len(set.union(*peers.values())) == 3


async def test_headers_go_along_on_every_hop_and_never_displace_ours() -> None:
    seen: list[tuple[str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.headers["X-Via"], request.headers["Accept"]))
        if request.path == "/there":
            return web.Response(text="ok")
        return web.Response(status=302, headers={"Location": "/there"})

    headers = {"X-Via": "here", "Accept": "text/html"}
    async with (
        serving(handle) as url,
        fetcher() as http,
        http.open(url, access=INTERNAL, accept="application/json", headers=headers) as response,
    ):
        assert await response.body() == b"ok"
    assert seen == [("here", "application/json")] * 2


async def test_a_pool_that_hangs_holds_up_no_other() -> None:
    """Faults G02 and A05: with places enough, only connections could be in the way."""
    never, waiting = anyio.Event(), anyio.Event()

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/hang":
            waiting.set()
            await never.wait()
        return web.Response(text="ok")

    async with (
        serving(handle) as url,
        fetcher(at_once=100) as http,
        anyio.create_task_group() as tasks,
    ):

        async def hang() -> None:
            await http.fetch(f"{url}/hang", read_text, access=replace(INTERNAL, pool="hanging"))

        for _ in range(20):
            tasks.start_soon(hang)
        await waiting.wait()
        well = replace(INTERNAL, pool="well")
        assert await http.fetch(url, read_text, access=well) == "ok"
        tasks.cancel_scope.cancel()
